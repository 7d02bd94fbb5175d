/** The log verifier: a whole log passes, any damage is named with its place. */
import { describe, expect, it } from 'vitest';
import { toHex32 } from '../../src/bolt/primitives.ts';
import { signCheckpoint } from '../../src/events/checkpoint.ts';
import { createMerkleTree } from '../../src/events/merkle.ts';
import { LogCorrupt } from '../../src/events/store.ts';
import { createLogVerifier, type LogVerifierOptions, type StoredEntry } from '../../src/events/verify.ts';
import { sampleEvent } from '../support/sample-events.ts';
import { commandId, logOf, nodeInitialized, origin, publicKey, seed } from './log-of.ts';

const key = { seed, publicKey };

const fee = (feerate_per_kw: number) =>
  ({ ...sampleEvent('UpdateFeeSent'), feerate_per_kw }) as ReturnType<typeof sampleEvent>;
const steps = [
  ['node', nodeInitialized()],
  ['a', fee(1)],
  ['b', fee(2)],
  ['a', fee(3)],
  ['a', fee(4)],
  ['b', fee(5)],
] as const;
const { entries, checkpoints } = logOf(steps);
const stored: readonly StoredEntry[] = entries.map(({ entry, hash }, position) => ({
  position: BigInt(position),
  entry,
  hash,
}));
const newest = checkpoints.at(-1)!;

function verify(log: readonly StoredEntry[], options: LogVerifierOptions = { checkpoints: [newest] }) {
  const verifier = createLogVerifier(options);
  for (const entry of log) verifier.add(entry);
  return verifier.finish();
}

/** Puts the entries at consecutive positions again. */
const renumbered = (log: readonly StoredEntry[]) =>
  log.map((entry, position) => ({ ...entry, position: BigInt(position) }));

function thrown(action: () => unknown): LogCorrupt {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(LogCorrupt);
    return error as LogCorrupt;
  }
  throw new Error('nothing was thrown');
}

describe('a whole log', () => {
  it('verifies against its newest checkpoint, and against all of them in any order', () => {
    expect(verify(stored)).toMatchObject({ size: 6, streams: 3, checkpoints: 1 });
    expect(verify(stored, { checkpoints: [...checkpoints].reverse() }).checkpoints).toBe(6);
    expect([...verify(stored).types]).toEqual([
      ['NodeInitialized', 1],
      ['UpdateFeeSent', 5],
    ]);
  });

  it('takes checkpoints as they come', () => {
    const verifier = createLogVerifier();
    for (const [index, entry] of stored.entries()) {
      verifier.add(entry);
      verifier.expect(checkpoints[index]!);
    }
    expect(verifier.finish().checkpoints).toBe(6);
    expect(() => verifier.expect(checkpoints[0]!)).toThrow('comes too late');
  });

  it('may have been signed for while it was empty, as event databases are when they are opened', () => {
    const empty = (signer: typeof key) => signCheckpoint({ origin, size: 0, root: toHex32(createMerkleTree().root()) }, signer);
    expect(verify(stored, { checkpoints: [empty(key), newest] }).checkpoints).toBe(2);
    const stranger = empty({ seed: new Uint8Array(32).fill(9), publicKey });
    expect(thrown(() => verify(stored, { checkpoints: [stranger, newest] })).message).toContain('signature of the checkpoint of size 0 is wrong');
  });

  it('may be a log that another key is known for', () => {
    expect(verify(stored, { checkpoints: [newest], key: { origin, publicKey } }).size).toBe(6);
  });

  it('may be empty', () => {
    expect(verify([], {}).size).toBe(0);
  });
});

describe('damage', () => {
  const changed = (position: number, change: (entry: string) => string) =>
    stored.map((entry) => (entry.position === BigInt(position) ? { ...entry, entry: change(entry.entry) } : entry));

  it('a changed amount: the hash does not fit', () => {
    const log = changed(3, (entry) => entry.replace('"feerate_per_kw":3', '"feerate_per_kw":9'));
    expect(thrown(() => verify(log)).detail).toMatchObject({ position: 3n, stream: 'a', revision: 1n });
  });

  it('a changed amount with a fresh hash: the chain breaks at the next event of the stream', () => {
    const log = changed(3, (entry) => entry.replace('"feerate_per_kw":3', '"feerate_per_kw":9')).map((entry) => ({
      ...entry,
      hash: undefined,
    }));
    const error = thrown(() => verify(log));
    expect(error.message).toContain('the hash chain of the stream is broken at position 4 (stream a, revision 2)');
    expect(error.detail).toMatchObject({ position: 4n, stream: 'a', revision: 2n });
  });

  it('a stream rewritten with a fresh chain: the checkpoint does not fit', () => {
    const forged = logOf(steps.map(([stream, event], index) => [stream, index === 3 ? fee(9) : event] as const));
    const log = forged.entries.map(({ entry, hash }, position) => ({ position: BigInt(position), entry, hash }));
    expect(verify(log, { checkpoints: forged.checkpoints }).size).toBe(6);
    expect(thrown(() => verify(log, { checkpoints })).message).toContain(
      'not those of the checkpoint signed for size 4',
    );
    expect(thrown(() => verify(log)).detail).toMatchObject({ position: 5n });
  });

  it('the last event cut', () => {
    expect(thrown(() => verify(stored.slice(0, -1))).message).toBe(
      'the log is cut short: a checkpoint was signed for more events at position 5: expected 6 events, got 5 events',
    );
  });

  it('an event added without a checkpoint', () => {
    expect(thrown(() => verify(stored, { checkpoints: [checkpoints[4]!] })).message).toContain(
      'events after its newest checkpoint',
    );
    expect(verify(stored, { checkpoints: [checkpoints[4]!], allowUnsignedTail: true }).size).toBe(6);
  });

  it('two events of a stream swapped', () => {
    const log = renumbered([...stored.slice(0, 3), stored[4]!, stored[3]!, stored[5]!]);
    expect(thrown(() => verify(log)).message).toContain(
      'the revisions of the stream have a gap at position 3 (stream a, revision 2): expected 1, got 2',
    );
  });

  it('two events of different streams swapped: only the tree tells', () => {
    const log = renumbered([stored[0]!, stored[2]!, stored[1]!, ...stored.slice(3)]);
    expect(thrown(() => verify(log)).message).toContain('not those of the checkpoint signed for size 6');
  });

  it('an event missing in the middle, or there twice', () => {
    expect(thrown(() => verify(renumbered(stored.filter((entry) => entry.position !== 3n)))).detail).toMatchObject({
      expected: '1',
      got: '2',
    });
    expect(thrown(() => verify(stored.filter((entry) => entry.position !== 3n))).message).toContain(
      'positions have a gap at position 3',
    );
    expect(thrown(() => verify(renumbered([...stored, stored[5]!]))).detail).toMatchObject({
      stream: 'b',
      expected: '2',
      got: '1',
    });
  });

  it('an event that moved to another stream, a wrong column, an id of nobody', () => {
    expect(thrown(() => verify(stored.map((entry) => ({ ...entry, stream: 'a' })))).message).toContain(
      'the stream column does not fit',
    );
    expect(thrown(() => verify(stored.map((entry) => ({ ...entry, revision: 7n })))).message).toContain(
      'the revision column does not fit',
    );
    const id = /"id":"[0-9a-f]/;
    const log = changed(1, (entry) =>
      entry.replace(id, (text) => text.slice(0, -1) + (text.endsWith('0') ? '1' : '0')),
    ).map((entry) => ({ ...entry, hash: undefined }));
    expect(thrown(() => verify(log)).message).toContain('the event id does not derive from its command');
  });

  it('an entry in another form', () => {
    expect(thrown(() => verify(changed(2, (entry) => entry.replace(':2}', ': 2}')))).message).toContain(
      'not in canonical form at position 2',
    );
    expect(thrown(() => verify(changed(2, () => 'garbage'))).message).toContain('not JSON');
  });

  it('a checkpoint of a stranger, and one that is none', () => {
    const stranger = signCheckpoint(
      { origin, size: 6, root: commandId(1) },
      { seed: new Uint8Array(32).fill(9), publicKey },
    );
    expect(thrown(() => verify(stored, { checkpoints: [stranger] })).message).toContain(
      'signature of the checkpoint of size 6 is wrong',
    );
    expect(thrown(() => verify(stored, { checkpoints: ['garbage'] })).code).toBe('log_corrupt');
  });

  it('a log whose key no node vouches for', () => {
    const [, ...rest] = steps;
    const signature = 'ab'.repeat(64) as never;
    const forged = logOf([['node', { ...nodeInitialized(), signature } as never], ...rest]);
    const log = forged.entries.map(({ entry }, position) => ({ position: BigInt(position), entry }));
    expect(thrown(() => verify(log, { checkpoints: [forged.checkpoints.at(-1)!] })).message).toContain(
      "the node's signature on the log's key is wrong",
    );
    expect(thrown(() => verify(renumbered(stored.slice(1)))).message).toContain('does not open with its key');
  });
});
