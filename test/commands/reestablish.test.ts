/** BOLT 2, "Message Retransmission", at a whole node's door: what a peer says on a new connection, in whatever order and as often as it likes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { fromHex, msat, sat, ZERO_32 } from '../../src/bolt/primitives.ts';
import type { Session } from '../../src/commands/channel-context.ts';
import type { EstablishedState } from '../../src/domain/channel/state.ts';
import { commonFeatures, Wire, Wired } from '../support/wired-nodes.ts';

let chain: RegtestChain;
let alice: Wired;
let bob: Wired;

/** A channel between the two, usable, and the connection gone. */
beforeEach(async () => {
  chain = createRegtestChain();
  alice = await new Wired('alice', chain).start();
  bob = await new Wired('bob', chain).start();
  await alice.fund();
  const wire = new Wire(alice, bob).connect();
  await alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(200_000), push_msat: msat(50_000_000), announce: false });
  for (let round = 0; round < 3; round++) {
    await wire.settle();
    chain.mineBlocks(3);
    await chain.settled();
  }
  await wire.settle();
  expect(alice.node.channels()).toMatchObject([{ usable: true }]);
  await wire.cut();
});

afterEach(async () => {
  await Promise.all([alice.stop(), bob.stop()]);
  await chain.close();
});

const channel = (): EstablishedState => alice.node.channels()[0]!.state as EstablishedState;
const events = async (type: string) => (await alice.events()).filter((event) => event.type === type);

/** bob's place, taken by whoever knows his key and says what it likes. */
async function impostor() {
  const heard: Message[] = [];
  let open = true;
  const session: Session = {
    peer_id: bob.node.node_id,
    features: commonFeatures,
    send: (message) => open && heard.push(message) > 0,
    close: () => {
      open = false;
      alice.node.inbox.disconnected(session);
    },
  };
  alice.node.inbox.connected(session);
  await alice.node.settled();
  const say = async (message: Message): Promise<void> => {
    await alice.node.inbox.receive(message, session);
    await alice.node.settled();
  };
  return { heard, say, isOpen: () => open, leave: () => session.close('', ''), types: () => heard.map(({ type }) => type).filter((type) => !type.startsWith('gossip')) };
}

const reestablish = (change: Partial<MessageOf<'channel_reestablish'>> = {}): MessageOf<'channel_reestablish'> => ({
  type: 'channel_reestablish', channel_id: channel().funding.channel_id, next_commitment_number: 1n, next_revocation_number: 0n,
  your_last_per_commitment_secret: ZERO_32, my_current_per_commitment_point: channel().commitments.remote.point, tlvs: {}, ...change,
});

const textOf = (message: Message | undefined): string => (message !== undefined && 'data' in message ? new TextDecoder().decode(fromHex(message.data)) : `no text: ${message?.type}`);

describe('a peer on a new connection', () => {
  it('is told where we stand, and is answered with what it missed', async () => {
    const peer = await impostor();
    expect(peer.types()).toEqual(['channel_reestablish']);
    await peer.say(reestablish());
    expect(peer.types().slice(0, 2)).toEqual(['channel_reestablish', 'channel_ready']);
    expect(alice.node.channels()).toMatchObject([{ usable: true }]);
  });

  it('safety 24: that says channel_reestablish twice is heard once: the second is refused and stored nowhere', async () => {
    const peer = await impostor();
    for (let time = 0; time < 50; time++) await peer.say(reestablish());
    expect(await events('ChannelReestablishReceived')).toHaveLength(1);
    expect(peer.types().filter((type) => type === 'channel_ready')).toHaveLength(1);
    expect(textOf(peer.heard.at(-1))).toContain('channel_reestablish_repeated');
    expect(alice.node.channels()).toMatchObject([{ usable: true }]);
  });

  it('that says anything else first is hung up on, and nothing of it counts', async () => {
    const peer = await impostor();
    await peer.say({ type: 'update_fee', channel_id: channel().funding.channel_id, feerate_per_kw: 2_000, tlvs: {} });
    expect(peer.isOpen()).toBe(false);
    expect(textOf(peer.heard.at(-1))).toContain('channel_reestablish_expected');
    expect(channel().phase).toBe('normal');
  });

  it('that speaks of a channel nobody knows hears an error for it, and keeps its others', async () => {
    const peer = await impostor();
    await peer.say(reestablish({ channel_id: '77'.repeat(32) as MessageOf<'channel_reestablish'>['channel_id'] }));
    expect(peer.heard.at(-1)).toMatchObject({ type: 'error', channel_id: '77'.repeat(32) });
    await peer.say(reestablish());
    expect(alice.node.channels()).toMatchObject([{ usable: true }]);
  });

  it.each([2n ** 48n, 2n ** 48n + 1n, 2n ** 48n + 2n, 2n ** 64n - 1n])('that names a number no commitment can have (%i) fails its channel, and the node goes on', async (huge) => {
    const peer = await impostor();
    await peer.say(reestablish({ next_revocation_number: huge, your_last_per_commitment_secret: '11'.repeat(32) as typeof ZERO_32 }));
    expect(channel()).toMatchObject({ phase: 'resolving', failure: { code: 'peer_ahead' } });
    expect(textOf(peer.heard.findLast(({ type }) => type === 'error'))).toContain(`got ${huge}`);
    expect(alice.log.filter((line) => line.includes('stopped'))).toEqual([]);
  });

  it('hears of a failed channel with each connection: its error', async () => {
    await alice.node.closeChannel(alice.node.channels()[0]!.stream, { force: true });
    for (let connection = 0; connection < 2; connection++) {
      const peer = await impostor();
      expect(peer.types()).toEqual(['error']);
      peer.leave();
    }
  });
});
