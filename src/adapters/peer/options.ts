/** What a peer connection is told, what bounds it, and the words for why it ended. */
import { randomBytes } from 'node:crypto';
import type { HandshakeErrorCode, NoiseIdentity } from '../../bolt/08-transport/noise.ts';
import type { CipherError } from '../../bolt/08-transport/cipher.ts';
import { crypto } from '../../bolt/crypto.ts';
import type { Hex, Hex32, NodeId, Point } from '../../bolt/primitives.ts';
import { fromHex, toPoint } from '../../bolt/primitives.ts';

/** Our identity on the wire. The Signer is one: the node key itself never comes here. */
export interface PeerKeys {
  readonly nodeId: NodeId;
  /** SHA-256 of the shared point of the node key and `point`. */
  nodeEcdh(point: Point): Uint8Array;
}

/** Time, so that tests can hold it. */
export interface Timers {
  setTimeout(callback: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface PeerLimits {
  /** From the TCP connection to the last act of the handshake. */
  readonly handshakeTimeoutMs: number;
  /** From there to the peer's `init`. */
  readonly initTimeoutMs: number;
  /** Silence after which we ping. */
  readonly idleBeforePingMs: number;
  /** Silence after a ping that ends the connection. */
  readonly pongTimeoutMs: number;
  /** How long a last message may take to leave. */
  readonly lingerMs: number;
  /** Messages waiting for us, in bytes: beyond this the socket is not read, and the peer feels it. */
  readonly inboundQueueBytes: number;
  /** Messages waiting for the peer, in bytes: beyond this the peer reads too slowly and is closed. */
  readonly outboundQueueBytes: number;
}

export const DEFAULT_LIMITS: PeerLimits = {
  handshakeTimeoutMs: 10_000,
  initTimeoutMs: 10_000,
  idleBeforePingMs: 45_000,
  pongTimeoutMs: 30_000,
  lingerMs: 1_000,
  inboundQueueBytes: 1 << 20,
  outboundQueueBytes: 8 << 20,
};

export interface PeerOptions {
  readonly keys: PeerKeys;
  /** The `features` of our init (BOLT 9). */
  readonly features: Hex;
  /** The chains we serve, as `chain_hash` (wire byte order). A peer that names others only is refused. */
  readonly chain_hashes: readonly Hex32[];
  readonly limits?: Partial<PeerLimits>;
  readonly timers?: Timers;
}

export type PeerErrorCode =
  | HandshakeErrorCode
  | CipherError['code']
  | 'invalid_node_id'
  | 'connect_failed'
  | 'handshake_timeout'
  | 'init_timeout'
  | 'init_expected'
  | 'wrong_network'
  | 'unknown_even_feature'
  | 'missing_feature_dependency'
  | 'malformed_message'
  | 'unknown_even_message'
  | 'ping_timeout'
  | 'outbound_queue_full'
  | 'handler_failed'
  | 'too_many_connections'
  | 'connection_lost'
  // A caller may close for reasons of its own.
  | (string & {});

/** Why a connection could not be made, or ended. The text names both values and no secret. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code: PeerErrorCode;

  constructor(code: PeerErrorCode, detail: string) {
    super(detail.startsWith(code) ? detail : `${code}: ${detail}`);
    this.code = code;
  }
}

export const SYSTEM_TIMERS: Timers = {
  setTimeout: (callback, milliseconds) => setTimeout(callback, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

export const limitsOf = (options: PeerOptions): PeerLimits => ({ ...DEFAULT_LIMITS, ...options.limits });
export const timersOf = (options: PeerOptions): Timers => options.timers ?? SYSTEM_TIMERS;

/** The same keys in the bytes of BOLT 8. */
export function noiseIdentity(keys: PeerKeys): NoiseIdentity {
  return { publicKey: fromHex(keys.nodeId), ecdh: (point) => keys.nodeEcdh(toPoint(point)) };
}

/** A fresh key for one handshake. */
export function generateEphemeralKey(): Uint8Array {
  const key = new Uint8Array(randomBytes(32));
  return crypto().isPrivateKey(key) ? key : generateEphemeralKey();
}
