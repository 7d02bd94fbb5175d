/** BOLT 7: which announcements we believe, and what we tell others. */
import { describe, expect, it } from 'vitest';
import type { ChannelAnnouncement, ChannelUpdate, NodeAnnouncement } from '../../src/bolt/07-routing-gossip/announcements.ts';
import { fundingScript, p2wsh } from '../../src/bolt/03-transactions/scripts.ts';
import { channelAnnouncementDigest, channelUpdateDigest, nodeAnnouncementDigest, verifyChannelAnnouncement, verifyChannelUpdate, verifyNodeAnnouncement } from '../../src/bolt/07-routing-gossip/verify.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { encodeMessage, type Message } from '../../src/bolt/messages.ts';
import { sat, toHex, toPoint, toSignature, ZERO_32, type Hex } from '../../src/bolt/primitives.ts';
import type { GossipCommand } from '../../src/domain/gossip/commands.ts';
import { decideGossip, gossipDecider } from '../../src/domain/gossip/decide.ts';
import { aliasText, signedChannelAnnouncement, unsignedChannelAnnouncement, unsignedChannelUpdate, unsignedNodeAnnouncement } from '../../src/domain/gossip/own-announcements.ts';
import { answerChannelRange, answerShortChannelIds } from '../../src/domain/gossip/queries.ts';
import { backlog, news, ownGossip, wants } from '../../src/domain/gossip/relay.ts';
import { createGossipState, evolveGossip, type GossipState } from '../../src/domain/gossip/state.ts';
import type { GossipEvent } from '../../src/events/gossip.ts';
import { amount, hash, keyOf, nodeOf, scid } from '../support/words.ts';

const CHAIN = hash('the chain');
const NOW = 1_700_000_000;
const POLICY = { fee_base_msat: 1_000, fee_proportional_millionths: 100, cltv_expiry_delta: 40, htlc_minimum_msat: amount(1) };
const sign = (digest: Uint8Array, name: string) => toSignature(crypto().sign(digest, keyOf(name)));
const fundingKey = (name: string) => toPoint(crypto().publicKey(keyOf(`funding of ${name}`)));
const rawOf = (message: Message): Hex => toHex(encodeMessage(message));

function announcementOf(a: string, b: string, id = '100x1x0', chain_hash = CHAIN): ChannelAnnouncement {
  const end = (name: string) => ({ node_id: nodeOf(name), bitcoin_key: fundingKey(name) });
  const channel = { chain_hash, short_channel_id: scid(id), local: end(a), remote: end(b) };
  const digest = channelAnnouncementDigest(unsignedChannelAnnouncement(channel));
  const signatures = (name: string) => ({ node_signature: sign(digest, name), bitcoin_signature: sign(digest, `funding of ${name}`) });
  return signedChannelAnnouncement(channel, signatures(a), signatures(b));
}

function updateOf(from: string, to: string, timestamp = NOW, change: { disabled?: boolean; fee_base_msat?: number; htlc_maximum_msat?: bigint } = {}, id = '100x1x0'): ChannelUpdate {
  const { disabled = false, fee_base_msat = 1_000, htlc_maximum_msat = 1_000_000n } = change;
  const unsigned = unsignedChannelUpdate({ chain_hash: CHAIN, short_channel_id: scid(id), local: nodeOf(from), remote: nodeOf(to), policy: { ...POLICY, fee_base_msat }, htlc_maximum_msat: amount(htlc_maximum_msat), disabled, timestamp });
  return { ...unsigned, signature: sign(channelUpdateDigest(unsigned), from) };
}

function nodeAnnouncementOf(name: string, timestamp = NOW, alias = name): NodeAnnouncement {
  const unsigned = unsignedNodeAnnouncement({ node_id: nodeOf(name), alias, features: '', addresses: [{ type: 'ipv4', host: '127.0.0.1', port: 9735 }], timestamp });
  return { ...unsigned, signature: sign(nodeAnnouncementDigest(unsigned), name) };
}

type ReceiveChannel = Extract<GossipCommand, { type: 'ReceiveChannelAnnouncement' }>;
function channelCommand(message: ChannelAnnouncement, change: Partial<ReceiveChannel> = {}): ReceiveChannel {
  const script_pubkey = p2wsh(fundingScript(message.bitcoin_key_1, message.bitcoin_key_2));
  return {
    type: 'ReceiveChannelAnnouncement',
    message,
    raw: rawOf(message),
    now: NOW,
    chain_hash: CHAIN,
    verification: verifyChannelAnnouncement(message),
    funding: { kind: 'unspent', script_pubkey, value: sat(1_000n), confirmations: 6 },
    min_confirmations: 6,
    ...change,
  };
}
const updateCommand = (message: ChannelUpdate, from: string, now = NOW): GossipCommand => ({ type: 'ReceiveChannelUpdate', message, raw: rawOf(message), now, chain_hash: CHAIN, verification: verifyChannelUpdate(message, nodeOf(from)) });
const nodeCommand = (message: NodeAnnouncement): GossipCommand => ({ type: 'ReceiveNodeAnnouncement', message, raw: rawOf(message), now: NOW, verification: verifyNodeAnnouncement(message) });

/** Folds the facts, each of which must be accepted, into a new state. */
function knowing(...commands: readonly GossipCommand[]): GossipState {
  const state = createGossipState();
  for (const command of commands) {
    const decision = decideGossip(command, state);
    if ('refused' in decision) throw new Error(decision.refused.code);
    for (const event of decision.accepted) evolveGossip(state, event);
  }
  return state;
}

const verdict = (command: GossipCommand, state = createGossipState()): string => {
  const decision = decideGossip(command, state);
  return 'refused' in decision ? decision.refused.code : (decision.accepted[0]?.type ?? 'nothing new');
};

const channel = channelCommand(announcementOf('alice', 'bob'));
const update = updateCommand(updateOf('alice', 'bob'), 'alice');

describe('a channel_announcement', () => {
  it('is believed when signatures and chain say so, once', () => {
    expect(decideGossip(channel, createGossipState())).toMatchObject({ accepted: [{ type: 'ChannelAnnounced', short_channel_id: '100x1x0', capacity: 1_000n, raw: channel.raw }] });
    expect(verdict(channel, knowing(channel))).toBe('nothing new');
  });

  it.each<[string, ReceiveChannel]>([
    ['unknown_chain', channelCommand(announcementOf('alice', 'bob', '1x1x1', ZERO_32))],
    ['unknown_even_feature', channelCommand({ ...announcementOf('alice', 'bob'), features: `40${'00'.repeat(31)}` })],
    ['funding_output_missing', { ...channel, funding: { kind: 'missing' } }],
    ['funding_script_differs', { ...channel, funding: { kind: 'unspent', script_pubkey: '0020aa', value: sat(1n), confirmations: 9 } }],
    ['too_few_confirmations', { ...channel, min_confirmations: 7 }],
    ['invalid_signature', channelCommand({ ...announcementOf('alice', 'bob'), bitcoin_signature_2: announcementOf('alice', 'carol').bitcoin_signature_2 })],
  ])('is refused: %s', (code, command) => {
    expect(verdict(command)).toBe(code);
  });

  it('with a broken signature is worth a warning; all else is ignored', () => {
    const broken = decideGossip(channelCommand({ ...announcementOf('alice', 'bob'), features: '02' }), createGossipState());
    expect(broken).toMatchObject({ refused: { answer: 'warning', detail: { reason: 'node_signature_1' } } });
    expect(decideGossip({ ...channel, funding: { kind: 'missing' } }, createGossipState())).toMatchObject({ refused: { answer: 'to_caller' } });
  });

  it('is built alike by both ends', () => {
    const end = (name: string) => ({ node_id: nodeOf(name), bitcoin_key: fundingKey(name) });
    const of = (a: string, b: string) => unsignedChannelAnnouncement({ chain_hash: CHAIN, short_channel_id: scid('1x1x1'), local: end(a), remote: end(b) });
    expect(of('alice', 'bob')).toEqual(of('bob', 'alice'));
    expect(of('alice', 'bob').node_id_1 < of('alice', 'bob').node_id_2).toBe(true);
  });
});

describe('a channel_update', () => {
  it('is believed for a channel we know, in its own direction', () => {
    const state = knowing(channel, update, updateCommand(updateOf('bob', 'alice'), 'bob'));
    const known = state.channels.get(scid('100x1x0'))!;
    expect(known.updates.map((one) => one?.timestamp)).toEqual([NOW, NOW]);
    expect(verdict(update)).toBe('unknown_channel');
  });

  it('is believed only when it is newer', () => {
    const state = knowing(channel, update);
    expect(verdict(updateCommand(updateOf('alice', 'bob', NOW, { fee_base_msat: 5 }), 'alice'), state)).toBe('nothing new');
    expect(verdict(updateCommand(updateOf('alice', 'bob', NOW + 1, { fee_base_msat: 5 }), 'alice'), state)).toBe('ChannelUpdated');
  });

  it('that repeats itself is kept once a day', () => {
    const state = knowing(channel, update);
    const again = (later: number) => verdict(updateCommand(updateOf('alice', 'bob', NOW + later), 'alice', NOW + later), state);
    expect(again(86_399)).toBe('nothing new');
    expect(again(86_400)).toBe('ChannelUpdated');
    expect(verdict(updateCommand(updateOf('alice', 'bob', NOW + 1, { disabled: true }), 'alice'), state)).toBe('ChannelUpdated');
  });

  it.each<[string, ChannelUpdate, string]>([
    ['not_to_be_forwarded', { ...updateOf('alice', 'bob'), message_flags: 3 }, 'alice'],
    ['timestamp_in_future', updateOf('alice', 'bob', NOW + 601), 'alice'],
    ['timestamp_too_old', updateOf('alice', 'bob', NOW - 14 * 86_400 - 1), 'alice'],
    ['htlc_maximum_above_capacity', updateOf('alice', 'bob', NOW, { htlc_maximum_msat: 1_000_001n }), 'alice'],
    ['invalid_signature', updateOf('alice', 'bob'), 'bob'],
  ])('is refused: %s', (code, message, signer) => {
    expect(verdict(updateCommand(message, signer), knowing(channel))).toBe(code);
  });
});

describe('a node_announcement', () => {
  it('is believed of a node with a channel, while it has one', () => {
    const state = knowing(channel, nodeCommand(nodeAnnouncementOf('alice')));
    expect(state.nodes.has(nodeOf('alice'))).toBe(true);
    expect(verdict(nodeCommand(nodeAnnouncementOf('carol')), state)).toBe('unknown_node');
    expect(verdict(nodeCommand(nodeAnnouncementOf('alice')), state)).toBe('nothing new');
    evolveGossip(state, { type: 'AnnouncedChannelClosed', short_channel_id: scid('100x1x0'), block_height: 9 });
    expect([state.channels.size, state.nodes.size, state.degrees.size]).toEqual([0, 0, 0]);
  });

  it('may have any bytes for an alias', () => {
    const decision = decideGossip(nodeCommand(nodeAnnouncementOf('alice', NOW, '\u001B[31mred\u0000\u202E')), knowing(channel));
    expect(decision).toMatchObject({ accepted: [{ alias: '[31mred' }] });
    expect(aliasText('ff'.repeat(32))).toBe('');
    expect(aliasText(unsignedNodeAnnouncement({ node_id: nodeOf('a'), alias: 'ü'.repeat(40), features: '', addresses: [], timestamp: 1 }).alias)).toBe('ü'.repeat(16));
  });
});

describe('what others are told', () => {
  const state = knowing(channel, channelCommand(announcementOf('bob', 'carol', '101x1x0')), update, nodeCommand(nodeAnnouncementOf('alice')));
  const everything = { first_timestamp: 0, timestamp_range: 0xffffffff };

  it('each channel before its updates, nodes last, and no channel without an update', () => {
    expect([...backlog(state, everything)]).toEqual([channel.raw, update.type === 'ReceiveChannelUpdate' && update.raw, state.nodes.get(nodeOf('alice'))!.raw]);
  });

  it('only what the filter admits', () => {
    expect([...backlog(state, { first_timestamp: NOW + 1, timestamp_range: 100 })]).toEqual([]);
    expect([...backlog(state, { first_timestamp: NOW - 5, timestamp_range: 5 })]).toEqual([]);
    expect([...backlog(state, { first_timestamp: NOW - 5, timestamp_range: 6 })]).toHaveLength(3);
  });

  it('what is our own, unasked', () => {
    expect([...ownGossip(state, nodeOf('alice'))]).toHaveLength(3);
    expect([...ownGossip(state, nodeOf('bob'))]).toEqual([]);
    expect(wants(undefined, newer(), true)).toBe(true);
    expect(wants(undefined, newer(), false)).toBe(false);
  });

  const newer = (): GossipEvent => ({ type: 'NodeAnnounced', node_id: nodeOf('alice'), timestamp: NOW, alias: '', raw: 'aa' });

  it('a channel together with its first update', () => {
    const fresh = knowing(channel, update);
    const event = { type: 'ChannelUpdated', short_channel_id: scid('100x1x0'), raw: 'bb' } as GossipEvent;
    expect(news(event, fresh)).toEqual([channel.raw, 'bb']);
    expect(news({ type: 'ChannelAnnounced', short_channel_id: scid('100x1x0') } as GossipEvent, fresh)).toEqual([]);
  });

  it('which channels there are, in the blocks they asked for', () => {
    const query = { type: 'query_channel_range', chain_hash: CHAIN, first_blocknum: 100, number_of_blocks: 1, tlvs: { query_option: 1 } } as const;
    expect(answerChannelRange(query, state)).toEqual([
      expect.objectContaining({ first_blocknum: 100, number_of_blocks: 1, sync_complete: 1, encoded_short_ids: ['100x1x0'], tlvs: { timestamps_tlv: [{ timestamp_node_id_1: expect.any(Number), timestamp_node_id_2: expect.any(Number) }] } }),
    ]);
    expect(answerChannelRange({ ...query, first_blocknum: 500 }, state)).toMatchObject([{ encoded_short_ids: [], sync_complete: 1 }]);
  });

  it('the whole range in replies that do not overlap', () => {
    const many = createGossipState();
    for (let n = 0; n < 8_000; n++) evolveGossip(many, { type: 'ChannelAnnounced', short_channel_id: scid(`${n}x0x0`), node_id_1: nodeOf('a'), node_id_2: nodeOf('b'), raw: '' });
    const replies = answerChannelRange({ type: 'query_channel_range', chain_hash: CHAIN, first_blocknum: 0, number_of_blocks: 10_000, tlvs: {} }, many);
    expect(replies.flatMap((reply) => reply.encoded_short_ids)).toHaveLength(8_000);
    expect(replies.map((reply) => reply.sync_complete)).toEqual([0, 0, 1]);
    expect(replies[0]!.first_blocknum).toBe(0);
    for (const [index, reply] of replies.slice(1).entries()) expect(reply.first_blocknum).toBe(replies[index]!.first_blocknum + replies[index]!.number_of_blocks);
    expect(replies.at(-1)!.first_blocknum + replies.at(-1)!.number_of_blocks).toBe(10_000);
  });

  it('the announcements of channels asked for by name', () => {
    const query = { type: 'query_short_channel_ids', chain_hash: CHAIN, encoded_short_ids: [scid('100x1x0'), scid('101x1x0'), scid('9x9x9')], tlvs: {} } as const;
    expect([...answerShortChannelIds(query, state)]).toHaveLength(3);
  });
});

describe('the decider', () => {
  it('has a state of its own each time', () => {
    evolveGossip(gossipDecider().initial, { type: 'ChannelAnnounced', short_channel_id: scid('1x1x1'), node_id_1: nodeOf('a'), node_id_2: nodeOf('b'), raw: '' });
    expect(gossipDecider().initial.channels.size).toBe(0);
  });
});
