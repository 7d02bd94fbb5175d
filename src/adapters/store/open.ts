/** Opening a log: nothing is written before the whole chain, the Merkle root and every checkpoint fit. */
import { crypto } from '../../bolt/crypto.ts';
import { toHex32, type NodeId } from '../../bolt/primitives.ts';
import { originOf, verifyCheckpoint, vkeyOf } from '../../events/checkpoint.ts';
import { createMerkleTree, type MerkleTree } from '../../events/merkle.ts';
import { registry, UnknownEventType } from '../../events/registry.ts';
import { LogCorrupt } from '../../events/store.ts';
import { createLogVerifier } from '../../events/verify.ts';
import type { CheckpointRow, FullRow, LogStorage } from './storage.ts';
import { edgeOf, type CheckpointKey } from './writer.ts';

/** Called now and then while a long log is verified. */
export type OnProgress = (progress: { readonly verified: number; readonly total: number }) => void;

export interface OpenLogOptions {
  readonly key: CheckpointKey;
  /** The newest checkpoint kept apart from the storage. */
  readonly keptApart?: string | undefined;
  /** false: trusts the rows and checks the newest checkpoint alone. */
  readonly verify: boolean;
  readonly onProgress?: OnProgress | undefined;
}

/** The checkpoint key of a node: the seed is the signer's, for the store alone. */
export function checkpointKey(nodeId: NodeId, seed: Uint8Array): CheckpointKey {
  return { origin: originOf(nodeId), seed, publicKey: crypto().ed25519PublicKey(seed) };
}

/** Answers the tree to go on with. Throws LogCorrupt with the place, or UnknownEventType. */
export function openLog(storage: LogStorage, options: OpenLogOptions): MerkleTree {
  const rows = storage.checkpoints();
  const apart = options.keptApart === undefined ? [] : [options.keptApart];
  return options.verify
    ? verifyAll(storage, rows, apart, options)
    : trustNewest(storage, rows.at(-1), apart, options.key);
}

function verifyAll(
  storage: LogStorage,
  checkpoints: readonly CheckpointRow[],
  apart: readonly string[],
  { key, onProgress }: OpenLogOptions,
): MerkleTree {
  const verifier = createLogVerifier({ checkpoints: [...checkpoints.map((row) => row.note), ...apart], key });
  const total = storage.size();
  for (const row of allRows(storage)) {
    const { position, stream, revision, entry, hash } = row;
    verifier.add({ position: BigInt(position), stream, revision: BigInt(revision), entry, hash });
    if ((position + 1) % PAGE === 0) onProgress?.({ verified: position + 1, total });
  }
  const { size, edge, types } = verifier.finish();
  storage.check();
  for (const type of types.keys()) {
    if (!registry.knows(type)) throw new UnknownEventType(type);
  }
  return createMerkleTree({ size, edge });
}

const PAGE = 1000;

function* allRows(storage: LogStorage): Generator<FullRow> {
  for (let from = 0; ;) {
    const rows = storage.fullRows(from, PAGE);
    yield* rows;
    if (rows.length < PAGE) return;
    from = rows.at(-1)!.position + 1;
  }
}

function trustNewest(
  storage: LogStorage,
  newest: CheckpointRow | undefined,
  apart: readonly string[],
  key: CheckpointKey,
): MerkleTree {
  const vkey = vkeyOf(key.origin, key.publicKey);
  const size = storage.size();
  const signed = [...(newest === undefined ? [] : [newest.note]), ...apart].map((note) => verifyCheckpoint(note, vkey));
  const longest = signed.reduce((most, note) => Math.max(most, note.size), 0);
  if ((newest?.size ?? 0) !== size || longest > size) {
    throw new LogCorrupt(`the log does not fit its newest checkpoint: expected ${longest} events, got ${size}`, {
      position: BigInt(size),
      expected: `${longest}`,
      got: `${size}`,
    });
  }
  const tree = createMerkleTree({ size, edge: edgeOf(newest?.edge ?? '') });
  const [expected, got] = [signed[0]?.root, toHex32(tree.root())];
  if (expected !== undefined && expected !== got)
    throw new LogCorrupt(`the kept Merkle edge does not fit the checkpoint: expected root ${expected}, got ${got}`, {
      expected,
      got,
    });
  return tree;
}
