/**
 * A log written once and kept for ever: every event type decodes and encodes to the very bytes that were hashed then.
 * `FREEZE=1 npx vitest run test/events/frozen.test.ts` adds the types that are missing; a line that stands is never changed.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hex32, type Hex32 } from '../../src/bolt/primitives.ts';
import { canonicalData, canonicalEntry, digestEntry, parseEntry } from '../../src/events/canonical.ts';
import { sealEvents, ZERO_HASH } from '../../src/events/envelope.ts';
import { allEvents, decodeEvent } from '../../src/events/registry.ts';
import { createLogVerifier } from '../../src/events/verify.ts';
import { sampleEvents } from '../support/sample-events.ts';

const file = new URL('../fixtures/events/every-type.txt', import.meta.url);

/** A line: hash, space, entry. */
const lines = (): string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);
const parsed = () => lines().map((line) => ({ hash: line.slice(0, 64), entry: line.slice(65) }));

function freeze(): void {
  const frozen = new Set(parsed().map(({ entry }) => parseEntry(entry).type));
  const missing = sampleEvents().filter((event) => !frozen.has(event.type));
  const previousHash = (lines().at(-1)?.slice(0, 64) ?? ZERO_HASH) as Hex32;
  const cause = { command_id: hex32('c0'.repeat(32)), correlation_id: hex32('c1'.repeat(32)) };
  const causes = missing.map((_, index) => ({
    ...cause,
    command_id: hex32((frozen.size + index).toString(16).padStart(64, '0')),
  }));
  const sealed = sealEvents({
    stream: 'frozen',
    firstRevision: BigInt(frozen.size),
    previousHash,
    cause: causes,
    recorded_at: '2026-01-02T03:04:05.678Z',
    events: missing,
  });
  writeFileSync(file, [...lines(), ...sealed.map(({ hash, entry }) => `${hash} ${entry}`), ''].join('\n'));
}

if (process.env['FREEZE'] === '1') freeze();

describe('the frozen log', () => {
  it('holds every event type', () => {
    const frozen = new Set(parsed().map(({ entry }) => parseEntry(entry).type));
    expect(allEvents.map((schema) => schema.shape.type.value).filter((type) => !frozen.has(type))).toEqual([]);
  });

  it.each(parsed().map((line) => ({ ...line, type: parseEntry(line.entry).type })))(
    'still reads and writes $type byte for byte',
    ({ hash, entry }) => {
      const read = parseEntry(entry);
      const event = decodeEvent(read.type, read.data);
      const again = canonicalEntry({ ...read, data: JSON.parse(canonicalData(event)) as unknown });
      expect(again).toBe(entry);
      expect(digestEntry(again).hash).toBe(hash);
    },
  );

  it('is one unbroken chain', () => {
    const verifier = createLogVerifier({ allowUnsignedTail: true });
    expect(() => verifier.add({ position: 0n, ...parsed()[0]! })).toThrow('does not open with its key');
    const key = { origin: 'fulgurite/frozen', publicKey: new Uint8Array(32) };
    const whole = createLogVerifier({ allowUnsignedTail: true, key });
    for (const [position, line] of parsed().entries()) whole.add({ position: BigInt(position), ...line });
    expect(whole.finish().size).toBe(parsed().length);
  });
});
