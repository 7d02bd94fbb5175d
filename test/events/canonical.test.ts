/** One byte form per event: what is written, what is refused. */
import { describe, expect, it } from 'vitest';
import {
  canonicalData,
  canonicalEntry,
  canonicalJson,
  digestEntry,
  NotCanonical,
  parseEntry,
  type LogEntry,
} from '../../src/events/canonical.ts';
import { ZERO_HASH, eventId, eventIds, sealEvents } from '../../src/events/envelope.ts';
import { sampleEvent } from '../support/sample-events.ts';
import { hex32 } from '../../src/bolt/primitives.ts';

const entry: LogEntry = {
  causation_id: hex32('0a'.repeat(32)),
  correlation_id: hex32('0b'.repeat(32)),
  data: { amount_msat: 5n, alias: 'alice' },
  id: '4c2a4a30-2b0f-5d3e-9b3f-1f2e3d4c5b6a',
  previous_hash: ZERO_HASH,
  recorded_at: '2026-01-02T03:04:05.678Z',
  revision: 0n,
  stream: 'node',
  type: 'Sample',
};

describe('canonical JSON', () => {
  it('sorts keys, drops undefined, writes a bigint as a decimal string and leaves no whitespace', () => {
    expect(canonicalJson({ b: [1, true, null], a: { d: undefined, c: 12n }, B: 'x' })).toBe(
      '{"B":"x","a":{"c":"12"},"b":[1,true,null]}',
    );
  });

  it('escapes as JSON.stringify does and does not normalise', () => {
    const composed = 'é';
    const decomposed = 'e\u0301';
    expect(canonicalJson(['"\\\n\u0000\u2028', composed, decomposed, '\u{1f9fe}', '\ud800'])).toBe(
      JSON.stringify(['"\\\n\u0000\u2028', composed, decomposed, '\u{1f9fe}', '\ud800']),
    );
  });

  it('sorts by UTF-16 code unit, as RFC 8785 does', () => {
    // The order of RFC 8785, section 3.2.3.
    const keys = ['\u20ac', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', '\u00f6'];
    const written = canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])));
    expect(Object.keys(JSON.parse(written) as object)).toEqual([
      '1',
      '\r',
      '\u0080',
      '\u00f6',
      '\u20ac',
      '\ud83d\ude00',
      '\ufb33',
    ]);
  });

  it.each([
    ['a float', 0.5],
    ['NaN', NaN],
    ['infinity', Infinity],
    ['an unsafe integer', 2 ** 53],
    ['minus zero', -0],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['undefined', undefined],
    ['undefined in a list', [undefined]],
    ['a date', new Date(0)],
    ['bytes', new Uint8Array(2)],
    ['a map', new Map()],
  ])('refuses %s', (_name, value) => {
    expect(() => canonicalJson(value)).toThrow(NotCanonical);
  });

  it('refuses data nested without end', () => {
    const deep = (levels: number): unknown => (levels === 0 ? 0 : [deep(levels - 1)]);
    expect(canonicalJson(deep(32))).toHaveLength(65);
    expect(() => canonicalJson(deep(33))).toThrow('deeper than 32');
  });

  it("leaves the type out of an event's data", () => {
    expect(canonicalData(sampleEvent('UpdateFeeSent'))).toBe('{"feerate_per_kw":99999}');
  });
});

describe('an entry', () => {
  it('is one line with its fields in order', () => {
    expect(canonicalEntry(entry)).toBe(
      `{"causation_id":"${'0a'.repeat(32)}","correlation_id":"${'0b'.repeat(32)}","data":{"alias":"alice","amount_msat":"5"},` +
        `"id":"4c2a4a30-2b0f-5d3e-9b3f-1f2e3d4c5b6a","previous_hash":"${'00'.repeat(32)}","recorded_at":"2026-01-02T03:04:05.678Z","revision":"0","stream":"node","type":"Sample"}`,
    );
  });

  it('is itself canonical JSON', () => {
    expect(canonicalEntry(entry)).toBe(canonicalJson(entry));
  });

  it('reads back', () => {
    expect(parseEntry(canonicalEntry(entry))).toEqual({ ...entry, data: { alias: 'alice', amount_msat: '5' } });
  });

  const text = canonicalEntry(entry);
  it.each([
    ['whitespace', text.replace('","', '", "')],
    ['another order of keys', text.replace('"alias":"alice","amount_msat":"5"', '"amount_msat":"5","alias":"alice"')],
    ['a key twice', text.replace('"alias"', '"alias":"bob","alias"')],
    ['a needless escape', text.replace('alice', '\\u0061lice')],
    ['another number form', text.replace('"5"', '5.0')],
    ['a missing field', text.replace(',"type":"Sample"', '')],
    ['a field too many', text.replace('{"causation_id"', '{"a":1,"causation_id"')],
    ['upper-case hex', text.replace('0a0a', '0A0a')],
    ['a revision as a number', text.replace('"revision":"0"', '"revision":0')],
    ['a revision with a leading zero', text.replace('"revision":"0"', '"revision":"00"')],
    ['no JSON', text.slice(0, -1)],
    ['a list', '[]'],
    ['a bottomless nest', text.replace('"5"', `${'['.repeat(9000)}${']'.repeat(9000)}`)],
  ])('with %s is refused', (_name, other) => {
    expect(other).not.toBe(text);
    expect(() => parseEntry(other)).toThrow(NotCanonical);
  });

  it('has at most 65,535 bytes', () => {
    const long = (length: number) => 'é'.repeat(length / 2) + 'x'.repeat(length % 2);
    expect(digestEntry(long(65_535)).hash).toHaveLength(64);
    expect(() => digestEntry(long(65_536))).toThrow('at most 65535');
    expect(() => digestEntry('x'.repeat(200_000))).toThrow('at most 65535');
  });
});

describe('sealing an append', () => {
  const cause = { command_id: hex32('01'.repeat(32)), correlation_id: hex32('02'.repeat(32)) };
  const events = [sampleEvent('UpdateFeeSent'), sampleEvent('CommitmentSignedSent')];
  const at = {
    stream: 'channel-a',
    firstRevision: 3n,
    previousHash: hex32('aa'.repeat(32)),
    recorded_at: '2026-01-02T03:04:05.678Z',
  };

  it('chains the entries and counts their revisions', () => {
    const [first, second] = sealEvents({ ...at, cause, events });
    expect([first!.revision, second!.revision]).toEqual([3n, 4n]);
    expect(first!.previous_hash).toBe(at.previousHash);
    expect(second!.previous_hash).toBe(first!.hash);
    expect(parseEntry(second!.entry)).toMatchObject({
      previous_hash: first!.hash,
      revision: 4n,
      type: 'CommitmentSignedSent',
    });
  });

  it('derives ids that are UUIDs, the same for the same command, for ever', () => {
    const id = eventId(cause.command_id, 0);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(id).toBe('ebdeb509-cb87-57d4-b7a8-3476aab8d7b4');
    expect(eventId(cause.command_id, 1)).not.toBe(id);
    expect(sealEvents({ ...at, cause, events }).map((sealed) => sealed.id)).toEqual([id, eventId(cause.command_id, 1)]);
  });

  it('counts within each command where an append carries several', () => {
    const other = { ...cause, command_id: hex32('03'.repeat(32)) };
    expect(eventIds([cause, other, cause], 3)).toEqual([
      eventId(cause.command_id, 0),
      eventId(other.command_id, 0),
      eventId(cause.command_id, 1),
    ]);
  });
});
