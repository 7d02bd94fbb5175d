/** BOLT 5: failing a channel, and recognising what spent the funding output. What becomes of its outputs is onchain/'s. */
import { buildCommitment } from '../../bolt/03-transactions/commitment-tx.ts';
import { fundingScript } from '../../bolt/03-transactions/scripts.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { classifyFundingSpend } from '../../bolt/05-onchain/classify.ts';
import type { BlockHeight, Hex } from '../../bolt/primitives.ts';
import type { ClosingEvent } from '../../events/channel/closing.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, refuse, type Decision, type Refusal } from '../decider.ts';
import { resolveBlock, rollBackFacts } from '../onchain/decide.ts';
import { withoutOutputs } from '../onchain/evolve.ts';
import { preimagesInMempool } from '../onchain/preimages.ts';
import { commitmentParams, commitmentSpec } from './commitment-spec.ts';
import type { ChannelCommand } from './commands.ts';
import { DEADLINE_GRACE } from './depths.ts';
import { mutualCloseTxids } from './mutual-closes.ts';
import { nothingAtStake, notOurFunding } from './funding.ts';
import { announcementDue } from './opening.ts';
import { isEstablished, type ChannelState, type EstablishedState } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;
type Event<T extends ClosingEvent['type']> = Extract<ClosingEvent, { type: T }>;
export type ResolvingState = Extract<ChannelState, { phase: 'resolving' }>;

// ---- decide

export function forceClose({ reason }: Command<'ForceClose'>, state: ChannelState): Decision<ChannelEvent> {
  return failChannel(state, { type: 'ChannelFailed', by: 'user', code: 'force_closed_by_user', reason });
}

/** BOLT 1, "The error Message": the receiving node fails the channel. */
export function receiveError({ data }: Command<'ReceiveError'>, state: ChannelState): Decision<ChannelEvent> {
  if (nothingAtStake(state)) return accept<ChannelEvent>({ type: 'OpeningAbandoned', code: 'error_from_peer', reason: data });
  if (state.phase === 'resolving' || state.phase === 'closed' || state.phase === 'closing') return accept<ChannelEvent>();
  return failChannel(state, { type: 'ChannelFailed', by: 'remote', code: 'error_from_peer', reason: data });
}

function failChannel(state: ChannelState, failed: Event<'ChannelFailed'>): Decision<ChannelEvent> {
  if (!isEstablished(state) || (state.phase === 'opening' && state.step !== 'funded')) return refuse('nothing_to_close', { phase: state.phase });
  if (state.phase === 'resolving' || state.phase === 'closed') return refuse('already_closing', { phase: state.phase });
  return accept<ChannelEvent>(failed);
}

/** One block: was the funding output spent, what became of the commitment's outputs, is a deadline near, is the channel deep enough to be announced? */
export function receiveBlock(command: Command<'ReceiveBlock'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isEstablished(state) || state.phase === 'closed') return accept<ChannelEvent>();
  const { funding_spend, height } = command;
  if (funding_spend !== undefined && !('spend' in state && state.spend !== undefined)) {
    const counterfeit = counterfeitFunding(state, funding_spend.transaction);
    if (counterfeit !== undefined) return notOurFunding(state, counterfeit);
    const spent = fundingSpent(state, funding_spend);
    return accept<ChannelEvent>(spent, ...resolveBlock({ ...command, revoked_spec: funding_spend.revoked_spec }, evolveFundingSpent(state, spent)));
  }
  if (state.phase === 'resolving' && !isLeftOpen(state)) return accept<ChannelEvent>(...resolveBlock(command, state));
  const late = state.phase === 'opening' && state.step !== 'funded' ? undefined : missedDeadline(state, height);
  if (late !== undefined) return accept<ChannelEvent>(late);
  return accept<ChannelEvent>(...(state.phase === 'normal' ? announcementDue(state, height) : []));
}

/** A reorganisation took the peer's close away, and we owe none: as long as it does not come back, deadlines count as before. */
const isLeftOpen = ({ spend, failure, agreed, closes }: ResolvingState): boolean =>
  spend === undefined && failure === undefined && agreed === undefined && closes === undefined;

/** Seen in no block yet: all that counts is a preimage, which it shows to everyone. */
export function receiveMempoolTransaction({ transaction }: Command<'ReceiveMempoolTransaction'>, state: ChannelState): Decision<ChannelEvent> {
  return accept<ChannelEvent>(...(isEstablished(state) && state.phase !== 'closed' ? preimagesInMempool(state, transaction) : []));
}

/** The number of a commitment that the peer has revoked, if the transaction is one: its spec has to be gathered. */
export function revokedNumber(state: EstablishedState, transaction: Hex): bigint | undefined {
  const spend = classifyFundingSpend(parseTx(transaction), spendFacts(state));
  return spend.kind === 'revoked' ? spend.commitment_number : undefined;
}

/**
 * Safety 01: who spends an output of our script shows the script, and a signature of ours. A spend that shows anything else is
 * of an output that was never the channel's, whatever its number claims to be.
 */
function counterfeitFunding({ terms, funding }: EstablishedState, transaction: Hex): Refusal | undefined {
  const { inputs, witnesses } = parseTx(transaction);
  const shown = witnesses[inputs.findIndex(({ txid, index }) => txid === funding.txid && index === funding.output_index)]?.at(-1);
  const script = fundingScript(terms.local.keys.funding_pubkey, terms.remote.keys.funding_pubkey);
  if (shown === script) return undefined;
  const got = shown === undefined ? 'a spend that shows none' : `one of ${shown.length / 2} bytes that is another`;
  return refuse('funding_script_differs', { expected: script, got }).refused;
}

function fundingSpent(state: EstablishedState, { txid, transaction, block_height }: NonNullable<Command<'ReceiveBlock'>['funding_spend']>): Event<'FundingSpent'> {
  const spend = classifyFundingSpend(parseTx(transaction), spendFacts(state));
  return {
    type: 'FundingSpent', txid, kind: spend.kind, block_height, transaction,
    commitment_number: 'commitment_number' in spend ? spend.commitment_number : undefined,
  };
}

function spendFacts(state: EstablishedState): Parameters<typeof classifyFundingSpend>[1] {
  const { terms, commitments } = state;
  const [opener, accepter] = terms.role === 'opener' ? [terms.local, terms.remote] : [terms.remote, terms.local];
  const { number, awaiting_revocation } = commitments.remote;
  const remote_txid = buildCommitment(commitmentParams(state, 'remote'), commitmentSpec(state, 'remote')).txid;
  const scripts = 'scripts' in state ? [state.scripts.local, state.scripts.remote].filter((script) => script !== undefined) : [];
  return {
    opener_payment_basepoint: opener.keys.payment_basepoint,
    accepter_payment_basepoint: accepter.keys.payment_basepoint,
    local_commitment_number: commitments.local.number,
    local_txid: buildCommitment(commitmentParams(state, 'local'), commitmentSpec(state, 'local')).txid,
    ...(awaiting_revocation
      ? { remote_commitment_number: number - 1n, remote_pending_commitment_number: number, remote_pending_txid: remote_txid }
      : { remote_commitment_number: number, remote_txid }),
    mutual_close_txids: mutualCloseTxids(state),
    shutdown_scripts: scripts,
  };
}

/** BOLT 2: an HTLC we hold the preimage of, or one of ours that timed out, must not outlive its deadline off chain. */
function missedDeadline({ commitments }: EstablishedState, height: BlockHeight): ChannelEvent | undefined {
  const late = commitments.htlcs.find((htlc) =>
    htlc.direction === 'offered' ? height >= htlc.cltv_expiry + DEADLINE_GRACE : htlc.removal?.kind === 'fulfilled' && height + DEADLINE_GRACE >= htlc.cltv_expiry);
  if (late === undefined) return undefined;
  return { type: 'ChannelFailed', by: 'local', code: 'htlc_deadline', reason: `${late.direction} HTLC ${late.id} with cltv_expiry ${late.cltv_expiry} is unresolved at height ${height}` };
}

export function rollBack({ to_height }: Command<'RollBack'>, state: ChannelState): Decision<ChannelEvent> {
  const undone = rollBackFacts(state, to_height);
  // What we took for newer than all we know must keep ours from the chain, though its block is gone.
  const outdated = undone.length > 0 && 'spend' in state && state.spend?.kind === 'future' && state.failure === undefined;
  return accept<ChannelEvent>(...undone, ...(outdated ? [OUTDATED] : []));
}

const OUTDATED: ChannelEvent = { type: 'ChannelFailed', by: 'local', code: 'data_loss', reason: 'the peer published a commitment newer than any that we know' };

// ---- evolve

export function evolveChannelFailed(state: EstablishedState, { by, code, reason }: Event<'ChannelFailed'>): ChannelState {
  return { ...resolvingFrom(state), failure: { by, code, reason } };
}

export function evolveFundingSpent(state: EstablishedState, event: Event<'FundingSpent'>): ResolvingState {
  const { txid, kind, commitment_number, block_height, transaction } = event;
  return { ...resolvingFrom(state), spend: { txid, kind, commitment_number, block_height, transaction } };
}

function resolvingFrom(state: EstablishedState): ResolvingState {
  if (state.phase === 'resolving') return state;
  const { terms, funding, commitments, ready, announcement } = state;
  const scripts = 'scripts' in state ? state.scripts : {};
  const { agreed, closes } = state.phase === 'closing' ? state : {};
  return { phase: 'resolving', terms, funding, commitments, ready, announcement, scripts, agreed, closes, sweeps: [] };
}

/** The close is owed to the chain again, and any sweep of the vanished outputs is void. */
export function evolveFundingUnspent(state: ResolvingState): ChannelState {
  return { ...withoutOutputs(state), spend: undefined, sweeps: [] };
}
