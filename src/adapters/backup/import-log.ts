/** A bundle becomes a log again: every entry verified as it comes, then a database that a node opens as its own. */
import { toHex, toHex32, type NodeId } from '../../bolt/primitives.ts';
import { readBundle } from '../../events/bundle.ts';
import { originOf, signCheckpoint } from '../../events/checkpoint.ts';
import { createMerkleTree } from '../../events/merkle.ts';
import { StoreError } from '../../events/store.ts';
import { createLogVerifier, type LogVerifier } from '../../events/verify.ts';
import { checkpointKey } from '../store/open.ts';
import { openSqliteStorage } from '../store/sqlite-storage.ts';
import type { LogStorage } from '../store/storage.ts';

export interface ImportOptions {
  /** The new database; there is none yet. */
  readonly file: string;
  readonly bundle: AsyncIterable<Uint8Array | string>;
  readonly node_id: NodeId;
  readonly logKeySeed: Uint8Array;
}

/** Rows of one transaction. */
const GROUP = 2000;

/** Answers the number of events. Throws StoreError where the bundle is another node's, or its chains or checkpoints do not fit. */
export async function importLog({ file, bundle, node_id, logKeySeed }: ImportOptions): Promise<number> {
  const key = checkpointKey(node_id, logKeySeed);
  const verifier = createLogVerifier({ key });
  const storage = openSqliteStorage({ file });
  try {
    await insertAll(storage, bundle, verifier, node_id);
    const { size, edge } = verifier.finish();
    const tree = createMerkleTree({ size, edge });
    const note = signCheckpoint({ origin: originOf(node_id), size, root: toHex32(tree.root()) }, key);
    storage.begin();
    storage.saveCheckpoint({ size, note, edge: edge.map(toHex).join('') });
    storage.commit();
    return size;
  } finally {
    storage.close();
  }
}

async function insertAll(storage: LogStorage, bundle: ImportOptions['bundle'], verifier: LogVerifier, node_id: NodeId): Promise<void> {
  let waiting = 0;
  for await (const line of readBundle(bundle)) {
    if (line.kind === 'header' && line.header.node_id !== node_id) {
      throw new StoreError('another_nodes_bundle', `the bundle is the log of ${line.header.node_id}, the seed is that of ${node_id}`, { expected: node_id, got: line.header.node_id });
    }
    if (line.kind === 'checkpoint') verifier.expect(line.note);
    if (line.kind !== 'entry') continue;
    const { stream, revision, hash } = verifier.add(line);
    if (waiting === 0) storage.begin();
    storage.insert({ position: Number(line.position), stream, revision: Number(revision), entry: line.entry, hash });
    waiting = (waiting + 1) % GROUP;
    if (waiting === 0) storage.commit();
  }
  if (waiting > 0) storage.commit();
}
