/** Whatever a peer says at any step of an opening, nothing of ours throws, and the log tells the same story again (safety 20). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodecError } from '../../src/bolt/codec.ts';
import { decodeMessage, encodeMessage, type Message } from '../../src/bolt/messages.ts';
import { accepted, createFunding, funded, openCommand, opened, strangers, type Pair } from '../support/channel-pair.ts';

/** The openings as they stand before each message, and whose turn it is to be told nonsense. */
const STEPS = {
  'before open_channel': () => strangers(),
  'before accept_channel': () => {
    const pair = strangers();
    pair.alice.decide(openCommand(pair));
    pair.deliver(pair.bob);
    return pair;
  },
  'before funding_created': () => accepted(),
  'before funding_signed': () => {
    const pair = accepted();
    createFunding(pair);
    pair.deliver(pair.bob);
    return pair;
  },
  'before channel_ready': () => funded(),
  'when open': () => opened(),
  'when used at once, under an alias': () => opened({ zero_conf: true, scid_alias: true }),
} satisfies Readonly<Record<string, () => Pair>>;

/** Every message of an opening as it should be, from a life of its own. */
const GOOD: readonly Uint8Array[] = (() => {
  const said: Message[] = [];
  const pair = strangers();
  const listen = () => said.push(...pair.alice.saying, ...pair.bob.saying);
  pair.alice.decide(openCommand(pair));
  listen();
  pair.deliver(pair.bob);
  listen();
  pair.deliver(pair.alice);
  createFunding(pair);
  listen();
  pair.deliver(pair.bob);
  listen();
  const ready = opened();
  ready.disconnect().reconnect();
  said.push(...ready.alice.saying, ...ready.bob.saying);
  const type = { channel_id: ready.alice.established.funding.channel_id, tlvs: {} };
  said.push({ type: 'channel_ready', ...type, second_per_commitment_point: ready.bob.point(1n) }, { type: 'error', ...type, data: '00ff' });
  return said.map((message) => encodeMessage(message));
})();

/** A message of the kind, some bytes of which are zeros, noise, or missing. */
const damaged = fc.record({
  message: fc.constantFrom(...GOOD),
  from: fc.nat(400),
  length: fc.oneof(fc.constantFrom(1, 8, 32, 33, 64, 1000), fc.nat(80)),
  by: fc.oneof(fc.constant('zeros'), fc.constant('cut'), fc.constant('nothing'), fc.uint8Array({ minLength: 1, maxLength: 40 })),
}).map(({ message, from, length, by }) => {
  const bytes = message.slice();
  const start = 2 + (from % Math.max(bytes.length - 2, 1));
  if (by === 'cut') return bytes.slice(0, start);
  if (by === 'zeros') bytes.fill(0, start, start + length);
  else if (by !== 'nothing') bytes.set(by.slice(0, bytes.length - start), start);
  return bytes;
});

describe.each(Object.keys(STEPS) as (keyof typeof STEPS)[])('safety 20: %s', (step) => {
  const before = STEPS[step]();

  it('no message, however damaged, throws', () => {
    fc.assert(
      fc.property(fc.array(damaged, { minLength: 1, maxLength: 6 }), fc.boolean(), (messages, toAlice) => {
        const pair = before.fork();
        const peer = toAlice ? pair.alice : pair.bob;
        for (const bytes of messages) if (isReadable(bytes)) peer.receive(bytes);
        expect(peer.replayed()).toEqual(peer.state);
      }),
      { numRuns: 300 },
    );
  });

  it('all-zero fields are answered, and do not throw', () => {
    for (const good of GOOD) {
      for (const keep of [2, 34, 66]) {
        const pair = before.fork();
        const bytes = good.slice();
        bytes.fill(0, keep);
        for (const peer of pair.peers) if (isReadable(bytes)) peer.receive(bytes);
      }
    }
  });
});

/** What is not even a message is turned away where it is decoded, before it comes to a channel. */
function isReadable(bytes: Uint8Array): boolean {
  try {
    return decodeMessage(bytes).type !== 'unknown';
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
    return false;
  }
}
