/** Gossip between nodes on one chain: what is announced is checked, kept, told on, and forgotten when it is spent. */
import { afterEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createMemoryDisk } from '../../src/adapters/store/memory-storage.ts';
import { channelAnnouncementDigest } from '../../src/bolt/07-routing-gossip/verify.ts';
import { buildClosing, signedClosing } from '../../src/bolt/03-transactions/closing-tx.ts';
import { fundingScript, p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import type { Message, MessageOf } from '../../src/bolt/messages.ts';
import { fromHex, msat, sat, shortChannelId, type ShortChannelId } from '../../src/bolt/primitives.ts';
import { createGossipInbox, type GossipInbox, type OwnAnnouncement } from '../../src/commands/gossip-inbox.ts';
import { unsignedChannelAnnouncement } from '../../src/domain/gossip/own-announcements.ts';
import type { Refusal } from '../../src/domain/decider.ts';
import { amount, hash } from '../support/words.ts';

const NOW = 1_700_000_000;
const POLICY = { fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40, htlc_minimum_msat: amount(1) };
const CAPACITY = sat(1_000_000n);

const running: GossipInbox[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((inbox) => inbox.stop()));
});

interface GossipNode {
  readonly name: string;
  readonly signer: ReturnType<typeof createSigner>;
  readonly inbox: GossipInbox;
  readonly warned: Refusal[];
  readonly heard: Message[];
}

async function nodeOn(chain: RegtestChain, name: string, disk = createMemoryDisk()): Promise<GossipNode> {
  const signer = createSigner(fromHex(hash(`seed of ${name}`)), { network: 'bitcoin-regtest' });
  const store = await openMemoryStore({ disk });
  const inbox = await createGossipInbox({ store, chain, signer, now: () => NOW });
  running.push(inbox);
  return { name, signer, inbox, warned: [], heard: [] };
}

/** A wire that never fails; each side notes what it hears. */
function connect(a: GossipNode, b: GossipNode): void {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    from.inbox.onPeerConnected({
      node_id: to.signer.nodeId,
      send(message) {
        to.heard.push(message);
        setTimeout(() => to.inbox.onMessage(from.signer.nodeId, message), 0);
        return true;
      },
      warn: (refusal) => from.warned.push(refusal),
    });
  }
}

const keyOf = (node: GossipNode) => node.signer.channelKeys(0).funding_pubkey;

/** Funds a 2-of-2 of both nodes and mines it. */
function fundChannel(chain: RegtestChain, a: GossipNode, b: GossipNode): ShortChannelId {
  const { txid, output_index } = chain.fund(p2wsh(fundingScript(keyOf(a), keyOf(b))), CAPACITY);
  const block = chain.mineBlocks(1)[0]!;
  chain.mineBlocks(5);
  const transaction = block.transactions.findIndex((candidate) => candidate.txid === txid);
  return shortChannelId(block.height, transaction, output_index);
}

function announcementBy(chain: RegtestChain, local: GossipNode, remote: GossipNode, short_channel_id: ShortChannelId): OwnAnnouncement {
  const ends = { local: { node_id: local.signer.nodeId, bitcoin_key: keyOf(local) }, remote: { node_id: remote.signer.nodeId, bitcoin_key: keyOf(remote) } };
  const digest = channelAnnouncementDigest(unsignedChannelAnnouncement({ chain_hash: chain.chain_hash, short_channel_id, ...ends }));
  return {
    key_index: 0,
    short_channel_id,
    ...ends,
    remote_signatures: remote.signer.signChannelAnnouncement(0, digest),
    capacity: CAPACITY,
    policy: POLICY,
    htlc_maximum_msat: msat(500_000_000n),
  };
}

async function announce(chain: RegtestChain, a: GossipNode, b: GossipNode, id: ShortChannelId): Promise<void> {
  await Promise.all([a.inbox.announceOwnChannel(announcementBy(chain, a, b, id)), b.inbox.announceOwnChannel(announcementBy(chain, b, a, id))]);
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries++) {
    if (tries > 2_000) throw new Error('it never came true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const policiesAt = (node: GossipNode, id: ShortChannelId) => node.inbox.graph().channels.get(id)?.policies.filter((policy) => policy !== undefined) ?? [];

describe('gossip', () => {
  it('of a new channel reaches those who do not have it, in both directions', async () => {
    const chain = createRegtestChain();
    const [alice, bob, carol] = [await nodeOn(chain, 'alice'), await nodeOn(chain, 'bob'), await nodeOn(chain, 'carol')];
    connect(alice, bob);
    connect(bob, carol);
    const id = fundChannel(chain, alice, bob);
    await announce(chain, alice, bob, id);
    await bob.inbox.announceOwnNode({ alias: 'bob', features: '', addresses: [] });
    await until(() => policiesAt(carol, id).length === 2 && carol.inbox.counters().nodes === 1);
    expect(policiesAt(carol, id)[0]).toMatchObject({ fee_base_msat: 1_000, htlc_maximum_msat: 500_000_000 });
    expect(carol.inbox.graph().channels.get(id)!.capacity_msat).toBe(1_000_000_000);
    expect(carol.heard.findIndex((message) => message.type === 'channel_announcement')).toBeLessThan(carol.heard.findIndex((message) => message.type === 'channel_update'));
  });

  it('counts although an update overtakes the announcement of its channel', async () => {
    const chain = createRegtestChain();
    const [alice, bob] = [await nodeOn(chain, 'alice'), await nodeOn(chain, 'bob')];
    const id = fundChannel(chain, alice, bob);
    connect(bob, alice);
    await announce(chain, bob, alice, id);
    await until(() => alice.heard.some(({ type }) => type === 'channel_update'));
    const late = await nodeOn(chain, 'alice');
    const update = alice.heard.find(({ type }) => type === 'channel_update');
    late.inbox.onMessage(bob.signer.nodeId, update!);
    await late.inbox.settled();
    expect(policiesAt(late, id)).toEqual([]);
    await late.inbox.announceOwnChannel(announcementBy(chain, late, bob, id));
    await until(() => policiesAt(late, id).length === 2);
    expect(late.inbox.counters().refused).toBe(0);
  });

  it('is no news when a node only says of itself what it said before', async () => {
    const chain = createRegtestChain();
    const [alice, bob] = [await nodeOn(chain, 'alice'), await nodeOn(chain, 'bob')];
    connect(alice, bob);
    await announce(chain, alice, bob, fundChannel(chain, alice, bob));
    for (const alias of ['bob', 'bob', 'robert']) await bob.inbox.announceOwnNode({ alias, features: '', addresses: [] });
    const told = () => alice.heard.filter(({ type }) => type === 'node_announcement').length;
    await until(() => told() > 1);
    await alice.inbox.settled();
    expect(told()).toBe(2);
  });

  it('is told to a peer that comes later, when it asks', async () => {
    const chain = createRegtestChain();
    const [alice, bob, carol, dave] = [await nodeOn(chain, 'alice'), await nodeOn(chain, 'bob'), await nodeOn(chain, 'carol'), await nodeOn(chain, 'dave')];
    connect(alice, bob);
    const id = fundChannel(chain, alice, bob);
    await announce(chain, alice, bob, id);
    connect(carol, bob);
    await until(() => policiesAt(carol, id).length === 2);
    connect(dave, carol);
    await until(() => policiesAt(dave, id).length === 2);
  });

  it('is kept over a restart, announced once, and changes only when the policy does', async () => {
    const chain = createRegtestChain();
    const disk = createMemoryDisk();
    const [alice, bob] = [await nodeOn(chain, 'alice', disk), await nodeOn(chain, 'bob')];
    const id = fundChannel(chain, alice, bob);
    await alice.inbox.announceOwnChannel(announcementBy(chain, alice, bob, id));
    await alice.inbox.announceOwnChannel(announcementBy(chain, alice, bob, id));
    await alice.inbox.stop();
    const again = await nodeOn(chain, 'alice', disk);
    const policy = { short_channel_id: id, remote: bob.signer.nodeId, policy: POLICY, htlc_maximum_msat: msat(500_000_000n), disabled: false };
    await again.inbox.announceOwnPolicy(policy);
    const timestampNow = () => policiesAt(again, id)[0]!.timestamp;
    expect(timestampNow()).toBe(NOW);
    await again.inbox.announceOwnPolicy({ ...policy, disabled: true });
    expect(policiesAt(again, id)[0]).toMatchObject({ disabled: true, timestamp: NOW + 1 });
  });

  it('ends when the funding output is spent, seen live or after a restart', async () => {
    const chain = createRegtestChain();
    const disk = createMemoryDisk();
    const [alice, bob, carol] = [await nodeOn(chain, 'alice', disk), await nodeOn(chain, 'bob'), await nodeOn(chain, 'carol')];
    connect(alice, carol);
    const id = fundChannel(chain, alice, bob);
    await alice.inbox.announceOwnChannel(announcementBy(chain, alice, bob, id));
    await until(() => carol.inbox.counters().channels === 1);
    await alice.inbox.stop();
    expect(await chain.broadcast(closeOf(chain, alice, bob, id))).toEqual({ ok: true });
    chain.mineBlocks(1);
    await until(() => carol.inbox.counters().channels === 0);
    const again = await nodeOn(chain, 'alice', disk);
    await until(() => again.inbox.counters().channels === 0);
  });
});

/** Both sign the funding output away. */
function closeOf(chain: RegtestChain, a: GossipNode, b: GossipNode, id: ShortChannelId): string {
  const [height, transaction, funding_output_index] = id.split('x').map(Number) as [number, number, number];
  const closing = buildClosing({
    funding_txid: chain.blockAt(height)!.transactions[transaction]!.txid,
    funding_output_index,
    funding_satoshis: CAPACITY,
    local_funding_pubkey: keyOf(a),
    remote_funding_pubkey: keyOf(b),
    local_script: `0014${'aa'.repeat(20)}`,
    remote_script: `0014${'bb'.repeat(20)}`,
    local_sat: sat(600_000n),
    remote_sat: sat(400_000n),
    fee_satoshis: sat(500n),
    opener: 'local',
    dust_limit_satoshis: sat(354n),
  })!;
  return signedClosing(closing, a.signer.signClosing(0, closing), b.signer.signClosing(0, closing));
}

describe('what a peer says wrongly', () => {
  const lie = async (change: (announcement: MessageOf<'channel_announcement'>) => Message) => {
    const chain = createRegtestChain();
    const [alice, bob, carol] = [await nodeOn(chain, 'alice'), await nodeOn(chain, 'bob'), await nodeOn(chain, 'carol')];
    connect(alice, carol);
    const id = fundChannel(chain, alice, bob);
    await alice.inbox.announceOwnChannel(announcementBy(chain, alice, bob, id));
    const announcement = alice.heard.concat(carol.heard).find((message) => message.type === 'channel_announcement') as MessageOf<'channel_announcement'>;
    const mallory = await nodeOn(chain, 'mallory');
    const victim = await nodeOn(chain, 'victim');
    connect(victim, mallory);
    victim.inbox.onMessage(mallory.signer.nodeId, change(announcement));
    await victim.inbox.settled();
    return victim;
  };

  it('is not believed, and a broken signature is answered with a warning', async () => {
    const victim = await lie((announcement) => ({ ...announcement, bitcoin_key_1: announcement.bitcoin_key_2 }));
    expect(victim.inbox.counters()).toMatchObject({ channels: 0, refused: 1 });
    expect(victim.warned).toMatchObject([{ code: 'invalid_signature' }]);
  });

  it('of another chain is ignored', async () => {
    const victim = await lie((announcement) => ({ ...announcement, chain_hash: hash('another') }));
    expect(victim.inbox.counters()).toMatchObject({ channels: 0, refused: 1 });
    expect(victim.warned).toEqual([]);
  });

  it('told truly is believed', async () => {
    const victim = await lie((announcement) => announcement);
    expect(victim.inbox.counters()).toMatchObject({ channels: 1, refused: 0 });
  });
});

describe('a flood', () => {
  it('is dropped beyond a bound, and a slow peer is not waited for', async () => {
    const chain = createRegtestChain();
    const alice = await nodeOn(chain, 'alice');
    const node = { type: 'node_announcement', signature: '00'.repeat(64), features: '', timestamp: NOW, node_id: alice.signer.nodeId, rgb_color: '000000', alias: '00'.repeat(32), addresses: [], tlvs: {} } as unknown as Message;
    for (let n = 0; n < 21_000; n++) alice.inbox.onMessage(alice.signer.nodeId, node);
    expect(alice.inbox.counters().dropped).toBeGreaterThan(900);
    expect(alice.inbox.counters().waiting).toBeLessThanOrEqual(20_000);
  });
});
