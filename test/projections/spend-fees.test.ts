/** BOLT 3, "Fees": what a close costs is explained to the sat: who paid the fee, whose outputs were dust, and what was rounded away. */
import { describe, expect, it } from 'vitest';
import { buildCommitment } from '../../src/bolt/03-transactions/commitment-tx.ts';
import { serialize } from '../../src/bolt/03-transactions/tx.ts';
import { msat, type Msat } from '../../src/bolt/primitives.ts';
import { commitmentParams, commitmentSpec, previousRemoteSpec } from '../../src/domain/channel/commitment-spec.ts';
import { ourClosing } from '../../src/domain/channel/closing-transactions.ts';
import type { EstablishedState, FundingSpend } from '../../src/domain/channel/state.ts';
import { spendFee } from '../../src/projections/spend-fees.ts';
import { opened, type Pair, type PairOptions, scriptOf } from '../support/channel-pair.ts';

type Kind = 'local' | 'remote' | 'remote_pending';

function spendOf(state: EstablishedState, kind: Kind): FundingSpend {
  const owner = kind === 'local' ? 'local' : 'remote';
  const previous = kind === 'remote' && state.commitments.remote.awaiting_revocation;
  const { tx, txid } = buildCommitment(commitmentParams(state, owner), previous ? previousRemoteSpec(state.commitments) : commitmentSpec(state, owner));
  return { txid, kind, block_height: 1, transaction: serialize(tx) };
}

const explained = (state: EstablishedState, kind: Kind) => spendFee(state, spendOf(state, kind));
const partsOf = (state: EstablishedState, kind: Kind) => explained(state, kind).parts.map(({ what, by, amount_sat }) => `${what} ${by} ${amount_sat}`).toSorted();

/** HTLCs both ways, settled on both sides: one with an output and one too small for it, of each. */
function busy(options: PairOptions): Pair {
  const pair = opened(options);
  const offers: readonly (readonly ['alice' | 'bob', Msat])[] = [['alice', msat(20_000_400n)], ['alice', msat(353_999n)], ['bob', msat(30_000_300n)], ['bob', msat(200_700n)]];
  offers.forEach(([who, amount_msat], payment) => pair[who].offer({ amount_msat, payment: payment + 1 }));
  return pair.settle();
}

describe.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)('a commitment, %s', (format) => {
  const base = format === 'static_remotekey' ? 724 : 1_124;

  it('without HTLCs costs its opener the fee, and nobody else', () => {
    const { alice, bob } = opened({ format });
    for (const kind of ['local', 'remote'] as const) {
      expect(partsOf(alice.established, kind)).toEqual([`fee local ${base}`]);
      expect(partsOf(bob.established, kind)).toEqual([`fee remote ${base}`]);
      expect(explained(alice.established, kind).anchors_sat).toBe(format === 'static_remotekey' ? 0n : 660n);
    }
  });

  it('with HTLCs: more fee, HTLCs without an output at their offerer\'s cost, and parts of a sat of both', () => {
    const { alice, bob } = busy({ format });
    expect(partsOf(alice.established, 'local')).toEqual([`fee local ${base + 2 * 172}`, 'rounding both 3', 'trimmed_htlc local 353', 'trimmed_htlc remote 200']);
    expect(partsOf(bob.established, 'remote')).toEqual([`fee remote ${base + 2 * 172}`, 'rounding both 3', 'trimmed_htlc local 200', 'trimmed_htlc remote 353']);
  });

  it('a balance below dust is a cost of its owner\'s, and its anchor, which is not made, one of the opener\'s', () => {
    const pair = opened({ format, push_msat: msat(0n) });
    const missing = (opener: string) => (format === 'static_remotekey' ? [] : [`missing_anchor ${opener} 330`]);
    pair.alice.offer({ amount_msat: msat(300_000n) });
    pair.settle();
    pair.bob.fulfill(0n);
    pair.settle();
    expect(partsOf(pair.alice.established, 'local')).toEqual(['dust_output remote 300', `fee local ${base}`, ...missing('local')]);
    expect(partsOf(pair.bob.established, 'local')).toEqual(['dust_output local 300', `fee remote ${base}`, ...missing('remote')]);
  });

  it.each(['local', 'remote', 'remote_pending'] as const)('%s: the parts sum to inputs less outputs, and both sides tell the same', (kind) => {
    const { alice, bob } = busy({ format });
    if (kind === 'remote_pending') {
      alice.offer({ amount_msat: msat(7_000_000n), payment: 9 });
      alice.decide({ type: 'SignCommitment' });
    }
    const fee = explained(alice.established, kind);
    expect(fee.inputs_sat - fee.outputs_sat).toBe(fee.fee_sat);
    expect(fee.parts.reduce((sum, { amount_sat }) => sum + amount_sat, 0n)).toBe(fee.fee_sat);
    expect(fee.parts.some(({ by }) => by === 'unknown')).toBe(false);
    if (kind === 'remote_pending') return;
    const mirror = explained(bob.established, kind === 'local' ? 'remote' : 'local');
    expect(mirror.fee_sat).toBe(fee.fee_sat);
    expect(mirror.parts.map(({ amount_sat }) => amount_sat).toSorted()).toEqual(fee.parts.map(({ amount_sat }) => amount_sat).toSorted());
  });
});

describe('what the state cannot explain', () => {
  it('is told in one sum, of nobody knows whom', () => {
    const { alice } = busy({});
    const spend = { ...spendOf(alice.established, 'remote'), kind: 'revoked' as const };
    const { fee_sat, parts } = spendFee(alice.established, spend);
    expect(parts).toEqual([{ what: 'fee', by: 'unknown', amount_sat: fee_sat }]);
  });
});

describe('a mutual close', () => {
  it('costs the opener the fee, and who has too little for an output that', () => {
    const pair = opened({ push_msat: msat(300_400n) });
    for (const peer of pair.peers) peer.close(scriptOf(peer.name));
    pair.settle();
    const state = pair.alice.established as EstablishedState & { phase: 'closing' };
    const closing = ourClosing(state, state.agreed!.fee_satoshis)!;
    const { fee_sat, parts, inputs_sat, outputs_sat } = spendFee(state, { txid: closing.txid, kind: 'mutual', block_height: 1, transaction: serialize(closing.tx) });
    expect(parts).toEqual([{ what: 'fee', by: 'local', amount_sat: state.agreed!.fee_satoshis }, { what: 'dust_output', by: 'remote', amount_sat: 300n }, { what: 'rounding', by: 'both', amount_sat: 1n }]);
    expect(inputs_sat - outputs_sat).toBe(fee_sat);
  });
});
