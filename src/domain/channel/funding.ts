/** BOLT 2, from funding_created to channel_ready: a channel is worth what its funding output pays, and nothing before it is deep enough. */
import { buildCommitment, verifyCommitment } from '../../bolt/03-transactions/commitment-tx.ts';
import { fundingScript, p2wsh } from '../../bolt/03-transactions/scripts.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import { channelId } from '../../bolt/02-peer-protocol/opening.ts';
import { shortChannelId, ZERO_32, type Hex } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import { accept, describeRefusal, refuse, type Decision, type Refusal } from '../decider.ts';
import { commitmentParams, commitmentSpec } from './commitment-spec.ts';
import type { ChannelCommand, ReadyFacts } from './commands.ts';
import { abandoned } from './opening.ts';
import { awaitsFunding, establish } from './opening-facts.ts';
import type { ChannelState, Established, Funding, Terms } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;

/** BOLT 2, "The channel_ready Message": the accepter forgets a channel whose funding does not appear for so many blocks. The opener never does. */
export const FUNDING_TIMEOUT_BLOCKS = 2016;

// ---- the outpoint is named

export function createFunding(command: Command<'CreateFunding'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase !== 'opening' || state.step !== 'accepted' || state.terms.role !== 'opener') return refuse('not_waiting_for_funding', { phase: state.phase });
  const { funding_txid, funding_output_index, funding_transaction } = command;
  const mismatch = fundingMismatch(state.terms, funding_txid, funding_output_index, funding_transaction);
  if (mismatch !== undefined) return { refused: mismatch };
  const channel_id = channelId(funding_txid, funding_output_index);
  return accept<ChannelEvent>({ type: 'FundingCreatedSent', funding_txid, funding_output_index, channel_id, funding_transaction });
}

/** Safety 01: a channel is worth what its funding output pays, to exactly our script; nothing else may become one. */
function fundingMismatch(terms: Terms, txid: string, output_index: number, raw: Hex): Refusal | undefined {
  const transaction = parseTx(raw);
  const no = (code: string, expected: unknown, got: unknown): Refusal => refuse(code, { expected, got }).refused;
  if (transaction.txid !== txid) return no('funding_txid_differs', txid, transaction.txid);
  const output = transaction.outputs[output_index];
  const script = p2wsh(fundingScript(terms.local.keys.funding_pubkey, terms.remote.keys.funding_pubkey));
  if (output?.value !== terms.funding_satoshis) return no('funding_amount_differs', terms.funding_satoshis, output?.value ?? 'no output');
  if (output.script_pubkey !== script) return no('funding_script_differs', script, output.script_pubkey);
  return undefined;
}

/** BOLT 2, "The funding_created Message": the accepter checks the signature on its own commitment 0 and owes its own. */
export function receiveFundingCreated(command: Command<'ReceiveFundingCreated'>, state: ChannelState): Decision<ChannelEvent> {
  const { message, height, channel_id_in_use = false, ready } = command;
  if (state.phase !== 'opening' || state.step !== 'accepted' || state.terms.role !== 'accepter') return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  if (message.temporary_channel_id !== state.terms.temporary_channel_id) {
    return refuse('temporary_channel_id_differs', { expected: state.terms.temporary_channel_id, got: message.temporary_channel_id }, 'warning');
  }
  const { funding_txid, funding_output_index, signature } = message;
  if (funding_txid === ZERO_32) return abandoned('invalid_funding_outpoint', `funding_created: expected the id of a transaction, got ${funding_txid}:${funding_output_index}`);
  const channel_id = channelId(funding_txid, funding_output_index);
  // Safety 02: two outpoints may make one channel_id, and messages name nothing else.
  if (channel_id_in_use) return abandoned('channel_id_in_use', `funding_created: ${funding_txid}:${funding_output_index} makes channel_id ${channel_id}, which names another channel between us`);
  const funding: Funding = { txid: funding_txid, output_index: funding_output_index, channel_id };
  if (!firstCommitmentIsSigned(establish(state, funding), signature)) return abandoned('invalid_signature', 'funding_created: the signature does not fit our commitment 0');
  return accept<ChannelEvent>(
    { type: 'FundingCreatedReceived', funding_txid, funding_output_index, channel_id, signature },
    { type: 'FundingSignedSent', channel_id },
    { type: 'FundingAwaited', block_height: height },
    ...readyAtOnce(state.terms, ready),
  );
}

export function receiveFundingSigned({ message, ready }: Command<'ReceiveFundingSigned'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase !== 'opening' || state.step !== 'funding_created' || state.terms.role !== 'opener') return refuse('unexpected_message', { message: message.type, phase: state.phase }, 'warning');
  if (message.channel_id !== state.funding.channel_id) return refuse('channel_id_differs', { expected: state.funding.channel_id, got: message.channel_id }, 'warning');
  if (!firstCommitmentIsSigned(state, message.signature)) return abandoned('invalid_signature', 'funding_signed: the signature does not fit our commitment 0');
  return accept<ChannelEvent>({ type: 'FundingSignedReceived', channel_id: message.channel_id, signature: message.signature }, ...readyAtOnce(state.terms, ready));
}

function firstCommitmentIsSigned(state: Established, signature: Parameters<typeof verifyCommitment>[3]): boolean {
  const params = commitmentParams(state, 'local');
  const spec = commitmentSpec(state, 'local');
  return verifyCommitment(buildCommitment(params, spec), params, spec, signature, []).ok;
}

/** A channel that is used before its funding is in a block has nothing to wait for. */
const readyAtOnce = ({ zero_conf }: Terms, facts: ReadyFacts | undefined): readonly ChannelEvent[] => (zero_conf && facts !== undefined ? [channelReady(facts)] : []);

const channelReady = ({ next_per_commitment_point, short_channel_id_alias }: ReadyFacts): ChannelEvent => ({
  type: 'ChannelReadySent',
  second_per_commitment_point: next_per_commitment_point,
  short_channel_id_alias,
});

// ---- the chain speaks

/** The chain has the output deep enough: channel_ready is owed, unless it went out before. */
export function confirmFunding(command: Command<'ConfirmFunding'>, state: ChannelState): Decision<ChannelEvent> {
  const waiting = state.phase === 'opening' && state.step === 'funded';
  if (!waiting && state.phase !== 'normal') return refuse('not_waiting_for_confirmation', { phase: state.phase });
  const { funding } = state;
  const mismatch = fundingMismatch(state.terms, funding.txid, funding.output_index, command.funding_transaction);
  if (mismatch !== undefined) return notOurFunding(state, mismatch);
  const { block_height, transaction_index, funding_transaction } = command;
  const short_channel_id = shortChannelId(block_height, transaction_index, funding.output_index);
  if (funding.confirmed?.short_channel_id === short_channel_id) return accept<ChannelEvent>();
  const { txid: funding_txid, output_index: funding_output_index } = funding;
  return accept<ChannelEvent>(
    { type: 'FundingConfirmed', funding_txid, funding_output_index, block_height, transaction_index, short_channel_id, funding_transaction },
    // A reorganisation may move the funding to another place: the channel goes on under its new short_channel_id.
    ...(state.ready.sent ? [] : [channelReady(command)]),
  );
}

/** Another transaction than the one asked for is our chain backend's error, and is asked for again. The right one that pays something else ends the channel, and the peer hears why. */
export function notOurFunding(state: Established & { readonly phase: string }, mismatch: Refusal): Decision<ChannelEvent> {
  if (mismatch.code === 'funding_txid_differs' || state.terms.role === 'opener') return { refused: mismatch };
  const reason = describeRefusal(mismatch);
  return state.phase === 'opening' ? abandoned(mismatch.code, reason) : accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code: mismatch.code, reason });
}

/** No signature of ours can cost us anything: nothing is signed on both sides, or we have nothing in a channel that another was to fund. */
export function nothingAtStake(state: ChannelState): boolean {
  if (state.phase !== 'opening' || state.step !== 'funded') return state.phase === 'opening';
  return state.terms.role === 'accepter' && state.funding.confirmed === undefined && state.commitments.local_msat === 0n;
}

/** No block has the funding transaction: the accepter waits for it, and not for ever. */
export function missFunding({ height }: Command<'MissFunding'>, state: ChannelState): Decision<ChannelEvent> {
  if (!mayBeForgotten(state)) return accept<ChannelEvent>();
  const { awaited_from, txid } = state.funding;
  if (awaited_from === undefined) return accept<ChannelEvent>({ type: 'FundingAwaited', block_height: height });
  const waited = height - awaited_from;
  if (waited < FUNDING_TIMEOUT_BLOCKS) return accept<ChannelEvent>();
  return abandoned('funding_timeout', `the funding transaction ${txid} is in no block after ${waited} blocks, expected within ${FUNDING_TIMEOUT_BLOCKS}`);
}

/** Whether the chain should be asked for a funding that has not come. */
export function mayBeForgotten(state: ChannelState): state is Extract<ChannelState, { phase: 'opening' | 'resolving' }> & Established {
  const failed = state.phase === 'resolving' && state.spend === undefined && state.funding.confirmed === undefined;
  const waiting = state.phase === 'opening' && awaitsFunding(state);
  return (failed || waiting) && state.terms.role === 'accepter';
}
