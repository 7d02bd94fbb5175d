/** From funding_created to channel_ready (BOLT 2): what the chain must show, how long it is waited for, which names a channel gets, and who may use one at once. */
import { describe, expect, it } from 'vitest';
import { serialize } from '../../../src/bolt/03-transactions/tx.ts';
import { encodeChannelType } from '../../../src/bolt/09-features/channel-types.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, shortChannelId, ZERO_32, type Hex, type ShortChannelId } from '../../../src/bolt/primitives.ts';
import { channelId } from '../../../src/bolt/02-peer-protocol/opening.ts';
import { buildCommitment } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { commitmentParams, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import type { ChannelCommand } from '../../../src/domain/channel/commands.ts';
import { FUNDING_TIMEOUT_BLOCKS, mayBeForgotten } from '../../../src/domain/channel/funding.ts';
import { owedToChain } from '../../../src/domain/channel/effects.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { accepted, codeOf, confirm, createFunding, funded, fundingTransaction, FUNDING_BLOCK, HEIGHT, openCommand, opened, strangers, type Pair, type PairOptions } from '../../support/channel-pair.ts';

type Of<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
const types = (peer: Pair['alice']) => peer.saying.map(({ type }) => type);
const NOTHING_PUSHED = { push_msat: msat(0) };

describe('the confirmed funding', () => {
  const confirmedAs = (pair: Pair, raw: Hex): Of<'ConfirmFunding'> => ({
    type: 'ConfirmFunding', funding_txid: pair.bob.established.funding.txid, funding_transaction: raw, block_height: FUNDING_BLOCK, transaction_index: 4, next_per_commitment_point: pair.bob.point(1n),
  });

  /** An accepter that was told of an outpoint which the chain shows to be something else. */
  function deceived(change: (tx: ReturnType<typeof fundingTransaction>['tx']) => ReturnType<typeof fundingTransaction>['tx']): { pair: Pair; raw: Hex } {
    const pair = accepted();
    const raw = serialize(change(fundingTransaction(pair).tx));
    // A peer that lies signs commitments that spend whatever it names.
    const { txid } = parseTx(raw);
    createFunding(pair);
    const [honest] = pair.alice.saying as [MessageOf<'funding_created'>];
    pair.alice.outbox.length = 0;
    const { terms, funding, commitments } = pair.alice.established;
    const params = commitmentParams({ terms, funding: { ...funding, txid } }, 'remote');
    const spec = commitmentSpec({ commitments }, 'remote');
    const { signature } = pair.alice.signer.signRemoteCommitment(terms.key_index, buildCommitment(params, spec), params, spec);
    pair.bob.decide(pair.bob.gather({ ...honest, funding_txid: txid, signature })!);
    expect(pair.bob.state).toMatchObject({ phase: 'opening', step: 'funded' });
    return { pair, raw };
  }

  it('safety 01: of a smaller amount never locks in, and both sides hear of it', () => {
    const { pair, raw } = deceived((tx) => ({ ...tx, outputs: tx.outputs.map((output, index) => (index === 1 ? { ...output, value: sat(999_999) } : output)) }));
    expect(codeOf(pair.bob.decide(confirmedAs(pair, raw)))).toBe('funding_amount_differs');
    expect(pair.bob.state).toMatchObject({ phase: 'abandoned', code: 'funding_amount_differs', reason: 'funding_amount_differs: expected 1000000, got 999999' });
    expect(pair.bob.saying.at(-1)).toMatchObject({ type: 'error' });
    expect(pair.bob.has('ChannelReadySent')).toEqual([]);
  });

  it('safety 01: to another script never locks in, and both sides hear of it', () => {
    const { pair, raw } = deceived((tx) => ({ ...tx, outputs: tx.outputs.map((output, index) => (index === 1 ? { ...output, script_pubkey: `0020${'77'.repeat(32)}` } : output)) }));
    expect(codeOf(pair.bob.decide(confirmedAs(pair, raw)))).toBe('funding_script_differs');
    expect(pair.bob.state.phase).toBe('abandoned');
    expect(types(pair.bob).at(-1)).toBe('error');
  });

  it('safety 01: without the output never locks in', () => {
    const { pair, raw } = deceived((tx) => ({ ...tx, outputs: tx.outputs.slice(0, 1) }));
    expect(codeOf(pair.bob.decide(confirmedAs(pair, raw)))).toBe('funding_amount_differs');
  });

  it('safety 01: that is another transaction altogether is our own chain\'s error: the channel waits for the right one', () => {
    const pair = funded();
    const other = fundingTransaction(funded({ funding_satoshis: sat(900_000) })).raw;
    expect(codeOf(pair.bob.decide(confirmedAs(pair, other)))).toBe('funding_txid_differs');
    expect(pair.bob.state).toMatchObject({ phase: 'opening', step: 'funded' });
    confirm(pair, pair.bob);
    expect(pair.bob.established.funding.confirmed).toBeDefined();
  });

  it('safety 01: stands in the fact as the chain has it, raw', () => {
    const { bob } = opened();
    const [fact] = bob.has('FundingConfirmed');
    const { txid, outputs } = parseTx(fact!.funding_transaction);
    expect([txid, outputs[fact!.funding_output_index]!.value]).toEqual([fact!.funding_txid, 1_000_000n]);
  });
});

describe('an outpoint', () => {
  it('safety 02: whose channel_id names another channel of the two is refused, and the opener hears why', () => {
    const pair = accepted();
    const { txid } = fundingTransaction(pair);
    pair.bob.channelIdsInUse.add(channelId(txid, 1));
    createFunding(pair);
    expect(codeOf(pair.deliver(pair.bob))).toBe('channel_id_in_use');
    pair.deliver(pair.alice);
    expect(pair.alice.state).toMatchObject({ phase: 'abandoned', code: 'error_from_peer' });
  });

  it('safety 20: of zeros is refused', () => {
    const pair = accepted();
    createFunding(pair);
    const message = { ...(pair.alice.saying[0] as MessageOf<'funding_created'>), funding_txid: ZERO_32, funding_output_index: 0 };
    expect(codeOf(pair.bob.decide(pair.bob.gather(message)!))).toBe('invalid_funding_outpoint');
    expect(pair.bob.state.phase).toBe('abandoned');
  });
});

describe('a funding that does not come', () => {
  const miss = (peer: Pair['alice'], height: number) => peer.decide({ type: 'MissFunding', height });

  it('is waited for by the accepter from the block on at which both had signed, for 2016 blocks', () => {
    const { alice, bob } = funded();
    expect(bob.has('FundingAwaited')).toEqual([{ type: 'FundingAwaited', block_height: HEIGHT }]);
    expect(alice.has('FundingAwaited')).toEqual([]);
    expect(miss(bob, HEIGHT + FUNDING_TIMEOUT_BLOCKS - 1)).toEqual({ accepted: [] });
    expect(codeOf(miss(bob, HEIGHT + FUNDING_TIMEOUT_BLOCKS))).toBe('funding_timeout');
    expect(bob.state).toMatchObject({ phase: 'abandoned', code: 'funding_timeout' });
    expect(types(bob).at(-1)).toBe('error');
  });

  it('is owed to the chain by an opener whose channel failed before it came, and before the commitment that spends it', () => {
    const { alice } = funded();
    alice.decide({ type: 'ReceiveError', data: 'changed my mind' });
    expect(alice.state.phase).toBe('resolving');
    expect(owedToChain(alice.state)).toEqual([{ kind: 'broadcast', what: 'funding' }, { kind: 'broadcast', what: 'commitment' }]);
  });

  it('is never given up by the opener: its money may still be on its way', () => {
    const { alice } = funded();
    expect(mayBeForgotten(alice.state)).toBe(false);
    expect(miss(alice, HEIGHT + 100_000)).toEqual({ accepted: [] });
    expect(alice.state.phase).toBe('opening');
  });

  it('is not waited for any more once it has come', () => {
    const { bob } = opened();
    expect(mayBeForgotten(bob.state)).toBe(false);
    expect(miss(bob, HEIGHT + 100_000)).toEqual({ accepted: [] });
  });

  it('of a channel in an old log is waited for from the first block that misses it', () => {
    const { bob } = funded();
    const { awaited_from: _, ...funding } = bob.established.funding;
    bob.state = { ...bob.established, phase: 'opening', step: 'funded', funding };
    expect(miss(bob, 900_000)).toEqual({ accepted: [{ type: 'FundingAwaited', block_height: 900_000 }] });
    expect(miss(bob, 900_000 + FUNDING_TIMEOUT_BLOCKS - 1)).toEqual({ accepted: [] });
    expect(codeOf(miss(bob, 900_000 + FUNDING_TIMEOUT_BLOCKS))).toBe('funding_timeout');
  });

  it('lets an error end the opening at once where nothing of ours is in it', () => {
    const { bob } = funded(NOTHING_PUSHED);
    bob.decide({ type: 'ReceiveError', data: 'changed my mind' });
    expect(bob.state).toMatchObject({ phase: 'abandoned', code: 'error_from_peer', reason: 'changed my mind' });
  });

  it('keeps a failed channel with money of ours, and no longer than the others', () => {
    const { bob } = funded();
    bob.decide({ type: 'ReceiveError', data: 'changed my mind' });
    expect(bob.state.phase).toBe('resolving');
    expect(mayBeForgotten(bob.state)).toBe(true);
    expect(codeOf(miss(bob, HEIGHT + FUNDING_TIMEOUT_BLOCKS))).toBe('funding_timeout');
    expect(bob.replayed()).toEqual(bob.state);
  });
});

describe('aliases', () => {
  const ALIAS_OF_ALICE = '16000000x1x7';
  const ALIAS_OF_BOB = '16000000x2x7';

  it('go with channel_ready both ways, and both sides keep both', () => {
    const { alice, bob } = opened();
    expect(alice.established.ready).toEqual({ sent: true, received: true, local_aliases: [ALIAS_OF_ALICE], remote_aliases: [ALIAS_OF_BOB] });
    expect(bob.established.ready).toEqual({ sent: true, received: true, local_aliases: [ALIAS_OF_BOB], remote_aliases: [ALIAS_OF_ALICE] });
    expect(alice.replayed()).toEqual(alice.state);
  });

  const readyWith = ({ alice, bob }: Pair, alias: ShortChannelId | undefined) =>
    alice.decide({
      type: 'ReceiveChannelReady', height: HEIGHT,
      message: { type: 'channel_ready', channel_id: bob.established.funding.channel_id, second_per_commitment_point: bob.point(9n), tlvs: alias === undefined ? {} : { short_channel_id: alias } },
    });

  it('may come again, changing nothing but the names', () => {
    const pair = opened();
    const { commitments } = pair.alice.established;
    readyWith(pair, shortChannelId(5, 6, 7));
    expect(pair.alice.established.ready.remote_aliases).toEqual([ALIAS_OF_BOB, '5x6x7']);
    expect(pair.alice.established.commitments).toBe(commitments);
    expect(readyWith(pair, shortChannelId(5, 6, 7))).toEqual({ accepted: [] });
    expect(readyWith(pair, undefined)).toEqual({ accepted: [] });
    expect(pair.alice.replayed()).toEqual(pair.alice.state);
  });

  it('are remembered up to eight of them: a peer cannot fill our log with names', () => {
    const pair = opened();
    for (let n = 0; n < 100; n++) readyWith(pair, shortChannelId(1, n, 0));
    expect(pair.alice.established.ready.remote_aliases).toHaveLength(8);
    expect(pair.alice.has('ChannelReadyReceived')).toHaveLength(8);
  });

  it('are sent again as they were after a reconnection', () => {
    const pair = opened();
    pair.disconnect().reconnect().deliverAll();
    expect(pair.alice.established.ready.remote_aliases).toEqual([ALIAS_OF_BOB]);
    expect(pair.alice.has('ChannelReadyReceived')).toHaveLength(1);
  });

  it('hide no channel that is announced: neither side takes one', () => {
    const hidden = { announce: true, scid_alias: true };
    const pair = strangers();
    expect(pair.alice.decide(openCommand(pair, hidden))).toMatchObject({ refused: { code: 'announced_under_alias' } });
    pair.alice.decide(openCommand(pair, { scid_alias: true }));
    const message = { ...(pair.alice.saying[0] as MessageOf<'open_channel'>), channel_flags: 1 };
    expect(pair.bob.decide(pair.bob.gather(message)!)).toMatchObject({ refused: { code: 'announced_under_alias', answer: 'warning' } });
  });
});

describe('a channel that is used before its funding is in a block', () => {
  const wish: PairOptions = { zero_conf: true, scid_alias: true, push_msat: msat(400_000_000n) };

  function trusting(options: PairOptions = wish): Pair {
    const pair = strangers(options);
    pair.bob.trusts = true;
    pair.alice.decide(openCommand(pair, options));
    pair.deliverAll();
    return pair;
  }

  it('is taken from a trusted peer alone', () => {
    const pair = strangers();
    pair.alice.decide(openCommand(pair, wish));
    expect(pair.deliver(pair.bob)).toMatchObject({ refused: { code: 'zero_conf_needs_trust', answer: 'warning', detail: { trusted: false } } });
  });

  it('is usable as soon as both have signed, by its alias; its place on chain comes later', () => {
    const pair = trusting();
    createFunding(pair);
    pair.deliverAll();
    for (const peer of pair.peers) {
      expect(peer.state.phase).toBe('normal');
      expect(peer.established).toMatchObject({ terms: { zero_conf: true, scid_alias: true, minimum_depth: 0 } });
      expect(peer.established.funding.confirmed).toBeUndefined();
    }
    pair.alice.offer();
    pair.settle();
    expect(pair.bob.established.commitments.htlcs).toHaveLength(1);
    for (const peer of pair.peers) confirm(pair, peer);
    pair.settle();
    expect(pair.bob.established.funding.confirmed?.short_channel_id).toBe(`${FUNDING_BLOCK}x4x1`);
    expect(pair.bob.has('ChannelReadySent')).toHaveLength(1);
    expect(pair.bob.replayed()).toEqual(pair.bob.state);
  });

  it('owes its funding to the chain until a block has it, from the opener', () => {
    const pair = trusting();
    createFunding(pair);
    pair.deliverAll();
    expect(owedToChain(pair.alice.state)).toEqual([{ kind: 'broadcast', what: 'funding' }]);
    expect(owedToChain(pair.bob.state)).toEqual([]);
    confirm(pair, pair.alice);
    expect(owedToChain(pair.alice.state)).toEqual([]);
  });

  it('that is not of that type waits for its confirmations, whoever trusts whom', () => {
    const pair = trusting({});
    createFunding(pair);
    pair.deliverAll();
    expect(pair.alice.state).toMatchObject({ phase: 'opening', step: 'funded', terms: { minimum_depth: 3 } });
    expect(types(pair.bob)).toEqual([]);
  });

  it('ends for an opener whose peer wants to wait after all', () => {
    const pair = strangers();
    pair.bob.trusts = true;
    pair.alice.decide(openCommand(pair, wish));
    pair.deliver(pair.bob);
    const message = { ...(pair.bob.saying[0] as MessageOf<'accept_channel'>), minimum_depth: 1 };
    expect(codeOf(pair.alice.decide(pair.alice.gather(message)!))).toBe('minimum_depth_too_large');
  });

  it('survives a reconnection at any point', () => {
    const pair = trusting();
    createFunding(pair);
    pair.deliver(pair.bob);
    pair.deliver(pair.alice); // funding_signed; channel_ready is lost on both ways
    pair.disconnect().reconnect();
    pair.settle();
    for (const peer of pair.peers) expect(peer.state.phase).toBe('normal');
  });
});

describe('terms that no channel can have', () => {
  it.each([
    ['both below the reserve', { push_msat: msat(900_000_000n) }, { channel_reserve_satoshis: sat(950_000) }, 'both_below_reserve'],
    ['an htlc_minimum_msat beyond the funding', {}, { htlc_minimum_msat: msat(990_000_001n) }, 'htlc_minimum_too_large'],
    ['a dust limit above the reserve that the same side asks for', {}, { dust_limit_satoshis: sat(9_000), channel_reserve_satoshis: sat(8_999) }, 'dust_limit_above_own_reserve'],
  ] as const)('safety 13: %s', (_what, options: PairOptions, change, code) => {
    const pair = strangers();
    pair.alice.decide(openCommand(pair, options));
    const message = { ...(pair.alice.saying[0] as MessageOf<'open_channel'>), ...change };
    expect(pair.bob.decide(pair.bob.gather(message)!)).toMatchObject({ refused: { code } });
  });

  it('a minimum_depth of weeks ends the opening', () => {
    const pair = strangers();
    pair.alice.decide(openCommand(pair));
    pair.deliver(pair.bob);
    const message = { ...(pair.bob.saying[0] as MessageOf<'accept_channel'>), minimum_depth: 145 };
    expect(codeOf(pair.alice.decide(pair.alice.gather(message)!))).toBe('minimum_depth_too_large');
  });

  it('a type that nobody defined is refused by name', () => {
    const pair = strangers();
    expect(codeOf(pair.alice.decide({ ...openCommand(pair), channel_type: '01' as Hex }))).toBe('unknown_channel_type');
    expect(encodeChannelType({ format: 'static_remotekey', scid_alias: false, zero_conf: false })).toBe('1000');
  });
});
