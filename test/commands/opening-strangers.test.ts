/** What strangers may make a node remember, and that their channels never stand in for each other's (safety 02 and 16). */
import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { channelId } from '../../src/bolt/02-peer-protocol/opening.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { fromHex, point, reverseHex32, sat, toHex32, type Hex32 } from '../../src/bolt/primitives.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import type { Session } from '../../src/commands/channel-context.ts';
import { Stranger } from '../support/stranger.ts';
import { Wire, Wired, type WiredOptions } from '../support/wired-nodes.ts';
import { hash } from '../support/words.ts';

let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function victim(options: WiredOptions = {}): Promise<{ chain: RegtestChain; bob: Wired }> {
  const chain = createRegtestChain();
  const bob = await new Wired('bob', chain, options).start();
  ends.push(() => chain.close(), () => bob.stop());
  return { chain, bob };
}

const channelsOf = ({ node }: Wired, peer: Stranger) => node.channels().filter(({ stream }) => stream.includes(peer.session.peer_id)).map(({ state }) => state);
const textOf = ({ data }: MessageOf<'error'>) => Buffer.from(data, 'hex').toString();
const isSigned = (message: Message): message is MessageOf<'funding_signed'> => message.type === 'funding_signed';
const isError = (message: Message): message is MessageOf<'error'> => message.type === 'error';

/** Another outpoint with the same channel_id: its txid differs in the bits that the index flips. */
function colliding(txid: Hex32): readonly [Hex32, number] {
  const bytes = fromHex(reverseHex32(txid)).slice();
  bytes[31]! ^= 1;
  return [reverseHex32(toHex32(bytes)), 1];
}

describe('safety 02', () => {
  const txid = hash('a funding transaction');

  it('the same outpoint twice, from one peer: the second opening ends with an error, the first goes on', async () => {
    const { bob } = await victim();
    const mallory = new Stranger('mallory', bob.node);
    const [first, second] = [await mallory.open(), await mallory.open()];
    await mallory.say(first(txid, 0));
    await mallory.hears(isSigned);
    await mallory.say(second(txid, 0));
    expect(textOf(await mallory.hears(isError))).toContain(`makes channel_id ${channelId(txid, 0)}, which names another channel between us`);
    await bob.node.settled();
    expect(channelsOf(bob, mallory).map(({ phase }) => phase)).toEqual(['opening', 'abandoned']);
  });

  it('two outpoints whose channel_id is the same, from one peer: the second opening ends with an error', async () => {
    const { bob } = await victim();
    const [other, index] = colliding(txid);
    expect([channelId(other, index), other === txid]).toEqual([channelId(txid, 0), false]);
    const mallory = new Stranger('mallory', bob.node);
    const [first, second] = [await mallory.open(), await mallory.open()];
    await mallory.say(first(txid, 0));
    await mallory.hears(isSigned);
    await mallory.say(second(other, index));
    await mallory.hears(isError);
    await bob.node.settled();
    const [kept] = channelsOf(bob, mallory);
    expect(kept).toMatchObject({ phase: 'opening', step: 'funded', funding: { txid, output_index: 0 } });
  });

  it('both at the same moment: one of them has the name', async () => {
    const { bob } = await victim();
    const mallory = new Stranger('mallory', bob.node);
    const [first, second] = [await mallory.open(), await mallory.open()];
    await Promise.all([mallory.say(first(txid, 0)), mallory.say(second(...colliding(txid)))]);
    await mallory.hears(isError);
    await bob.node.settled();
    expect(channelsOf(bob, mallory).map(({ phase }) => phase).toSorted()).toEqual(['abandoned', 'opening']);
    expect(mallory.heard.filter(isSigned)).toHaveLength(1);
  });

  it('the same outpoint from two peers: two channels, each under its own peer; what one says never reaches the other, after a restart either', async () => {
    const { bob } = await victim();
    const [mallory, mike] = [new Stranger('mallory', bob.node), new Stranger('mike', bob.node)];
    await mallory.say((await mallory.open())(txid, 0));
    await mike.say((await mike.open())(...colliding(txid)));
    await mallory.hears(isSigned);
    await mike.hears(isSigned);
    await bob.restart();
    const again = new Stranger('mike', bob.node);
    await again.say({ type: 'error', channel_id: channelId(txid, 0), data: '6e6f', tlvs: {} });
    await bob.node.settled();
    expect(channelsOf(bob, again)).toMatchObject([{ phase: 'abandoned', code: 'error_from_peer' }]);
    expect(channelsOf(bob, mallory)).toMatchObject([{ phase: 'opening', step: 'funded', funding: { txid, output_index: 0 } }]);
  });

  it('an opening cannot take a channel\'s name as its temporary one', async () => {
    const { bob } = await victim();
    const mallory = new Stranger('mallory', bob.node);
    await mallory.say((await mallory.open())(txid, 0));
    await mallory.hears(isSigned);
    await mallory.say(mallory.proposal(channelId(txid, 0)).message);
    expect(textOf(await mallory.hears(isError))).toContain('temporary_channel_id_in_use');
  });
});

describe('safety 16', () => {
  /** A node_id like any other: 02 and 32 bytes. Nobody checks a point that has done no handshake. */
  const idOf = (n: number) => point(`02${n.toString(16).padStart(64, '0')}`);

  it.each([
    ['100,000', 'one in three stays connected', 100_000, 3],
    ['20,000', 'all leave at once', 20_000, Number.POSITIVE_INFINITY],
  ])('%s openings from new ids, of whom %s: few are kept, the log hardly grows, blocks are still watched, and who is known may open', async (_many, _what, openings, every) => {
    const { chain, bob } = await victim();
    const alice = await new Wired('alice', chain).start();
    ends.push(() => alice.stop());
    await alice.fund();
    const wire = new Wire(alice, bob).connect();
    const open = () => alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(200_000), announce: false });
    await open();
    for (let round = 0; round < 2; round++) {
      await wire.settle();
      chain.mineBlocks(3);
      await chain.settled();
    }
    await wire.settle();
    expect(bob.node.channels()).toMatchObject([{ usable: true }]);

    const { message } = new Stranger('mallory', bob.node).proposal();
    const answers = new Map<string, number>();
    const before = (await bob.events()).length;
    const started = performance.now();
    let slowestBlock = 0;
    for (let n = 1; n <= openings; n++) {
      const session: Session = { peer_id: idOf(n), send: (said) => (count(answers, said), true), close: () => undefined };
      bob.node.inbox.connected(session);
      await bob.node.inbox.receive(message, session);
      // What they opened is abandoned then.
      if (n % every !== 0) bob.node.inbox.disconnected(session);
      if (n % (openings / 10) !== 0) continue;
      const mined = performance.now();
      chain.mineBlocks(1);
      await bob.node.reached((await chain.tip()).height);
      slowestBlock = Math.max(slowestBlock, performance.now() - mined);
    }
    const seconds = (performance.now() - started) / 1000;
    await bob.node.settled();
    const grown = (await bob.events()).length - before;
    console.info(`${openings} openings in ${seconds.toFixed(1)} s: ${JSON.stringify(Object.fromEntries(answers))}, ${bob.node.channels().length} in memory, ${grown} facts, slowest block ${slowestBlock.toFixed(0)} ms`);
    expect(answers.get('error')! + answers.get('accept_channel')!).toBe(openings);
    // Ten blocks let at most 256 openings each come to nothing, and 64 wait.
    expect(answers.get('accept_channel')).toBeLessThanOrEqual(11 * (256 + 64));
    expect(bob.node.channels().length).toBeLessThanOrEqual(1 + 64 + 256);
    expect(grown).toBeLessThanOrEqual(3 * 11 * (256 + 64));
    expect(slowestBlock).toBeLessThan(2_000);
    expect(seconds).toBeLessThan(20);

    // alice has a channel that cost her something: she does not stand in the strangers' queue.
    chain.mineBlocks(1);
    await chain.settled();
    await open();
    await wire.settle();
    expect(wire.heard.filter((line) => line === 'bob <- funding_created')).toHaveLength(2);
  }, 60_000);

  it('a funding that never comes is waited for 2016 blocks, also by a node that was away, and then its place is free again', async () => {
    const { chain, bob } = await victim({ limits: { max_pending_per_peer: 1 } });
    const mallory = new Stranger('mallory', bob.node);
    await mallory.say((await mallory.open())(hash('no transaction'), 0));
    await mallory.hears(isSigned);
    const mine = async (blocks: number) => {
      chain.mineBlocks(blocks);
      await bob.node.reached((await chain.tip()).height);
      await bob.node.settled();
    };
    await mine(2_000);
    await bob.restart();
    await mine(15);
    expect(channelsOf(bob, mallory)).toMatchObject([{ phase: 'opening', step: 'funded' }]);
    const again = new Stranger('mallory', bob.node);
    await again.say(again.proposal(hash('one more')).message);
    expect(textOf(await again.hears(isError))).toContain('too_many_pending_channels_of_peer');
    await mine(1);
    expect(channelsOf(bob, mallory)).toMatchObject([{ phase: 'abandoned', code: 'funding_timeout' }]);
    await again.open(hash('another'));
  });

  it('one peer opens four channels at a time and no more; a trusted one does not wait for the others', async () => {
    const { bob } = await victim({ limits: { max_pending: 5 } });
    const mallory = new Stranger('mallory', bob.node);
    for (let n = 0; n < 4; n++) await mallory.open();
    await mallory.say(mallory.proposal().message);
    expect(textOf(await mallory.hears(isError))).toContain('too_many_pending_channels_of_peer: channels 4, limit 4');
    await new Stranger('mike', bob.node).open();
    const late = new Stranger('late', bob.node);
    await late.say(late.proposal().message);
    expect(textOf(await late.hears(isError))).toContain('too_many_pending_channels: channels 5, limit 5');
  });

  it('a trusted peer opens where strangers have to wait', async () => {
    const { chain } = await victim();
    const trusted = new Stranger('trusted', { node_id: idOf(1), inbox: { connected: () => undefined, disconnected: () => undefined } } as never).session.peer_id;
    const bob = await new Wired('carol', chain, { limits: { max_pending: 1 }, trusted_peers: [trusted] }).start();
    ends.push(() => bob.stop());
    await new Stranger('mallory', bob.node).open();
    const late = new Stranger('late', bob.node);
    await late.say(late.proposal().message);
    expect(textOf(await late.hears(isError))).toContain('too_many_pending_channels');
    await new Stranger('trusted', bob.node).open();
    expect(bob.node.channels()).toHaveLength(2);
  });

  it('channels with one peer, and in all, have an end', async () => {
    const { bob } = await victim({ limits: { max_channels_per_peer: 1, max_channels: 2 } });
    const mallory = new Stranger('mallory', bob.node);
    await mallory.open();
    await mallory.say(mallory.proposal().message);
    expect(textOf(await mallory.hears(isError))).toContain('too_many_channels_of_peer: channels 1, limit 1');
    await new Stranger('mike', bob.node).open();
    const late = new Stranger('late', bob.node);
    await late.say(late.proposal().message);
    expect(textOf(await late.hears(isError))).toContain('too_many_channels: channels 2, limit 2');
  });

  it('a peer whose openings came to nothing opens under a new name after a restart, too', async () => {
    const { bob } = await victim();
    for (let life = 0; life < 3; life++) {
      const mallory = new Stranger('mallory', bob.node);
      await mallory.open();
      mallory.leave();
      await bob.node.settled();
      await bob.restart();
    }
    const streams = bob.node.channels().map(({ stream }) => stream.slice(stream.lastIndexOf('-')));
    expect(streams).toEqual(['-0', '-1', '-2']);
    expect(bob.node.channels().every(({ state }) => !isEstablished(state))).toBe(true);
  });
});

function count(answers: Map<string, number>, { type }: Message): void {
  if (type === 'error' || type === 'accept_channel') answers.set(type, (answers.get(type) ?? 0) + 1);
}
