/** A process of its own that appends to the log at argv[2] until it is killed, and says on standard output what was answered. */
import { openSqliteStore } from '../../../src/adapters/store/sqlite.ts';
import { hex32, point } from '../../../src/bolt/primitives.ts';

const WRITERS = 8;
const nodeId = point(`02${'00'.repeat(31)}01`);
const store = await openSqliteStore({
  file: process.argv[2]!,
  nodeId,
  logKeySeed: new Uint8Array(32).fill(1),
  now: () => new Date(),
});

async function writeForEver(writer: number): Promise<void> {
  for (let n = 0; ; n += 1) {
    const cause = {
      command_id: hex32((n * WRITERS + writer).toString(16).padStart(64, '0')),
      correlation_id: hex32('00'.repeat(32)),
    };
    const revision = await store.append(
      `s${writer}`,
      n === 0 ? 'none' : BigInt(n - 1),
      [{ type: 'UpdateFeeSent', feerate_per_kw: n }],
      cause,
    );
    process.stdout.write(`s${writer} ${revision}\n`);
  }
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeForEver(writer)));
