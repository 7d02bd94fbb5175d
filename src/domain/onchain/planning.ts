/** BOLT 5: which claims should be started, or replaced by dearer ones, now. What one spend of the peer's could undo is never mixed with what is urgent. */
import { sweepWeight } from '../../bolt/03-transactions/claim-tx.ts';
import { FEERATE_FLOOR } from '../../bolt/03-transactions/fees.ts';
import { sat, type BlockHeight, type Hex, type Sat } from '../../bolt/primitives.ts';
import { DEADLINE_GRACE } from '../channel/depths.ts';
import { commitmentSpec } from '../channel/commitment-spec.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { ChannelState } from '../channel/state.ts';
import { chunks } from './chunks.ts';
import { anchorPlans, type AnchorFacts } from './anchors.ts';
import { cappedFeerate, feeCap, raisedFeerate, SECURITY_DELAY, wantedFeerate } from './bumping.ts';
import { claimInput } from './claim-inputs.ts';
import { claimTransaction, liveClaims, walletBase, WALLET_WEIGHT } from './claims.ts';
import { isAt, NOTHING_ON_CHAIN } from './evolve.ts';
import { deadlineOf, isRipe, ruleFor } from './output-lifecycle.ts';
import type { ChainOutput, Claim, ClaimKind, PlannedClaim } from './types.ts';

/** The tip, what the chain asks for a place in its next blocks, and what of this channel waits for one. */
export interface PlanningFacts extends AnchorFacts {
  /** Free ones in the wallet: where they are fewer than the transactions that want one, outputs share. Enough unless told. */
  readonly coins?: number;
}

/** Inputs of one claim: far below the weight that nodes relay, and little lost when one of them is. */
export const MAX_INPUTS = 30;
/** What must be left of a claim for its output to be relayed, whatever script the wallet gives: P2WSH's dust limit. */
const LEAST_LEFT = sat(330);
/** The longest script that a wallet of ours hands out: P2WSH, so that no plan is too small. */
const SOME_SCRIPT: Hex = `0020${'00'.repeat(32)}`;

/** An output that can be claimed now. */
interface Candidate {
  readonly output: ChainOutput;
  readonly kind: ClaimKind;
  readonly deadline?: BlockHeight;
}

/** What should be started or replaced now. Asks for nothing twice: what is live and dear enough stays. */
export function plannedClaims(state: ChannelState, facts: PlanningFacts): readonly PlannedClaim[] {
  if (state.phase !== 'resolving') return [];
  if (state.spend === undefined) return anchorPlans(state, facts);
  const live = liveClaims(state);
  const candidates = claimable(state, facts.height);
  const fresh = candidates.filter(({ output, deadline }) => !isTaken(output, deadline, live, facts.height));
  const bids = [
    ...affordable(state, grouped(state, fresh, facts.height), live, facts).flatMap((group) => firstBid(state, group, facts)),
    ...live.flatMap((claim) => nextBid(state, claim, candidates, facts)),
  ];
  return bids.toSorted((a, b) => urgency(a) - urgency(b) || a.feerate_per_kw - b.feerate_per_kw);
}

/** The wallet may not have coins for all: what is due first comes first. Of several bids for one output the lower goes first. */
const urgency = ({ deadline = Number.MAX_SAFE_INTEGER }: PlannedClaim): number => deadline;

/** Unspent, ripe and by a rule of ours. */
function claimable(state: ResolvingState, height: BlockHeight): readonly Candidate[] {
  return (state.onchain?.outputs ?? []).flatMap((output): Candidate[] => {
    const rule = ruleFor(state, output);
    if (rule === undefined || output.spent !== undefined || !isRipe(state, output, rule, height)) return [];
    return [{ output, kind: rule.claim, deadline: deadlineOf(state, output, rule) }];
  });
}

/** A live claim has it. Close to an HTLC's deadline one shared with others no longer counts: the peer may hold it up through any of them. */
function isTaken(output: ChainOutput, deadline: BlockHeight | undefined, live: readonly Claim[], height: BlockHeight): boolean {
  return live.some(({ kind, inputs }) => inputs.some((input) => isAt(input, output)) && (inputs.length === 1 || kind === 'penalty' || !isPressing(deadline, height)));
}

const isPressing = (deadline: BlockHeight | undefined, height: BlockHeight): boolean => deadline !== undefined && deadline - height <= DEADLINE_GRACE;

// ---- groups

/** Outputs that may share a transaction. */
function grouped(state: ResolvingState, candidates: readonly Candidate[], height: BlockHeight): readonly (readonly Candidate[])[] {
  const alone = contested(state);
  const groups = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const key = groupOf(state, candidate, alone, height);
    groups.set(key, [...(groups.get(key) ?? []), candidate]);
  }
  return [...groups.values()].flatMap((group) => chunks(group, MAX_INPUTS));
}

/**
 * With fewer coins than transactions that want one, outputs that nothing claims yet share what there is, each with others
 * of its locktime: better together, and undone by one spend, than not claimed at all.
 */
function affordable(state: ResolvingState, groups: readonly (readonly Candidate[])[], live: readonly Claim[], { coins = Infinity }: PlanningFacts): readonly (readonly Candidate[])[] {
  const wanting = groups.filter(([first]) => wantsCoin(state, first!.kind));
  if (wanting.length <= coins) return groups;
  const bare = wanting.flat().filter(({ output }) => !live.some(({ inputs }) => inputs.some((input) => isAt(input, output))));
  const alike = new Map<string, Candidate[]>();
  for (const candidate of bare) {
    const key = `${candidate.kind} ${candidate.kind === 'htlc_timeout' ? candidate.output.htlc!.cltv_expiry : ''}`;
    alike.set(key, [...(alike.get(key) ?? []), candidate]);
  }
  const each = Math.max(1, Math.floor(coins / Math.max(1, alike.size)));
  const shared = [...alike.values()].flatMap((all) => chunks(all, Math.min(MAX_INPUTS, Math.ceil(all.length / each))));
  return [...groups.filter((group) => !wanting.includes(group)), ...shared];
}

/** BOLT 3: with anchors an HTLC transaction brings nothing for its fee. */
const wantsCoin = (state: ResolvingState, kind: ClaimKind): boolean => (kind === 'htlc_success' || kind === 'htlc_timeout') && !carriesItsFee(state, kind);

function groupOf({ terms, spend }: ResolvingState, { output, kind, deadline }: Candidate, contested: boolean, height: BlockHeight): string {
  const single = `${kind} ${output.txid}:${output.output_index}`;
  if (kind === 'sweep') return kind;
  // Only the peer's HTLC transactions can undo a penalty: none of them reaches `to_local` or a second stage, and what they
  // take of the others waits in a second stage, to be punished there.
  if (kind === 'penalty') return `${kind} ${output.kind === 'htlc' ? 'htlc' : 'delayed'}`;
  const { direction, cltv_expiry } = output.htlc!;
  if (contested || isPressing(deadline, height) || (spend?.kind === 'local' && terms.format === 'static_remotekey')) return single;
  // The peer can take an HTLC of ours from the start, and one of its own from its expiry on.
  if (direction === 'offered') return `${kind} ${cltv_expiry}`;
  return deadline! - height > SECURITY_DELAY ? `${kind} received` : single;
}

/** The peer has spent an input of a claim that we had for several: from then on HTLCs go alone. */
const contested = ({ onchain = NOTHING_ON_CHAIN }: ResolvingState): boolean =>
  onchain.outputs.some((output) => output.kind === 'htlc' && output.spent?.by === 'remote' && onchain.claims.some(({ inputs }) => inputs.length > 1 && inputs.some((input) => isAt(input, output))));

// ---- bids

const earliest = (group: readonly Candidate[]): BlockHeight | undefined => {
  const deadlines = group.flatMap(({ deadline }) => (deadline === undefined ? [] : [deadline]));
  return deadlines.length === 0 ? undefined : Math.min(...deadlines);
};

/** Safety 06: whatever became of the claims before, no output is bid for at less. */
const highestBid = ({ onchain = NOTHING_ON_CHAIN }: ResolvingState, group: readonly Candidate[]): number =>
  onchain.claims.reduce((highest, { inputs, feerate_per_kw }) =>
    feerate_per_kw > highest && inputs.some((input) => group.some(({ output }) => isAt(output, input))) ? feerate_per_kw : highest, 0);

function firstBid(state: ResolvingState, group: readonly Candidate[], { height, feerates }: PlanningFacts): readonly PlannedClaim[] {
  const deadline = earliest(group);
  const wanted = Math.max(wantedFeerate(feerates, deadline, height), deadline === undefined ? 0 : highestBid(state, group));
  const kept = group.filter(({ output, kind }) => paysForItself(state, output, kind, deadline === undefined ? wanted : FEERATE_FLOOR));
  const planned = planOf(state, kept, deadline, wanted, height);
  return planned === undefined ? [] : [planned];
}

function planOf(state: ResolvingState, group: readonly Candidate[], deadline: BlockHeight | undefined, wanted: number, height: BlockHeight): PlannedClaim | undefined {
  if (group.length === 0) return undefined;
  const { kind } = group[0]!;
  const inputs = group.map(({ output: { txid, output_index, value } }) => ({ txid, output_index, value }));
  if (carriesItsFee(state, kind)) return { kind, inputs, feerate_per_kw: commitmentSpec(state, 'local').feerate_per_kw, deadline, needs: 'nothing' };
  const measured = measure(state, kind, inputs);
  if (measured === undefined) return undefined;
  const max_fee_satoshis = feeCap(measured.brings, measured.least, deadline, height);
  const feerate_per_kw = cappedFeerate(wanted, measured.weight, max_fee_satoshis);
  // What nobody else can take waits until its place in a block is cheap enough.
  if (feerate_per_kw === undefined || (deadline === undefined && feerate_per_kw < wanted)) return undefined;
  const plan = { kind, inputs, feerate_per_kw, deadline };
  return measured.base === undefined ? { ...plan, needs: 'destination_script' } : { ...plan, needs: 'wallet', base: { ...measured.base, max_fee_satoshis } };
}

/** BOLT 3: without anchors an HTLC transaction has its fee in it. */
const carriesItsFee = ({ terms }: ResolvingState, kind: ClaimKind): boolean =>
  (kind === 'htlc_success' || kind === 'htlc_timeout') && terms.format === 'static_remotekey';

interface Measured {
  /** Expected, with what the wallet adds at the least. */
  readonly weight: number;
  readonly brings: Sat;
  /** Must be left over. */
  readonly least: Sat;
  readonly base?: ReturnType<typeof walletBase>;
}

function measure(state: ResolvingState, kind: ClaimKind, inputs: Claim['inputs']): Measured | undefined {
  const brings = inputs.reduce((sum, { value }) => sum + value, 0n) as Sat;
  if (kind === 'htlc_success' || kind === 'htlc_timeout') {
    const base = walletBase(state, { kind, inputs });
    return base === undefined ? undefined : { weight: base.weight + WALLET_WEIGHT, brings, least: sat(0), base };
  }
  const taken = inputs.map((input) => state.onchain?.outputs.find((output) => isAt(output, input))).flatMap((output) => (output === undefined ? [] : (claimInput(state, output) ?? [])));
  return taken.length < inputs.length ? undefined : { weight: sweepWeight(taken.map(({ input }) => input), SOME_SCRIPT), brings, least: LEAST_LEFT };
}

/** Its own input costs less than it brings: what does not pay for itself would be paid for by the others. */
function paysForItself(state: ResolvingState, output: ChainOutput, kind: ClaimKind, feerate_per_kw: number): boolean {
  if (carriesItsFee(state, kind)) return true;
  const measured = measure(state, kind, [output]);
  return measured !== undefined && (BigInt(feerate_per_kw) * BigInt(measured.weight)) / 1000n + measured.least <= measured.brings;
}

/** At the lowest feerate that is relayed something is left; what is worth less keeps no channel open. */
export function isWorthClaiming(state: ResolvingState, output: ChainOutput): boolean {
  const rule = ruleFor(state, output);
  return rule !== undefined && paysForItself(state, output, rule.claim, FEERATE_FLOOR);
}

/** The same inputs again for more, when it is time; not for one that carries its own fee. */
function nextBid(state: ResolvingState, claim: Claim, candidates: readonly Candidate[], { height, feerates }: PlanningFacts): readonly PlannedClaim[] {
  const group = claim.inputs.flatMap((input) => candidates.find(({ output }) => isAt(output, input)) ?? []);
  if (group.length < claim.inputs.length || claim.kind === 'anchor' || carriesItsFee(state, claim.kind)) return [];
  const deadline = earliest(group);
  const weight = claimTransaction(state, claim)?.weight;
  const wanted = Math.max(wantedFeerate(feerates, deadline, height), deadline === undefined ? 0 : highestBid(state, group));
  const raised = weight === undefined ? undefined : raisedFeerate(claim, wanted, weight, deadline, height);
  const planned = raised === undefined ? undefined : planOf(state, group, deadline, raised, height);
  return planned === undefined || planned.feerate_per_kw < raised! ? [] : [{ ...planned, replaces: claim.claim_txid }];
}
