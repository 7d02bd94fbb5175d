/** BOLT 3, "Fees": what the spend of a funding output cost, each sat with its cause and its payer. */
import { buildCommitment, type Commitment, type CommitmentSpec } from '../bolt/03-transactions/commitment-tx.ts';
import { anchorsCost, commitmentFee } from '../bolt/03-transactions/fees.ts';
import { parseTx, type ParsedTx } from '../bolt/03-transactions/tx-parse.ts';
import { msatToSat, type Sat } from '../bolt/primitives.ts';
import { commitmentParams, specOnChain } from '../domain/channel/commitment-spec.ts';
import { otherSide, type CommitmentOwner } from '../domain/channel/htlc-lifecycle.ts';
import { payerOf } from '../domain/channel/mutual-closes.ts';
import type { EstablishedState, FundingSpend } from '../domain/channel/state.ts';

/**
 * `fee`: meant as one. `missing_anchor`: paid for, and not made. `dust_output`: a balance too small for an output. `trimmed_htlc`: an HTLC too small for one, at the
 * cost of who offered it. `rounding`: parts of a sat, of both.
 */
export interface FeePart {
  readonly what: 'fee' | 'missing_anchor' | 'dust_output' | 'trimmed_htlc' | 'rounding';
  readonly by: 'local' | 'remote' | 'both' | 'unknown';
  readonly amount_sat: Sat;
}

export interface SpendFee {
  readonly inputs_sat: Sat;
  readonly outputs_sat: Sat;
  /** Inputs less outputs, and the sum of the parts. */
  readonly fee_sat: Sat;
  readonly parts: readonly FeePart[];
  /** In the anchors, at the opener's cost; who spends them has it back. */
  readonly anchors_sat: Sat;
}

/** Of a commitment or a mutual close on chain. The state is one that has met the spend. */
export function spendFee(state: EstablishedState, spend: FundingSpend): SpendFee {
  const tx = parseTx(spend.transaction);
  const inputs_sat = state.terms.funding_satoshis;
  const outputs_sat = tx.outputs.reduce((sum, { value }) => sum + value, 0n) as Sat;
  const fee_sat = (inputs_sat - outputs_sat) as Sat;
  const commitment = confirmedCommitment(state, spend);
  const named = spend.kind === 'mutual' ? mutualParts(state, tx) : commitment === undefined ? undefined : commitmentParts(state, commitment);
  return { inputs_sat, outputs_sat, fee_sat, parts: complete(named, fee_sat), anchors_sat: commitment === undefined ? (0n as Sat) : anchorsIn(commitment.built) };
}

export interface ConfirmedCommitment {
  readonly owner: CommitmentOwner;
  readonly spec: CommitmentSpec;
  readonly built: Commitment;
}

/** The commitment on chain, built again from the state. Undefined for one that the state does not hold any more, and for what is none. */
export function confirmedCommitment(state: EstablishedState, { kind, txid }: Pick<FundingSpend, 'kind' | 'txid'>): ConfirmedCommitment | undefined {
  const spec = specOnChain(state, kind);
  if (spec === undefined) return undefined;
  const owner = kind === 'local' ? 'local' : 'remote';
  const built = buildCommitment(commitmentParams(state, owner), spec);
  return built.txid === txid ? { owner, spec, built } : undefined;
}

const part = (what: FeePart['what'], by: FeePart['by'], amount: bigint): FeePart => ({ what, by, amount_sat: amount as Sat });

const sumOf = (parts: readonly FeePart[]): bigint => parts.reduce((sum, { amount_sat }) => sum + amount_sat, 0n);

/** What the named parts leave is rounding; a spend that the state cannot explain is a fee of nobody knows whom. */
function complete(named: readonly FeePart[] | undefined, fee_sat: Sat): readonly FeePart[] {
  const parts = named === undefined ? [part('fee', 'unknown', fee_sat)] : [...named, part('rounding', 'both', fee_sat - sumOf(named))];
  return parts.filter(({ amount_sat }) => amount_sat !== 0n);
}

/** What each side had and did not get: the opener's fee first, what is left of a balance below dust, HTLCs without an output. */
function commitmentParts({ terms }: EstablishedState, confirmed: ConfirmedCommitment): readonly FeePart[] {
  const { owner, spec, built } = confirmed;
  const opener: CommitmentOwner = terms.role === 'opener' ? 'local' : 'remote';
  const missing = { [owner]: msatToSat(spec.owner_msat) - valueOf(built, 'to_local'), [otherSide(owner)]: msatToSat(spec.other_msat) - valueOf(built, 'to_remote') } as Record<CommitmentOwner, bigint>;
  const paid = missing[opener] - anchorsCost(terms.format);
  const base = commitmentFee(terms.format, spec.feerate_per_kw, built.htlcs.length);
  const fee = paid < base ? paid : base;
  return [
    part('fee', opener, fee),
    part('missing_anchor', opener, anchorsCost(terms.format) - anchorsIn(built)),
    part('dust_output', opener, paid - fee),
    part('dust_output', otherSide(opener), missing[otherSide(opener)]),
    ...built.trimmed.map(({ direction, amount_msat }) => part('trimmed_htlc', direction === 'offered' ? owner : otherSide(owner), msatToSat(amount_msat))),
  ];
}

const valueOf = ({ outputs }: Commitment, kind: 'to_local' | 'to_remote'): bigint => outputs.find((output) => output.kind === kind)?.value ?? 0n;

const anchorsIn = ({ outputs }: Commitment): Sat =>
  outputs.reduce((sum, { kind, value }) => (kind === 'anchor_owner' || kind === 'anchor_other' ? sum + value : sum), 0n) as Sat;

/** The payer has what remains; the other side has its whole balance, or its output was left out. */
function mutualParts(state: EstablishedState, tx: ParsedTx): readonly FeePart[] | undefined {
  const payer = payerOf(state, tx.txid);
  if (payer === undefined) return undefined;
  const { local_msat, remote_msat } = state.commitments;
  const balance = { local: msatToSat(local_msat), remote: msatToSat(remote_msat) };
  const other = balance[otherSide(payer)];
  const left = tx.outputs.some(({ value }) => value === other) ? 0n : other;
  const got = tx.outputs.reduce((sum, { value }) => sum + value, 0n) - (other - left);
  return [part('fee', payer, balance[payer] - got), part('dust_output', otherSide(payer), left)];
}
