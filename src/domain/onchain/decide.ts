/** BOLT 5: what a block, or a reorganisation, means for a channel whose end is on the chain. */
import type { CommitmentSpec } from '../../bolt/03-transactions/commitment-tx.ts';
import { p2wsh } from '../../bolt/03-transactions/scripts.ts';
import { parseTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, hex32, type BlockHeight, type Hex32 } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { OnchainEvent } from '../../events/channel/onchain.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { ChannelState } from '../channel/state.ts';
import { claimTransaction, findClaim, liveClaims } from './claims.ts';
import { secondStageScript } from './claim-inputs.ts';
import { allOutputsKnown, commitmentOutputsFound } from './commitment-outputs.ts';
import { evolveResolving, isAt, NOTHING_ON_CHAIN } from './evolve.ts';
import { isBuried, isRipe, peersDelay, phaseOf, ruleFor } from './output-lifecycle.ts';
import { isWorthClaiming } from './planning.ts';
import { failuresDue, preimagesIn, type UpstreamFact } from './preimages.ts';
import { outPointKey } from '../outpoint.ts';
import type { ChainOutput, FundedClaim, OutPoint, WatchedSpend } from './types.ts';

type Fact = OnchainEvent | UpstreamFact;

export interface BlockFacts {
  readonly height: BlockHeight;
  readonly spends?: readonly WatchedSpend[];
  readonly claims?: readonly FundedClaim[];
  readonly revoked_spec?: CommitmentSpec;
}

/** The outputs whose spends the channel has to hear of: its commitment's, its second stages', and those of anchors that we spend. */
export function watchedOutputs(state: ChannelState): readonly OutPoint[] {
  if (state.phase !== 'resolving') return [];
  const { outputs, claims } = state.onchain ?? NOTHING_ON_CHAIN;
  const isSpentByAnchor = (output: ChainOutput) => claims.some(({ kind, inputs }) => kind === 'anchor' && inputs.some((input) => isAt(input, output)));
  return outputs
    .filter((output) => output.spent === undefined && (ruleFor(state, output) !== undefined || isSpentByAnchor(output)))
    .map(({ txid, output_index }) => ({ txid, output_index }));
}

/** Facts of one block, each decided on the state that the ones before it leave. */
export function resolveBlock(command: BlockFacts, before: ResolvingState): readonly Fact[] {
  const facts: Fact[] = [];
  let state = before;
  const take = (more: readonly Fact[]) => {
    for (const fact of more) state = evolveResolving(state, fact);
    facts.push(...more);
  };
  if (state.spend !== undefined && !hasOutputs(state)) take(commitmentOutputsFound(state, state.spend, command.revoked_spec));
  for (const spend of command.spends ?? []) take(outputSpent(state, spend));
  for (const claim of command.claims ?? []) take(claimStarted(state, claim, command.height));
  take(failuresDue(state, command.height));
  if (isResolved(state, command.height)) take([{ type: 'ChannelResolved', block_height: command.height }]);
  return facts;
}

const hasOutputs = ({ onchain, spend }: ResolvingState): boolean => onchain?.outputs.some(({ txid }) => txid === spend!.txid) === true;

// ---- spends

function outputSpent(state: ResolvingState, spend: WatchedSpend): readonly Fact[] {
  const output = state.onchain?.outputs.find((candidate) => isAt(candidate, spend));
  if (output === undefined || output.spent !== undefined) return [];
  const { txid, output_index, spending_txid, input_index, block_height } = spend;
  const transaction = parseTx(spend.transaction);
  const by = findClaim(state, spending_txid) === undefined ? 'remote' : 'local';
  const payment_preimage = by === 'remote' && output.kind === 'htlc' ? preimageShown(transaction, input_index, output) : undefined;
  const second_stage = output.kind === 'htlc' ? secondStage(state, transaction, input_index) : undefined;
  const spent: Fact = { type: 'OutputSpent', txid, output_index, spending_txid, input_index, block_height, by, payment_preimage, second_stage };
  return [spent, ...preimagesIn(state, transaction, 'block')];
}

function preimageShown({ witnesses }: ParsedTx, input_index: number, { htlc }: ChainOutput): Hex32 | undefined {
  const shown = witnesses[input_index]?.find((item) => item.length === 64 && crypto().sha256Hex(fromHex(item)) === htlc!.payment_hash);
  return shown === undefined ? undefined : hex32(shown);
}

/** The output across from the HTLC's input: an HTLC transaction pays there to whoever owns the commitment, after its delay. */
function secondStage(state: ResolvingState, { outputs }: ParsedTx, input_index: number): { output_index: number; value: ChainOutput['value'] } | undefined {
  const script = secondStageScript(state);
  const output = outputs[input_index];
  return script !== undefined && output?.script_pubkey === p2wsh(script) ? { output_index: input_index, value: output.value } : undefined;
}

// ---- claims

/** A claim that still fits: its outputs are there and ripe, it is new, and it pays more than the one it replaces. */
function claimStarted(state: ResolvingState, claim: FundedClaim, height: BlockHeight): readonly Fact[] {
  const derived = isClaimable(state, claim, height) ? claimTransaction(state, claim) : undefined;
  if (derived === undefined || findClaim(state, derived.txid) !== undefined) return [];
  const older = claim.replaces === undefined ? undefined : findClaim(state, claim.replaces);
  if (claim.replaces !== undefined && (older === undefined || derived.fee_satoshis <= older.fee_satoshis || claim.feerate_per_kw < older.feerate_per_kw)) return [];
  const { kind, inputs, destination_script, wallet, feerate_per_kw, replaces } = claim;
  return [{
    type: 'ClaimStarted', claim_txid: derived.txid, kind, inputs: inputs.map(({ txid, output_index, value }) => ({ txid, output_index, value })),
    destination_script, wallet, feerate_per_kw, fee_satoshis: derived.fee_satoshis, replaces, block_height: height,
  }];
}

function isClaimable(state: ResolvingState, { kind, inputs }: FundedClaim, height: BlockHeight): boolean {
  if (kind === 'anchor') return state.spend === undefined;
  return inputs.every((input) => {
    const output = state.onchain?.outputs.find((candidate) => isAt(candidate, input));
    const rule = output === undefined ? undefined : ruleFor(state, output);
    return output !== undefined && rule?.claim === kind && output.spent === undefined && isRipe(state, output, rule, height);
  });
}

// ---- the end

/** Every output that was ours or contested has found its place, deep enough, and all streams have heard what became of their HTLCs. */
function isResolved(state: ResolvingState, height: BlockHeight): boolean {
  const { spend, onchain = NOTHING_ON_CHAIN, commitments } = state;
  if (spend === undefined || !isBuried(spend.block_height, height)) return false;
  const told = commitments.htlcs.every(({ direction, id, known_preimage }) => direction === 'received' || known_preimage !== undefined || onchain.failed.includes(id));
  const claimed = new Set(liveClaims(state).flatMap(({ inputs }) => inputs.map(outPointKey)));
  return told && mayForget(state, height) && onchain.outputs.every((output) => isDone(state, output, height, claimed.has(outPointKey(output))));
}

/** Of a revoked commitment that we could not rebuild something may be left that we do not see: it is kept in sight for as long as it could matter. */
function mayForget(state: ResolvingState, height: BlockHeight): boolean {
  return state.spend!.kind !== 'revoked' || allOutputsKnown(state) || isBuried(state.spend!.block_height + peersDelay(state.terms), height);
}

function isDone(state: ResolvingState, output: ChainOutput, height: BlockHeight, claimed: boolean): boolean {
  switch (phaseOf(state, output, height, claimed)) {
    case 'not_ours':
    case 'expired':
    case 'buried':
      return true;
    case 'claimed':
    case 'spent':
      return false;
    case 'waiting':
      return output.htlc === undefined && !isWorthClaiming(state, output);
    case 'unclaimed':
      return !isWorthClaiming(state, output);
  }
}

// ---- reorganisations

/** What the blocks above `to_height` held is undone, also on a channel that was over: the latest spends first. */
export function rollBackFacts(state: ChannelState, to_height: BlockHeight): readonly ChannelEvent[] {
  if (state.phase !== 'resolving' && state.phase !== 'closed') return [];
  const gone = (state.onchain ?? NOTHING_ON_CHAIN).outputs.filter(({ spent }) => spent !== undefined && spent.block_height > to_height);
  const undone = gone.toSorted((a, b) => b.spent!.block_height - a.spent!.block_height || rank(b) - rank(a)).map(({ txid, output_index }): ChannelEvent => ({ type: 'OutputUnspent', txid, output_index }));
  const unspent: ChannelEvent[] = state.spend !== undefined && state.spend.block_height > to_height ? [{ type: 'FundingUnspent', txid: state.spend.txid }] : [];
  return [...undone, ...unspent];
}

/** A second stage may be spent in the very block that made it. */
const rank = ({ kind }: ChainOutput): number => (kind === 'second_stage' ? 1 : 0);
