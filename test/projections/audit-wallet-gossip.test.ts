/** The auditor and what stands beside the channels: coins on chain, and announcements as they stand on the wire. */
import { beforeAll, describe, expect, it } from 'vitest';
import { p2wpkh, p2wpkhScriptCode } from '../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, serialize, witnessSighash, type UnsignedTx } from '../../src/bolt/03-transactions/tx.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { decodeMessage } from '../../src/bolt/messages.ts';
import { fromHex, msat, sat, toPoint, toSignature, type Hex } from '../../src/bolt/primitives.ts';
import { signedChannelAnnouncement, unsignedChannelAnnouncement } from '../../src/domain/gossip/own-announcements.ts';
import { channelAnnouncementDigest, channelUpdateDigest } from '../../src/bolt/07-routing-gossip/verify.ts';
import { encodeMessage } from '../../src/bolt/messages.ts';
import { toHex } from '../../src/bolt/primitives.ts';
import type { ChannelUpdate } from '../../src/bolt/07-routing-gossip/announcements.ts';
import type { GossipEvent } from '../../src/events/gossip.ts';
import type { WalletEvent } from '../../src/events/wallet.ts';
import { auditGossip } from '../../src/projections/audit/gossip.ts';
import { emptyTally } from '../../src/projections/audit/report.ts';
import { auditWallet } from '../../src/projections/audit/wallet.ts';
import { named } from '../support/audited-pair.ts';

beforeAll(() => chooseCryptoBackend());

const key = (word: string): Uint8Array => fromHex(named(word));
const pointOf = (word: string) => toPoint(crypto().publicKey(key(word)));
const sign = (digest: Uint8Array, word: string) => toSignature(crypto().sign(digest, key(word)));

describe('the wallet', () => {
  const script_pubkey = () => p2wpkh(pointOf('coin key'));
  const coin = (value = 50_000n): WalletEvent => ({ type: 'CoinReceived', txid: named('funding coin'), output_index: 1, value: sat(value), script_pubkey: script_pubkey(), branch: 'receive', index: 0, block_height: 5, coinbase: false });

  function transaction(): { event: Extract<WalletEvent, { type: 'TransactionCreated' }>; change: WalletEvent } {
    const tx: UnsignedTx = { version: 2, locktime: 0, inputs: [{ txid: named('funding coin'), index: 1, sequence: 0xfffffffd }], outputs: [{ value: sat(20_000n), script_pubkey: `0014${'ab'.repeat(20)}` }, { value: sat(29_000n), script_pubkey: script_pubkey() }] };
    const signature = sign(witnessSighash(tx, 0, p2wpkhScriptCode(pointOf('coin key')), sat(50_000n)), 'coin key');
    const raw = serialize(tx, [[derSignature(signature), pointOf('coin key')]]);
    const { txid } = parseTx(raw);
    return {
      event: { type: 'TransactionCreated', txid, purpose: 'test', transaction: raw, fee_satoshis: sat(1000n), inputs: [{ txid: named('funding coin'), output_index: 1 }] },
      change: { type: 'CoinReceived', txid, output_index: 1, value: sat(29_000n), script_pubkey: script_pubkey(), branch: 'change', index: 0, block_height: 6, coinbase: false },
    };
  }

  function codeOf(...events: WalletEvent[]): string {
    const audit = auditWallet(emptyTally(), true);
    try {
      for (const event of events) audit.take(event);
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  it('passes when every transaction is signed and adds up', () => {
    const { event, change } = transaction();
    expect(codeOf(coin(), event, change)).toBe('ok');
  });

  it.each([
    ['a coin\'s value', () => [coin(50_001n), transaction().event], 'wallet_fee'],
    ['a coin\'s value and the fee to fit', () => [coin(50_001n), { ...transaction().event, fee_satoshis: sat(1001n) }], 'wrong_wallet_signature'],
    ['the fee', () => [coin(), { ...transaction().event, fee_satoshis: sat(999n) }], 'wallet_fee'],
    ['the change', () => [coin(), transaction().event, { ...transaction().change, value: sat(29_001n) } as WalletEvent], 'coin_value'],
    ['the txid', () => [coin(), { ...transaction().event, txid: named('other') }], 'wallet_txid'],
    ['the coins it spends', () => [coin(), { ...transaction().event, inputs: [] }], 'wallet_inputs'],
    ['the coin away', () => [transaction().event], 'unknown_coin'],
  ] as const)('finds that somebody changed %s', (_what, events, code) => {
    expect(codeOf(...(events() as WalletEvent[]))).toBe(code);
  });
});

describe('the gossip', () => {
  const [alice, bob] = ['alice', 'bob'].toSorted((a, b) => (pointOf(a) < pointOf(b) ? -1 : 1)) as [string, string];
  const short_channel_id = '7x1x0' as never;
  const end = (who: string) => ({ node_id: pointOf(who), bitcoin_key: pointOf(`${who} funding`) });
  const channel = () => ({ chain_hash: named('chain'), short_channel_id, local: end(alice), remote: end(bob) });

  function announced(): Extract<GossipEvent, { type: 'ChannelAnnounced' }> {
    const digest = channelAnnouncementDigest(unsignedChannelAnnouncement(channel()));
    const signatures = (who: string) => ({ node_signature: sign(digest, who), bitcoin_signature: sign(digest, `${who} funding`) });
    const raw = toHex(encodeMessage(signedChannelAnnouncement(channel(), signatures(alice), signatures(bob))));
    return { type: 'ChannelAnnounced', short_channel_id, node_id_1: pointOf(alice), node_id_2: pointOf(bob), capacity: sat(1000n), raw };
  }

  function updated(signer: string): Extract<GossipEvent, { type: 'ChannelUpdated' }> {
    const fields = { short_channel_id, channel_flags: 1, timestamp: 7, cltv_expiry_delta: 18, htlc_minimum_msat: msat(1n), htlc_maximum_msat: msat(900n), fee_base_msat: 1000, fee_proportional_millionths: 10 };
    const unsigned: ChannelUpdate = { type: 'channel_update', signature: toSignature(new Uint8Array(64)), chain_hash: named('chain'), message_flags: 1, ...fields, tlvs: {} };
    const raw = toHex(encodeMessage({ ...unsigned, signature: sign(channelUpdateDigest(unsigned), signer) }));
    return { type: 'ChannelUpdated', ...fields, raw };
  }

  function codeOf(...events: GossipEvent[]): string {
    const audit = auditGossip(emptyTally());
    try {
      for (const event of events) audit.take(event);
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    }
  }
  /** Within the first signature. */
  const flip = (raw: Hex): Hex => raw.slice(0, 60) + (raw[60] === '0' ? '1' : '0') + raw.slice(61);

  it('passes when each announcement is signed and says what the event says', () => {
    expect(codeOf(announced(), updated(bob), { type: 'AnnouncedChannelClosed', short_channel_id, block_height: 9 })).toBe('ok');
    expect(decodeMessage(fromHex(announced().raw)).type).toBe('channel_announcement');
  });

  it.each([
    ['a node id', () => [{ ...announced(), node_id_1: pointOf('mallory') }], 'gossip_node_id_1'],
    ['the bytes', () => [{ ...announced(), raw: flip(announced().raw) }], 'wrong_gossip_signature'],
    ['a fee', () => [announced(), { ...updated(bob), fee_base_msat: 1 }], 'gossip_fee_base_msat'],
    ['an amount', () => [announced(), { ...updated(bob), htlc_maximum_msat: msat(901n) }], 'gossip_htlc_maximum_msat'],
    ['the signer', () => [announced(), updated(alice)], 'wrong_gossip_signature'],
    ['the message', () => [{ ...announced(), raw: updated(bob).raw }], 'gossip_type'],
    ['the announcement away', () => [updated(bob)], 'unknown_channel'],
  ] as const)('finds that somebody changed %s', (_what, events, code) => {
    expect(codeOf(...(events() as GossipEvent[]))).toBe(code);
  });
});
