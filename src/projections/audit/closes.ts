/** BOLT 2, "Channel Close", and BOLT 5, told by the auditor: how each channel ended: who, why, by which transactions, at which fees, and whether it paid what the last state says. */
import type { BlockHeight, Hex32, NodeId, Sat } from '../../bolt/primitives.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { mutualCloseTxids } from '../../domain/channel/mutual-closes.ts';
import { isEstablished, type ChannelState, type EstablishedState, type FundingSpend } from '../../domain/channel/state.ts';
import type { EventEnvelope } from '../../events/envelope.ts';
import type { Position, StreamId } from '../../events/store.ts';
import { channelFees, totalsOf, type FeeRow, type FeeTotals } from '../fee-ledger.ts';
import { confirmedCommitment } from '../spend-fees.ts';
import type { KnownCommitments } from './closing.ts';
import { CheckFailed } from './report.ts';

/** The event that began the end, where the log has it. */
export interface CloseCause {
  readonly type: 'ShutdownSent' | 'ShutdownReceived' | 'ChannelFailed' | 'FundingSpent';
  readonly position: Position;
  readonly revision: bigint;
  readonly recorded_at: string;
  readonly code: string;
  /** In the words of who gave it. */
  readonly reason: string;
}

export interface CloseOutput {
  readonly output_index: number;
  readonly value_sat: Sat;
  /** In the words of the commitment's owner; `mutual` of a close by agreement, `unknown` where the log cannot tell. */
  readonly kind: string;
  readonly htlc?: { readonly direction: 'offered' | 'received'; readonly htlc_id: bigint };
  readonly spent?: { readonly txid: Hex32; readonly by: 'local' | 'remote'; readonly block_height: BlockHeight };
}

export interface CloseReport {
  readonly stream: StreamId;
  readonly peer_id: NodeId;
  readonly capacity_sat: Sat;
  /** Whose doing it was: `user` and `local` are us. */
  readonly by: 'user' | 'local' | 'remote';
  readonly cause: CloseCause;
  /** What spent the funding output; undefined while nothing has. */
  readonly kind?: FundingSpend['kind'];
  readonly txid?: Hex32;
  readonly commitment_number?: bigint;
  readonly block_height?: BlockHeight;
  /** Nothing is left on chain to claim or to lose. */
  readonly resolved: boolean;
  /** The close, and each claim of ours. */
  readonly transactions: readonly FeeRow[];
  readonly fees: FeeTotals;
  readonly outputs: readonly CloseOutput[];
  /** Whether the outputs are those of the state that the close is of, rebuilt from the log; `unknown` where the log cannot say. */
  readonly outputs_equal_state: 'yes' | 'no' | 'unknown';
}

export interface CloseWatch {
  /** Takes each event of a channel's stream, in order. */
  take(envelope: EventEnvelope): void;
  /** A channel whose end has begun; undefined for one that lives. */
  report(stream: StreamId, state: ChannelState, known: KnownCommitments): CloseReport | undefined;
}

type Causes = { readonly [T in CloseCause['type']]?: CloseCause & { readonly by: CloseReport['by'] } };

/** Memory: four causes of each channel at most. */
export function watchCloses(): CloseWatch {
  const causes = new Map<StreamId, Causes>();
  return {
    take(envelope) {
      const { stream, event } = envelope;
      const told = causes.get(stream) ?? {};
      if (event.type === 'FundingUnspent') return void causes.set(stream, { ...told, FundingSpent: undefined });
      const cause = causeOf(envelope);
      // A reestablished connection repeats the shutdown: the first one was the wish.
      if (cause !== undefined && told[cause.type] === undefined) causes.set(stream, { ...told, [cause.type]: cause });
    },
    report(stream, state, known) {
      const told = decisive(causes.get(stream) ?? {}, state);
      if (told === undefined || !isEstablished(state)) return undefined;
      const { by, ...cause } = told;
      return { stream, by, cause, ...endOf(stream, state, known) };
    },
  };
}

/** Throws CheckFailed for an end that paid something else than its state says. */
export function checkClose({ kind, txid, outputs_equal_state }: CloseReport): void {
  if (outputs_equal_state === 'no') throw new CheckFailed('close_differs', `outputs of the ${kind} on chain`, 'those of the transaction that the log rebuilds', txid);
}

/** Who it was and why, of events that can begin an end. */
function causeOf({ event, position, revision, recorded_at }: EventEnvelope): (CloseCause & { by: CloseReport['by'] }) | undefined {
  const place = { position, revision, recorded_at };
  switch (event.type) {
    case 'ShutdownSent':
      return { type: event.type, ...place, by: 'user', code: 'shutdown', reason: 'we asked for a close by agreement' };
    case 'ShutdownReceived':
      return { type: event.type, ...place, by: 'remote', code: 'shutdown', reason: 'the peer asked for a close by agreement' };
    case 'ChannelFailed':
      return { type: event.type, ...place, by: event.by, code: event.code, reason: event.reason };
    case 'FundingSpent':
      return { type: event.type, ...place, by: event.kind === 'local' ? 'local' : 'remote', code: `${event.kind}_on_chain`, reason: PUBLISHED[event.kind] };
    default:
      return undefined;
  }
}

const PUBLISHED: Readonly<Record<FundingSpend['kind'], string>> = {
  mutual: 'the close that both had signed came to the chain',
  local: 'our commitment came to the chain',
  remote: 'the peer published its commitment',
  remote_pending: 'the peer published its next commitment',
  revoked: 'the peer published a commitment that it had revoked',
  future: 'the peer published a commitment newer than our log knows',
  unknown: 'a transaction that the log does not know spent the funding output',
};

/** Of several causes the one that the end came of: a close by agreement began with the first shutdown, any other with the failure. */
function decisive(causes: Causes, state: ChannelState): Causes[CloseCause['type']] {
  const { ShutdownSent: sent, ShutdownReceived: received, ChannelFailed: failed, FundingSpent: spent } = causes;
  const shutdown = sent !== undefined && received !== undefined ? (sent.revision < received.revision ? sent : received) : (sent ?? received);
  const mutual = 'spend' in state && state.spend?.kind === 'mutual';
  if (mutual) return shutdown ?? failed ?? spent;
  return state.phase === 'resolving' || state.phase === 'closed' ? (failed ?? spent ?? shutdown) : shutdown;
}

function endOf(stream: StreamId, state: EstablishedState, known: KnownCommitments): Omit<CloseReport, 'stream' | 'by' | 'cause'> {
  const spend = 'spend' in state ? state.spend : undefined;
  const transactions = channelFees(stream, state);
  return {
    peer_id: state.terms.peer_id,
    capacity_sat: state.terms.funding_satoshis,
    kind: spend?.kind,
    txid: spend?.txid,
    commitment_number: spend?.commitment_number,
    block_height: spend?.block_height,
    resolved: state.phase === 'closed',
    transactions,
    fees: totalsOf(transactions),
    outputs: spend === undefined ? [] : outputsOf(state, spend),
    outputs_equal_state: spend === undefined ? 'unknown' : equalsState(state, spend, known),
  };
}

/** What the chain has, with what the log knows of each. */
function outputsOf(state: EstablishedState, spend: FundingSpend): readonly CloseOutput[] {
  const watched = 'onchain' in state ? (state.onchain?.outputs ?? []) : [];
  const built = confirmedCommitment(state, spend)?.built.outputs;
  return parseTx(spend.transaction).outputs.map(({ value }, output_index) => {
    const found = watched.find((output) => output.txid === spend.txid && output.output_index === output_index);
    const kind = spend.kind === 'mutual' ? 'mutual' : (found?.kind ?? built?.[output_index]?.kind ?? 'unknown');
    const htlc = found?.htlc === undefined ? undefined : { direction: found.htlc.direction, htlc_id: found.htlc.htlc_id };
    return { output_index, value_sat: value, kind, ...(htlc === undefined ? {} : { htlc }), ...(found?.spent === undefined ? {} : { spent: found.spent }) };
  });
}

/** A txid commits to every output: the same txid, rebuilt from the log, is the same payment. */
function equalsState(state: EstablishedState, { kind, txid, commitment_number }: FundingSpend, known: KnownCommitments): CloseReport['outputs_equal_state'] {
  switch (kind) {
    case 'mutual':
      return mutualCloseTxids(state).includes(txid) ? 'yes' : 'no';
    case 'local':
    case 'remote':
    case 'remote_pending':
      return confirmedCommitment(state, { kind, txid }) === undefined ? 'no' : 'yes';
    case 'revoked': {
      const before = commitment_number === undefined ? [] : [known('remote', commitment_number), known('local', commitment_number)].filter((each) => each !== undefined);
      return before.length === 0 ? 'unknown' : before.includes(txid) ? 'yes' : 'no';
    }
    case 'future':
    case 'unknown':
      return 'unknown';
  }
}
