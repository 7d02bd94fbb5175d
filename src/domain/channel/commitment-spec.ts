/** BOLT 3: what either side's commitment holds, read off the lifecycle of its updates. */
import type { CommitmentHtlc, CommitmentParams, CommitmentSide, CommitmentSpec } from '../../bolt/03-transactions/commitment-tx.ts';
import { msat, satToMsat, type Msat, type Point } from '../../bolt/primitives.ts';
import { beforeSentCommit, otherSide, standing, step, type CommitmentOwner, type HtlcState } from './htlc-lifecycle.ts';
import type { Commitments, EstablishedState, FeeUpdate, Funding, FundingSpend, Htlc, Terms } from './state.ts';

/** One side's view of the channel: balances with the HTLCs taken out, before fee and anchors. */
export interface View {
  readonly local_msat: bigint;
  readonly remote_msat: bigint;
  readonly feerate_per_kw: number;
  readonly htlcs: readonly Htlc[];
}

/** What a commitment of `owner` is built with for the whole life of the channel. */
export function commitmentParams({ terms, funding }: { readonly terms: Terms; readonly funding: Pick<Funding, 'txid' | 'output_index'> }, owner: CommitmentOwner): CommitmentParams {
  return {
    format: terms.format,
    funding_txid: funding.txid,
    funding_output_index: funding.output_index,
    funding_satoshis: terms.funding_satoshis,
    opener: (terms.role === 'opener') === (owner === 'local') ? 'owner' : 'other',
    owner: commitmentSide(terms, owner),
    other: commitmentSide(terms, otherSide(owner)),
  };
}

/** The delay a side must wait is the one the other side asked for. */
function commitmentSide(terms: Terms, side: CommitmentOwner): CommitmentSide {
  const { keys, dust_limit_satoshis } = terms[side];
  return { ...keys, dust_limit_satoshis, to_self_delay: terms[otherSide(side)].to_self_delay };
}

/** The newest commitment of `owner`: ours as the peer signed it, or the peer's as we signed it. */
export function commitmentSpec({ commitments }: Pick<EstablishedState, 'commitments'>, owner: CommitmentOwner): CommitmentSpec {
  const { number, point } = commitments[owner];
  return specOf(viewOf(commitments, owner, (state) => state), owner, number, point);
}

/** While the peer's newest commitment awaits the revocation of the one before: that one, which it may still publish. */
export function previousRemoteSpec(commitments: Commitments): CommitmentSpec {
  const { number, previous_point } = commitments.remote;
  return specOf(viewOf(commitments, 'remote', beforeSentCommit), 'remote', number - 1n, previous_point!);
}

/** What the commitment on chain holds, if it is one that nobody has revoked. Undefined for any other spend of the funding. */
export function specOnChain(state: Pick<EstablishedState, 'commitments'>, kind: FundingSpend['kind']): CommitmentSpec | undefined {
  switch (kind) {
    case 'local':
      return commitmentSpec(state, 'local');
    case 'remote':
      return state.commitments.remote.awaiting_revocation ? previousRemoteSpec(state.commitments) : commitmentSpec(state, 'remote');
    case 'remote_pending':
      return commitmentSpec(state, 'remote');
    case 'mutual':
    case 'revoked':
    case 'future':
    case 'unknown':
      return undefined;
  }
}

/** The commitment that the next commitment_signed for `owner` makes valid. */
export function nextCommitmentSpec(commitments: Commitments, owner: CommitmentOwner, point: Point): CommitmentSpec {
  return specOf(nextView(commitments, owner), owner, commitments[owner].number + 1n, point);
}

/** The view after the next commitment_signed that makes a commitment of `owner`. */
export function nextView(commitments: Commitments, owner: CommitmentOwner): View {
  const arrow = owner === 'local' ? 'RCVD_COMMIT' : 'SENT_COMMIT';
  return viewOf(commitments, owner, (state) => step(state, arrow));
}

/**
 * Our next commitment as the peer has to reckon with it when it proposes an update: all that its commitment_signed would
 * bring, but for HTLCs of ours that it has acknowledged and not signed for yet. Those may have crossed with the proposal,
 * or with its repetition after a reconnection.
 */
export function proposalView(commitments: Commitments): View {
  return viewOf(commitments, 'local', (state) => (state === 'RCVD_ADD_REVOCATION' ? state : step(state, 'RCVD_COMMIT')));
}

function viewOf(commitments: Commitments, owner: CommitmentOwner, at: <S extends HtlcState>(state: S) => S): View {
  let { local_msat, remote_msat }: { local_msat: bigint; remote_msat: bigint } = commitments;
  const htlcs: Htlc[] = [];
  for (const htlc of commitments.htlcs) {
    const place = standing(at(htlc.state), owner);
    if (place === 'not_yet') continue;
    const moved = place === 'included' || htlc.removal?.kind === 'fulfilled';
    if (place === 'included') htlcs.push(htlc);
    if (!moved) continue;
    const credit = place === 'included' ? 0n : htlc.amount_msat;
    if (htlc.direction === 'offered') {
      local_msat -= htlc.amount_msat;
      remote_msat += credit;
    } else {
      remote_msat -= htlc.amount_msat;
      local_msat += credit;
    }
  }
  return { local_msat, remote_msat, htlcs, feerate_per_kw: feerateOf(commitments.fees, owner, at) };
}

function feerateOf(fees: readonly FeeUpdate[], owner: CommitmentOwner, at: <S extends HtlcState>(state: S) => S): number {
  const inForce = fees.filter((fee) => standing(at(fee.state), owner) === 'included');
  return inForce.at(-1)!.feerate_per_kw;
}

function specOf(view: View, owner: CommitmentOwner, commitment_number: bigint, per_commitment_point: Point): CommitmentSpec {
  const [owner_msat, other_msat] = owner === 'local' ? [view.local_msat, view.remote_msat] : [view.remote_msat, view.local_msat];
  return {
    commitment_number,
    per_commitment_point,
    feerate_per_kw: view.feerate_per_kw,
    owner_msat: msat(owner_msat),
    other_msat: msat(other_msat),
    htlcs: view.htlcs.map((htlc) => commitmentHtlc(htlc, owner)),
  };
}

function commitmentHtlc({ direction, id, amount_msat, payment_hash, cltv_expiry }: Htlc, owner: CommitmentOwner): CommitmentHtlc {
  const offered = (direction === 'offered') === (owner === 'local');
  return { direction: offered ? 'offered' : 'received', id, amount_msat, payment_hash, cltv_expiry };
}

/**
 * The worst case for both sides at once: every HTLC alive on any side counted, nothing fulfilled credited, the highest
 * feerate of all. With `possibleFeerates` in turn, what is affordable here is affordable in every commitment that can
 * still arise from what we know.
 */
export function worstView(commitments: Commitments): View {
  return {
    local_msat: commitments.local_msat - inHtlcs(commitments, 'offered'),
    remote_msat: commitments.remote_msat - inHtlcs(commitments, 'received'),
    htlcs: commitments.htlcs,
    feerate_per_kw: Math.max(...commitments.fees.map((fee) => fee.feerate_per_kw)),
  };
}

/** Every feerate that a commitment can still have. A lower one may cost the opener more: without anchors it trims fewer HTLCs. */
export const possibleFeerates = ({ fees }: Commitments): readonly number[] => fees.map((fee) => fee.feerate_per_kw);

/** The channel's money, each msat in one place: settled balances of both sides and what hangs in HTLCs. The four sum to the funding. */
export function balances({ commitments }: Pick<EstablishedState, 'commitments'>): { local_msat: Msat; remote_msat: Msat; offered_msat: Msat; received_msat: Msat } {
  const offered = inHtlcs(commitments, 'offered');
  const received = inHtlcs(commitments, 'received');
  return {
    local_msat: msat(commitments.local_msat - offered),
    remote_msat: msat(commitments.remote_msat - received),
    offered_msat: msat(offered),
    received_msat: msat(received),
  };
}

/** What hangs in all HTLCs that one side offered, msat. */
const inHtlcs = ({ htlcs }: Commitments, direction: Htlc['direction']): bigint =>
  htlcs.reduce((total, htlc) => (htlc.direction === direction ? total + htlc.amount_msat : total), 0n);

/** What the channel is worth in all, msat. */
export const capacityMsat = (terms: Terms): Msat => satToMsat(terms.funding_satoshis);
