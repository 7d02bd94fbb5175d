/** BOLT 2, "Closing Negotiation: closing_complete and closing_sig": each side is the closer of a transaction of its own. */
import { describe, expect, it } from 'vitest';
import { signedClosing } from '../../../src/bolt/03-transactions/closing-tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { MessageOf } from '../../../src/bolt/messages.ts';
import { msat, sat, type Hex, type Signature } from '../../../src/bolt/primitives.ts';
import type { CloseWish } from '../../../src/domain/channel/commands.ts';
import { simpleClosing } from '../../../src/domain/channel/closing-transactions.ts';
import { bestClose, CLOSE_PATIENCE, closesToPublish, mutualCloseTxids, payerOf } from '../../../src/domain/channel/mutual-closes.ts';
import type { ClosingOutputs } from '../../../src/events/channel/simple-close.ts';
import { codeOf, HEIGHT, opened, scriptOf, type Pair, type PairOptions, type Peer } from '../../support/channel-pair.ts';

type ClosingComplete = MessageOf<'closing_complete'>;
type ClosingSig = MessageOf<'closing_sig'>;

const COMMON = { anysegwit: true, simple_close: true };
const BURN: Hex = `6a08${'66'.repeat(8)}`;

const closing = ({ state }: Peer) => {
  if (state.phase !== 'closing') throw new Error(`phase ${state.phase}`);
  return state;
};
const answered = (peer: Peer, message: ClosingComplete | ClosingSig | MessageOf<'shutdown'>) => peer.decide(peer.gather(message)!);
const wish = (peer: Peer, wished: CloseWish) => peer.decide({ type: 'ProposeClosing', feerate_per_kw: peer.closingFeerate, locktime: HEIGHT, common: COMMON, wish: wished });
const closesOf = (peer: Peer) => peer.broadcasts.filter(({ what }) => what === 'closing').map(({ raw }) => ({ raw, ...parseTx(raw) }));
const bestTxid = (peer: Peer) => bestClose(closing(peer))!.closing_txid;
/** Of the close that pays most: what a chain would keep of all that this side has published. */
const outputsOf = (peer: Peer) => closesOf(peer).find(({ txid }) => txid === bestTxid(peer))!.outputs;

/** Both shutdowns have passed; nobody has proposed a close. */
function quiet(options: PairOptions = {}, scripts: { readonly alice?: Hex; readonly bob?: Hex } = {}): Pair {
  const pair = opened({ simple_close: true, ...options });
  pair.alice.decide({ type: 'CloseChannel', scriptpubkey: scripts.alice ?? scriptOf('alice'), common: COMMON });
  pair.bob.decide({ type: 'CloseChannel', scriptpubkey: scripts.bob ?? scriptOf('bob'), common: COMMON });
  pair.deliverAll();
  expect(pair.peers.map(({ state }) => state.phase)).toEqual(['closing', 'closing']);
  return pair;
}

/** What `closer` would sign for these terms. */
function proposal(closer: Peer, said: Partial<Omit<ClosingComplete, 'type' | 'tlvs' | 'channel_id'>>, outputs: readonly ClosingOutputs[]): ClosingComplete {
  const { scripts, funding, terms } = closing(closer);
  const all = { closer_scriptpubkey: scripts.local, closee_scriptpubkey: scripts.remote, fee_satoshis: sat(500), locktime: 0, ...said };
  const tlvs = Object.fromEntries(outputs.map((variant) => [variant, closer.signer.signClosing(terms.key_index, simpleClosing(closer.established, { closer: 'local', ...all }, variant)!)]));
  return { type: 'closing_complete', channel_id: funding.channel_id, ...all, tlvs };
}

describe('a close with option_simple_close', () => {
  it.each(['alice', 'bob'] as const)('wished for by %s: it pays for its haste, the other side offers the least that is relayed, and both publish the same', (name) => {
    const pair = opened({ simple_close: true });
    pair[name].wantsToClose = true;
    pair.settle();
    const { alice, bob } = pair;
    for (const peer of pair.peers) {
      expect(peer.has('ClosingCompleteSent')).toMatchObject([{ closer_scriptpubkey: scriptOf(peer.name), fee_satoshis: peer.name === name ? 676n : 171n, locktime: HEIGHT }]);
      for (const type of ['ClosingCompleteReceived', 'ClosingSigSent', 'ClosingSigReceived'] as const) expect(peer.has(type)).toHaveLength(1);
      expect(peer.has('ClosingSignedSent')).toEqual([]);
      expect(peer.state).toMatchObject({ phase: 'closing', proposal: 'done' });
      expect(peer.replayed()).toEqual(peer.state);
    }
    expect(bestTxid(alice)).toBe(bestTxid(bob));
    const published = pair.peers.map((peer) => new Set(closesOf(peer).map(({ txid }) => txid)));
    expect(published[0]).toEqual(published[1]);
    const byCloser = closesOf(alice).find(({ txid }) => payerOf(closing(alice), txid) === 'local')!;
    expect(byCloser.outputs).toEqual([
      { value: 400_000n, script_pubkey: scriptOf('bob') },
      { value: 600_000n - (name === 'alice' ? 676n : 171n), script_pubkey: scriptOf('alice') },
    ]);
    expect(payerOf(closing(pair[name]), bestTxid(alice))).toBe('local');
    expect(byCloser.inputs[0]!.sequence).toBe(0xfffffffd);
    expect(payerOf(closing(bob), byCloser.txid)).toBe('remote');
  });

  it('whose shutdowns crossed is paid for by either at its own feerate', () => {
    const pair = quiet();
    pair.bob.closingFeerate = 2_000;
    pair.settle();
    expect(pair.peers.map((peer) => peer.has('ClosingCompleteSent')[0]!.fee_satoshis)).toEqual([676n, 1_352n]);
    expect(payerOf(closing(pair.bob), bestTxid(pair.bob))).toBe('local');
  });

  it('the side with more signs for both variants, the side with less for the one with both outputs', () => {
    const { alice, bob } = quiet();
    for (const peer of [alice, bob]) peer.followUp();
    expect(alice.has('ClosingCompleteSent')[0]!.outputs).toEqual(['closer_output_only', 'closer_and_closee_outputs']);
    expect(bob.has('ClosingCompleteSent')[0]!.outputs).toEqual(['closer_and_closee_outputs']);
    expect(Object.keys((alice.saying[0] as ClosingComplete).tlvs)).toEqual(['closer_output_only', 'closer_and_closee_outputs']);
  });

  it('with one side that does not know it is negotiated by closing_signed', () => {
    const pair = quiet();
    pair.bob.features = new Set(['option_shutdown_anysegwit']);
    expect(codeOf(answered(pair.bob, proposal(pair.alice, {}, ['closer_and_closee_outputs'])))).toBe('unexpected_message');
    pair.alice.features = pair.bob.features;
    pair.settle();
    expect(pair.peers.map((peer) => peer.has('ClosingCompleteSent').length)).toEqual([0, 0]);
    expect(bestTxid(pair.alice)).toBe(bestTxid(pair.bob));
  });

  it('closing_signed is out of place where both know it', () => {
    const pair = quiet();
    const message: MessageOf<'closing_signed'> = { type: 'closing_signed', channel_id: pair.bob.established.funding.channel_id, fee_satoshis: sat(500), signature: '5c'.repeat(64) as Signature, tlvs: {} };
    expect(pair.bob.decide(pair.bob.gather(message)!)).toMatchObject({ refused: { code: 'unexpected_message', answer: 'warning' } });
  });

  it('a side that cannot pay for a transaction leaves it to the other', () => {
    const pair = opened({ simple_close: true, push_msat: msat(100_000n) });
    pair.bob.wantsToClose = true;
    pair.settle();
    expect(pair.bob.has('ClosingCompleteSent')).toEqual([]);
    expect(pair.alice.has('ClosingCompleteSent')[0]!.outputs).toEqual(['closer_output_only']);
    expect(outputsOf(pair.bob)).toEqual([{ value: 999_900n - 676n, script_pubkey: scriptOf('alice') }]);
  });

  it('a side whose output would be dust gives it to the fee', () => {
    const pair = opened({ simple_close: true, push_msat: msat(900_000n) });
    pair.bob.wantsToClose = true;
    pair.settle();
    expect(pair.bob.has('ClosingCompleteSent')).toMatchObject([{ fee_satoshis: 676n, outputs: ['closee_output_only'] }]);
    const closes = closing(pair.alice).closes.signed;
    expect(closes.map(({ closer, outputs }) => `${closer} ${outputs}`).sort()).toEqual(['local closer_and_closee_outputs', 'remote closee_output_only']);
    // bob's close pays his 900 sat in all: more than alice's 676.
    expect(bestClose(closing(pair.alice))!.pays).toBe(900n);
    expect(outputsOf(pair.alice)).toEqual([{ value: 999_100n, script_pubkey: scriptOf('alice') }]);
  });

  it('an OP_RETURN script gives all of its side to the fee', () => {
    const { alice, bob } = quiet({ push_msat: msat(2_000_000n) }, { bob: BURN });
    bob.followUp();
    expect(codeOf(answered(alice, bob.saying[0] as ClosingComplete))).toBeUndefined();
    expect(outputsOf(alice)).toEqual([{ value: 0n, script_pubkey: BURN }, { value: 998_000n, script_pubkey: scriptOf('alice') }]);
  });
});

describe('the closee', () => {
  it.each([
    ['a fee beyond the balance of its sender', { fee_satoshis: sat(600_001) }, 'closing_fee_exceeds_balance'],
    ['a script that is not the last we sent', { closee_scriptpubkey: scriptOf('bob of old') }, 'closee_scriptpubkey_differs'],
    ['a script of no standard form', { closer_scriptpubkey: '51' }, 'invalid_shutdown_script'],
    ['an OP_RETURN with too little in it', { closer_scriptpubkey: '6a0100' }, 'invalid_shutdown_script'],
  ] as const)('refuses %s', (_what, said, code) => {
    const { alice, bob } = quiet();
    const message = { ...proposal(alice, {}, ['closer_and_closee_outputs']), ...said };
    expect(answered(bob, message)).toMatchObject({ refused: { code, answer: 'disconnect' } });
    expect(closing(bob).closes.signed).toEqual([]);
  });

  it('refuses a script other than the one promised at the opening', () => {
    const { alice, bob } = quiet({ upfront: { alice: scriptOf('alice') } });
    const message = proposal(alice, { closer_scriptpubkey: scriptOf('mallory') }, ['closer_and_closee_outputs']);
    expect(answered(bob, message)).toMatchObject({ refused: { code: 'upfront_shutdown_script_differs', detail: { expected: scriptOf('alice'), got: scriptOf('mallory') } } });
  });

  it('refuses a signature that is missing, or for something else', () => {
    const { alice, bob } = quiet();
    expect(answered(bob, proposal(alice, {}, ['closer_output_only']))).toMatchObject({ refused: { code: 'closing_signature_missing', detail: { expected: 'closee_output_only', got: 'closer_output_only' } } });
    const other = { ...proposal(alice, {}, ['closer_and_closee_outputs']), fee_satoshis: sat(501) };
    expect(answered(bob, other)).toMatchObject({ refused: { code: 'invalid_closing_signature', answer: 'disconnect' } });
    const wrongField = proposal(alice, {}, ['closer_output_only', 'closer_and_closee_outputs']);
    const swapped = { ...wrongField, tlvs: { closer_and_closee_outputs: wrongField.tlvs.closer_output_only } };
    expect(codeOf(answered(bob, swapped))).toBe('invalid_closing_signature');
  });

  it('refuses a signature with a high S', () => {
    const { alice, bob } = quiet();
    const message = proposal(alice, {}, ['closer_and_closee_outputs']);
    const low = message.tlvs.closer_and_closee_outputs!;
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const high = (low.slice(0, 64) + (order - BigInt(`0x${low.slice(64)}`)).toString(16).padStart(64, '0')) as Signature;
    expect(codeOf(answered(bob, { ...message, tlvs: { closer_and_closee_outputs: high } }))).toBe('invalid_closing_signature');
  });

  it('never signs its own output away while it is worth having', () => {
    const { alice, bob } = quiet();
    const both = proposal(alice, {}, ['closer_output_only', 'closer_and_closee_outputs']);
    answered(bob, both);
    expect(bob.has('ClosingSigSent')).toMatchObject([{ outputs: 'closer_and_closee_outputs' }]);
    expect(outputsOf(bob)).toContainEqual({ value: 400_000n, script_pubkey: scriptOf('bob') });
  });

  it('takes any fee and any locktime that the closer likes: the closer pays', () => {
    const { alice, bob } = quiet();
    answered(bob, proposal(alice, { fee_satoshis: sat(0), locktime: 4_000_000_000 }, ['closer_and_closee_outputs']));
    answered(bob, proposal(alice, { fee_satoshis: sat(599_000), locktime: 7 }, ['closer_and_closee_outputs']));
    expect(closing(bob).closes.signed.map(({ fee_satoshis }) => fee_satoshis)).toEqual([0n, 599_000n]);
    expect(bestClose(closing(bob))!.pays).toBe(599_000n);
  });

  it('signs closes that no block may hold for long, and goes by none of them', () => {
    const { alice, bob } = quiet();
    const both = ['closer_and_closee_outputs'] as const;
    const unanswered = () => bob.fork().decide({ type: 'FailClosing', blocks: CLOSE_PATIENCE, height: HEIGHT });
    for (let n = 0; n < 10; n++) answered(bob, proposal(alice, { fee_satoshis: sat(9_000 + n), locktime: HEIGHT + CLOSE_PATIENCE + 1 + n }, both));
    answered(bob, proposal(alice, { fee_satoshis: sat(10) }, both));
    expect(closing(bob).closes.signed).toHaveLength(11);
    expect(unanswered()).toMatchObject({ accepted: [{ type: 'ChannelFailed', code: 'closing_unanswered' }] });
    answered(bob, proposal(alice, { fee_satoshis: sat(500) }, both));
    expect(unanswered()).toEqual({ accepted: [] });
    // Ten that pay more stand in nobody's way.
    expect(closesToPublish(closing(bob), HEIGHT).slice(0, 2).map(({ pays }) => pays)).toEqual([500n, 10n]);
  });

  it('signs a hundred closes of a restless closer, and each of those as often as it is asked, but not one more', () => {
    const { alice, bob } = quiet();
    for (let fee = 200n; fee < 300n; fee++) answered(bob, proposal(alice, { fee_satoshis: sat(fee) }, ['closer_and_closee_outputs']));
    expect(codeOf(answered(bob, proposal(alice, { fee_satoshis: sat(250) }, ['closer_and_closee_outputs'])))).toBeUndefined();
    expect(answered(bob, proposal(alice, { fee_satoshis: sat(300) }, ['closer_and_closee_outputs']))).toMatchObject({ refused: { code: 'too_many_closes', detail: { signed: 100, limit: 100 } } });
  });
});

describe('closing_sig', () => {
  /** alice has proposed; this is bob's answer. */
  function answer(options: PairOptions = {}): { readonly pair: Pair; readonly sig: ClosingSig } {
    const pair = quiet(options);
    pair.alice.followUp();
    pair.deliver(pair.bob);
    return { pair, sig: pair.bob.saying.find((message): message is ClosingSig => message.type === 'closing_sig')! };
  }

  it.each([
    ['closer_scriptpubkey', scriptOf('mallory')], ['closee_scriptpubkey', scriptOf('mallory')], ['fee_satoshis', sat(1)], ['locktime', 9],
  ] as const)('with another %s is refused, with both values', (field, got) => {
    const { pair: { alice }, sig } = answer();
    expect(answered(alice, { ...sig, [field]: got })).toMatchObject({ refused: { code: 'closing_sig_differs', answer: 'disconnect', detail: { field, got } } });
  });

  it('has exactly one signature, for a variant that was proposed', () => {
    const { pair: { alice, bob }, sig } = answer();
    expect(codeOf(answered(alice, { ...sig, tlvs: {} }))).toBe('closing_sig_needs_one_signature');
    expect(codeOf(answered(alice, { ...sig, tlvs: { ...sig.tlvs, closer_output_only: sig.tlvs.closer_and_closee_outputs! } }))).toBe('closing_sig_needs_one_signature');
    expect(codeOf(answered(alice, { ...sig, tlvs: { closee_output_only: sig.tlvs.closer_and_closee_outputs! } }))).toBe('closing_outputs_not_proposed');
    expect(codeOf(answered(alice, { ...sig, tlvs: { closer_output_only: sig.tlvs.closer_and_closee_outputs! } }))).toBe('invalid_closing_signature');
    expect(codeOf(answered(alice, sig))).toBeUndefined();
    expect(bestTxid(alice)).toBe(bestTxid(bob));
  });

  it('that nobody waits for is refused, and once on chain is late', () => {
    const { pair: { alice, bob }, sig } = answer();
    answered(alice, sig);
    expect(answered(alice, sig)).toMatchObject({ refused: { code: 'unexpected_message', answer: 'warning' } });
    const [{ raw, txid }] = closesOf(bob) as [ReturnType<typeof closesOf>[0]];
    alice.block(HEIGHT + 1, { funding_spend: { txid, transaction: raw, block_height: HEIGHT + 1 } });
    expect(alice.state).toMatchObject({ phase: 'resolving', spend: { kind: 'mutual' } });
    expect(answered(alice, sig)).toEqual({ accepted: [] });
  });

  it('may choose that the closee goes without', () => {
    const { pair: { alice, bob }, sig } = answer();
    const { terms } = closing(bob);
    const received = alice.has('ClosingCompleteSent')[0]!;
    const lean = simpleClosing(bob.established, { closer: 'remote', ...received }, 'closer_output_only')!;
    answered(alice, { ...sig, tlvs: { closer_output_only: bob.signer.signClosing(terms.key_index, lean) } });
    expect(outputsOf(alice)).toEqual([{ value: 600_000n - 676n, script_pubkey: scriptOf('alice') }]);
  });
});

describe('another closing_complete', () => {
  it('waits for closing_sig', () => {
    const { alice } = quiet();
    alice.followUp();
    expect(wish(alice, { feerate_per_kw: 5_000 })).toMatchObject({ refused: { code: 'closing_sig_awaited', detail: { expected: 'closing_sig' } } });
  });

  it('with a higher feerate replaces what was published', () => {
    const pair = quiet().settle();
    const before = bestTxid(pair.alice);
    expect(codeOf(wish(pair.bob, { feerate_per_kw: 5_000 }))).toBeUndefined();
    pair.settle();
    expect(pair.bob.has('ClosingCompleteSent').at(-1)!.fee_satoshis).toBe(3_380n);
    expect(bestTxid(pair.bob)).not.toBe(before);
    expect(bestTxid(pair.alice)).toBe(bestTxid(pair.bob));
    expect(outputsOf(pair.alice)).toEqual([{ value: 400_000n - 3_380n, script_pubkey: scriptOf('bob') }, { value: 600_000n, script_pubkey: scriptOf('alice') }]);
    expect(outputsOf(pair.bob)).toEqual(outputsOf(pair.alice));
  });

  it('must pay more than the last, and for its own relay', () => {
    const pair = quiet().settle();
    expect(wish(pair.alice, { feerate_per_kw: 1_100 })).toMatchObject({ refused: { code: 'closing_fee_too_low', detail: { fee_satoshis: 743n, min_fee_satoshis: 676n + 171n, feerate_per_kw: 1_100 } } });
    expect(codeOf(wish(pair.alice, { feerate_per_kw: 1_260 }))).toBeUndefined();
  });

  it('must be affordable, and says what is', () => {
    const pair = quiet().settle();
    expect(wish(pair.alice, { feerate_per_kw: 900_000 })).toMatchObject({ refused: { code: 'closing_fee_unaffordable', detail: { fee_satoshis: 608_400n, max_fee_satoshis: 600_000n - 294n } } });
  });

  it('may pay to another script, which the peer uses from then on', () => {
    const pair = quiet().settle();
    expect(codeOf(wish(pair.alice, { scriptpubkey: scriptOf('cold storage') }))).toBeUndefined();
    pair.settle();
    expect(outputsOf(pair.bob)).toEqual([{ value: 400_000n, script_pubkey: scriptOf('bob') }, { value: 600_000n - 847n, script_pubkey: scriptOf('cold storage') }]);
    wish(pair.bob, { feerate_per_kw: 2_000 });
    pair.settle();
    expect(pair.bob.has('ClosingCompleteSent').at(-1)).toMatchObject({ closee_scriptpubkey: scriptOf('cold storage') });
    expect(outputsOf(pair.alice)).toEqual(outputsOf(pair.bob));
  });

  it('pays only to a script that the rules allow', () => {
    const pair = quiet({ upfront: { alice: scriptOf('alice') } }).settle();
    expect(wish(pair.alice, { scriptpubkey: scriptOf('elsewhere') })).toMatchObject({ refused: { code: 'upfront_shutdown_script_differs' } });
    expect(wish(pair.bob, { scriptpubkey: '6a' })).toMatchObject({ refused: { code: 'invalid_shutdown_script', answer: 'to_caller' } });
  });

  it('with new scripts of both at once: neither signs, and a reconnection tells each the newest', () => {
    const pair = quiet().settle();
    wish(pair.alice, { scriptpubkey: scriptOf('alice 2') });
    wish(pair.bob, { scriptpubkey: scriptOf('bob 2') });
    expect(codeOf(pair.deliver(pair.bob))).toBe('closee_scriptpubkey_differs');
    expect(codeOf(pair.deliver(pair.alice))).toBe('closee_scriptpubkey_differs');
    pair.disconnect().reconnect().settle();
    for (const peer of pair.peers) expect(closing(peer).scripts[peer === pair.alice ? 'local' : 'remote']).toBe(scriptOf('alice 2'));
    expect(bestTxid(pair.alice)).toBe(bestTxid(pair.bob));
    const scripts = closing(pair.alice).closes.signed.slice(-2).map((close) => [close.closer_scriptpubkey, close.closee_scriptpubkey].sort());
    expect(scripts).toEqual([[scriptOf('alice 2'), scriptOf('bob 2')].sort(), [scriptOf('alice 2'), scriptOf('bob 2')].sort()]);
  });
});

describe('a reconnection', () => {
  it('repeats shutdown, then the same closing_complete: the same transactions', () => {
    const pair = quiet().settle();
    const before = pair.peers.map((peer) => mutualCloseTxids(closing(peer)));
    pair.alice.closingFeerate = 9_000;
    pair.disconnect().reconnect().settle();
    expect(pair.peers.map((peer) => [...mutualCloseTxids(closing(peer))].sort())).toEqual(before.map((txids) => [...txids].sort()));
    expect(pair.peers.map((peer) => peer.has('ClosingCompleteSent').length)).toEqual([2, 2]);
    expect(pair.peers.map((peer) => peer.has('ShutdownReceived').length)).toEqual([2, 2]);
  });

  it('says no closing_complete before the peer has repeated its shutdown', () => {
    const pair = quiet();
    pair.disconnect().reconnect();
    pair.deliver(pair.alice);
    pair.alice.followUp();
    expect(pair.alice.saying.map(({ type }) => type)).toEqual(['channel_reestablish', 'channel_ready', 'shutdown']);
    expect(wish(pair.alice, { feerate_per_kw: 5_000 })).toMatchObject({ refused: { code: 'closing_sig_awaited', detail: { expected: 'shutdown' } } });
    pair.settle();
    expect(bestTxid(pair.alice)).toBe(bestTxid(pair.bob));
  });

  it.each([1, 2, 3, 4])('after %i messages loses nothing', (messages) => {
    const pair = quiet();
    for (const peer of pair.peers) peer.followUp();
    for (let n = 0; n < messages; n++) pair.deliver(n % 2 === 0 ? pair.bob : pair.alice);
    pair.alice.restart();
    pair.disconnect().reconnect().settle();
    expect(pair.peers.map(({ state }) => state)).toMatchObject([{ proposal: 'done' }, { proposal: 'done' }]);
    expect(bestTxid(pair.alice)).toBe(bestTxid(pair.bob));
    for (const peer of pair.peers) expect(peer.replayed()).toEqual(peer.state);
  });
});

describe('every close that we signed is known when it confirms', () => {
  it('also one whose closing_sig never reached us, in either of its variants', () => {
    const { alice, bob } = quiet();
    alice.followUp();
    const sent = alice.saying.at(-1) as ClosingComplete;
    const said = alice.has('ClosingCompleteSent')[0]!;
    for (const outputs of said.outputs) {
      const lone = simpleClosing(bob.established, { closer: 'remote', ...said }, outputs)!;
      const raw = signedClosing(lone, bob.signer.signClosing(7, lone), sent.tlvs[outputs]!);
      const twin = alice.fork();
      twin.block(HEIGHT + 1, { funding_spend: { txid: lone.txid, transaction: raw, block_height: HEIGHT + 1 } });
      expect(twin.state).toMatchObject({ phase: 'resolving', spend: { kind: 'mutual', txid: lone.txid } });
      expect(payerOf(twin.established, lone.txid)).toBe('local');
    }
  });

  it('also an earlier one that paid less, after a dearer one replaced it', () => {
    const pair = quiet().settle();
    const early = closesOf(pair.alice)[0]!;
    wish(pair.alice, { feerate_per_kw: 5_000, scriptpubkey: scriptOf('cold storage') });
    pair.settle();
    pair.alice.block(HEIGHT + 1, { funding_spend: { txid: early.txid, transaction: early.raw, block_height: HEIGHT + 1 } });
    expect(pair.alice.state).toMatchObject({ phase: 'resolving', spend: { kind: 'mutual' } });
  });

  it('and a reorganisation that takes it away owes all of them to the chain again', () => {
    const pair = quiet().settle();
    const [first] = closesOf(pair.alice);
    pair.alice.block(HEIGHT + 1, { funding_spend: { txid: first!.txid, transaction: first!.raw, block_height: HEIGHT + 1 } });
    pair.alice.broadcasts.length = 0;
    pair.alice.decide({ type: 'RollBack', to_height: HEIGHT });
    expect(closesOf(pair.alice).map(({ txid }) => txid).sort()).toEqual(closing(pair.bob).closes.signed.map(({ closing_txid }) => closing_txid).sort());
  });
});
