/** The node stream: who writes this log, and when it started. Stored for ever: add a new type, never change one. */
import type { z } from 'zod';
import { fact, hex, hex32, point, signature, text } from './words.ts';

export const nodeEvents = [
  /** First event of every log. `log_public_key` (Ed25519) signs the checkpoints; `signature` is the node key's over its statement (checkpoint.ts). */
  fact('NodeInitialized', {
    node_id: point,
    alias: text,
    network: text,
    chain_hash: hex32,
    log_public_key: hex,
    signature,
  }),
  fact('NodeStarted', { version: text, crypto_backend: text }),
  /** The log was found older than what the node did: its channels are only recovered from here on, until all have ended. */
  fact('RecoveryEntered', { code: text, reason: text }),
] as const;

export type NodeEvent = z.output<(typeof nodeEvents)[number]>;
