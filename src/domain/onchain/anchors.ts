/** BOLT 3, "Fees", and BOLT 5, "Failing a Channel": a commitment that no block has yet, and the child by our anchor that pays what it lacks. */
import { commitmentWeight, feeOf } from '../../bolt/03-transactions/fees.ts';
import { sat, type BlockHeight, type Hex32, type Sat } from '../../bolt/primitives.ts';
import { mayPublish } from '../channel/publishing.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { Feerates } from '../feerates.ts';
import { cappedFeerate, feeCap, raisedFeerate, wantedFeerate } from './bumping.ts';
import { liveClaims, walletBase, WALLET_WEIGHT } from './claims.ts';
import type { ChainOutput, PlannedClaim } from './types.ts';
import { anchorOn, unrevokedCommitments, type Unrevoked } from './unrevoked.ts';

export interface AnchorFacts {
  readonly height: BlockHeight;
  readonly feerates: Feerates;
  /** A commitment of the peer's that waits in the mempool: ours cannot be there as well. */
  readonly waiting_commitment?: Hex32;
}

/** Brings the fee that the waiting commitment lacks: dearer as the deadlines of what stands on it come nearer. */
export function anchorPlans(state: ResolvingState, facts: AnchorFacts): readonly PlannedClaim[] {
  if (state.terms.format === 'static_remotekey') return [];
  const waiting = unrevokedCommitments(state).find(({ owner, commitment }) =>
    facts.waiting_commitment === undefined ? owner === 'local' && owesOurs(state) : owner === 'remote' && commitment.txid === facts.waiting_commitment);
  const anchor = waiting === undefined ? undefined : anchorOn(waiting);
  return anchor === undefined ? [] : planFor(state, waiting!, anchor, facts);
}

const owesOurs = ({ failure }: ResolvingState): boolean => failure !== undefined && mayPublish(failure.code);

function planFor(state: ResolvingState, waiting: Unrevoked, anchor: ChainOutput, { height, feerates }: AnchorFacts): readonly PlannedClaim[] {
  const { commitment } = waiting;
  const parent = { weight: commitmentWeight(state.terms.format, commitment.htlcs.length), fee_satoshis: commitment.fee_satoshis };
  const { deadline, at_stake } = stakeOf(state, waiting);
  const wanted = deadline === undefined ? feerates.normal : wantedFeerate(feerates, deadline, height);
  const last = liveClaims(state).findLast(({ kind, inputs }) => kind === 'anchor' && inputs[0]!.txid === anchor.txid);
  if (last === undefined && parent.fee_satoshis >= feeOf(wanted, parent.weight)) return [];
  const inputs = [{ txid: anchor.txid, output_index: anchor.output_index, value: anchor.value }];
  const base = walletBase(state, { kind: 'anchor', inputs })!;
  // Both are paid for together, and both together are replaced.
  const weight = base.weight + WALLET_WEIGHT + parent.weight;
  const raised = last === undefined ? wanted : raisedFeerate({ ...last, fee_satoshis: (last.fee_satoshis + parent.fee_satoshis) as Sat }, wanted, weight, deadline, height);
  if (raised === undefined) return [];
  const max_fee_satoshis = feeCap(at_stake, sat(0), deadline, height);
  const feerate_per_kw = cappedFeerate(raised, weight, (max_fee_satoshis + parent.fee_satoshis) as Sat);
  if (feerate_per_kw === undefined || (last !== undefined && feerate_per_kw < raised)) return [];
  return [{ kind: 'anchor', inputs, feerate_per_kw, deadline, needs: 'wallet', base: { ...base, parent, max_fee_satoshis }, ...(last === undefined ? {} : { replaces: last.claim_txid }) }];
}

/** What we have on the commitment, sat, and by when it must be in a block: claims of its HTLCs need time behind it. */
function stakeOf({ commitments }: ResolvingState, { owner, commitment: { outputs } }: Unrevoked): { deadline?: BlockHeight; at_stake: Sat } {
  const main = owner === 'local' ? 'to_local' : 'to_remote';
  const at_stake = outputs.reduce((sum, { kind, value }) => (kind === main || kind === 'htlc' ? sum + value : sum), 0n) as Sat;
  const expiries = commitments.htlcs.map(({ cltv_expiry }) => cltv_expiry);
  return expiries.length === 0 ? { at_stake } : { at_stake, deadline: Math.min(...expiries) };
}
