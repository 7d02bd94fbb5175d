/** Builds small sealed logs for the tests of verification. */
import { crypto } from '../../src/bolt/crypto.ts';
import { hex32, toHex, toHex32, toPoint, toSignature, type Hex32 } from '../../src/bolt/primitives.ts';
import { logKeyStatement, originOf, signCheckpoint } from '../../src/events/checkpoint.ts';
import { sealEvents, ZERO_HASH, type SealedEntry } from '../../src/events/envelope.ts';
import { createMerkleTree } from '../../src/events/merkle.ts';
import type { Event } from '../../src/events/registry.ts';
import { sampleEvent } from '../support/sample-events.ts';

const nodeKey = new Uint8Array(32).fill(2);
export const seed = new Uint8Array(32).fill(1);
export const publicKey = crypto().ed25519PublicKey(seed);
export const node_id = toPoint(crypto().publicKey(nodeKey));
export const origin = originOf(node_id);

/** The log's first event, its key truly signed by the node. */
export function nodeInitialized(): Event {
  const claim = { node_id, chain_hash: hex32('06'.repeat(32)), log_public_key: toHex(publicKey) };
  const signature = toSignature(crypto().sign(logKeyStatement(claim), nodeKey));
  return { ...sampleEvent('NodeInitialized'), ...claim, signature } as Event;
}

export const commandId = (n: number): Hex32 => hex32(n.toString(16).padStart(64, '0'));

/** Seals one event per step, in order; answers the entries and the checkpoint after each. */
export function logOf(steps: readonly (readonly [stream: string, event: Event])[]) {
  const ends = new Map<string, { revision: bigint; hash: Hex32 }>();
  const tree = createMerkleTree();
  const entries: SealedEntry[] = [];
  const checkpoints: string[] = [];
  for (const [index, [stream, event]] of steps.entries()) {
    const end = ends.get(stream);
    const at = {
      stream,
      firstRevision: (end?.revision ?? -1n) + 1n,
      previousHash: end?.hash ?? ZERO_HASH,
      recorded_at: '2026-01-02T03:04:05.678Z',
    };
    const cause = { command_id: commandId(index), correlation_id: commandId(0) };
    const [sealed] = sealEvents({ ...at, cause, events: [event] }) as [SealedEntry];
    ends.set(stream, sealed);
    entries.push(sealed);
    tree.append(sealed.leaf);
    checkpoints.push(signCheckpoint({ origin, size: tree.size(), root: toHex32(tree.root()) }, { seed, publicKey }));
  }
  return { entries, checkpoints };
}
