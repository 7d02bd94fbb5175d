/** Effects become messages and transactions: signing happens here, after the facts that owe it are on their way to the log. */
import { createFailurePacket, wrapFailurePacket } from '../bolt/04-onion-routing/failure.ts';
import { lookupSecret, secretIndex } from '../bolt/03-transactions/per-commitment-secret.ts';
import { signedSweep } from '../bolt/03-transactions/claim-tx.ts';
import { signedClosing } from '../bolt/03-transactions/closing-tx.ts';
import { buildCommitment, signedCommitment } from '../bolt/03-transactions/commitment-tx.ts';
import { serialize } from '../bolt/03-transactions/tx.ts';
import type { Message } from '../bolt/messages.ts';
import { ZERO_32, type Hex, type Hex32 } from '../bolt/primitives.ts';
import { commitmentParams, commitmentSpec } from '../domain/channel/commitment-spec.ts';
import type { Effect } from '../domain/channel/effects.ts';
import { ourNumbers } from '../domain/channel/reestablish.ts';
import { closingOf, ourClosing, simpleClosing } from '../domain/channel/closing-transactions.ts';
import type { ClosingState } from '../domain/channel/closing-fee.ts';
import { closesToPublish } from '../domain/channel/mutual-closes.ts';
import { sweepTransaction } from '../domain/channel/old-sweeps.ts';
import type { ResolvingState } from '../domain/channel/spending.ts';
import { isEstablished, type ChannelState, type EstablishedState, type Htlc, type Sweep } from '../domain/channel/state.ts';
import { claimTransaction, liveClaims } from '../domain/onchain/claims.ts';
import type { Claim } from '../domain/onchain/types.ts';
import type { HtlcFailure } from '../events/channel/updates.ts';
import { announcementDigest } from './announcement.ts';
import type { ChannelContext } from './channel-context.ts';
import { toData } from './gather.ts';

type Of<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

/** The message that an effect owes the peer. `state` is the one right after the events that owe it. */
export function messageFor(effect: Exclude<Effect, { kind: 'broadcast' }>, state: ChannelState, context: ChannelContext): Message | Promise<Message> {
  if (effect.kind === 'send') return effect.message;
  if (effect.kind === 'send_error') return { type: 'error', channel_id: effect.channel_id, data: toData(effect.data), tlvs: {} };
  if (!isEstablished(state)) throw new Error(`${effect.kind} is owed in phase ${state.phase}`);
  switch (effect.kind) {
    case 'send_add':
      return withOnion(effect, context);
    case 'send_fail':
      return failMessage(effect, context);
    case 'send_funding_created':
    case 'send_funding_signed':
    case 'send_commitment_signed':
      return commitmentMessage(effect.kind, state, context);
    case 'send_revoke_and_ack':
      return revokeMessage(effect, state, context);
    case 'send_closing_signed':
      return closingMessage(effect, state as ClosingState, context);
    case 'send_closing_complete':
      return closingComplete(effect, state, context);
    case 'send_closing_sig':
      return closingSig(effect, state, context);
    case 'send_announcement_signatures':
      return announcementMessage(state, context);
  }
}

function withOnion({ message, onion_hash }: Of<'send_add'>, { store }: ChannelContext): Message | Promise<Message> {
  const known = store.recall?.(onion_hash);
  return known === undefined ? attachment(store, onion_hash).then((packet) => ({ ...message, onion_routing_packet: packet })) : { ...message, onion_routing_packet: known };
}

async function attachment(store: ChannelContext['store'], hash: Hex32): Promise<Hex> {
  const bytes = await store.attachment(hash);
  if (bytes === undefined) throw new Error(`the attachment ${hash} is missing: it was pruned while its HTLC lives`);
  return bytes;
}

/** BOLT 4, "Returning Errors": our own failure in its first layer, or the next node's in one more. */
async function failMessage({ channel_id, htlc, failure }: Of<'send_fail'>, context: ChannelContext): Promise<Message> {
  return { type: 'update_fail_htlc', channel_id, id: htlc.id, reason: await reasonFor(htlc, failure, context), tlvs: {} };
}

async function reasonFor(htlc: Htlc, failure: HtlcFailure, { signer, store }: ChannelContext): Promise<Hex> {
  const sharedSecret = signer.nodeEcdh(htlc.onion_ephemeral_key!);
  if (failure.kind === 'relayed') return wrapFailurePacket(sharedSecret, await attachment(store, failure.reason_hash));
  return createFailurePacket(sharedSecret, failure.failure_code.toString(16).padStart(4, '0') + failure.failure_data);
}

function commitmentMessage(kind: 'send_funding_created' | 'send_funding_signed' | 'send_commitment_signed', state: EstablishedState, { signer }: ChannelContext): Message {
  const params = commitmentParams(state, 'remote');
  const spec = commitmentSpec(state, 'remote');
  const { signature, htlc_signatures } = signer.signRemoteCommitment(state.terms.key_index, buildCommitment(params, spec), params, spec);
  const { channel_id, txid: funding_txid, output_index: funding_output_index } = state.funding;
  switch (kind) {
    case 'send_funding_created':
      return { type: 'funding_created', temporary_channel_id: state.terms.temporary_channel_id, funding_txid, funding_output_index, signature, tlvs: {} };
    case 'send_funding_signed':
      return { type: 'funding_signed', channel_id, signature, tlvs: {} };
    case 'send_commitment_signed':
      return { type: 'commitment_signed', channel_id, signature, htlc_signatures: [...htlc_signatures], tlvs: {} };
  }
}

function revokeMessage({ commitment_number }: Of<'send_revoke_and_ack'>, state: EstablishedState, { signer }: ChannelContext): Message {
  const { key_index } = state.terms;
  return {
    type: 'revoke_and_ack',
    channel_id: state.funding.channel_id,
    per_commitment_secret: signer.revealPerCommitmentSecret(key_index, commitment_number),
    next_per_commitment_point: signer.perCommitmentPoint(key_index, commitment_number + 2n),
    tlvs: {},
  };
}

function closingMessage({ fee_satoshis, fee_range }: Of<'send_closing_signed'>, state: ClosingState, { signer }: ChannelContext): Message {
  // What both sides agreed on may leave out an output that we would keep: there our signature is for theirs.
  const closing = (state.agreed?.fee_satoshis === fee_satoshis ? closingOf(state, state.agreed) : undefined) ?? ourClosing(state, fee_satoshis);
  if (closing === undefined) throw new Error(`no closing transaction can pay a fee of ${fee_satoshis} sat`);
  const signature = signer.signClosing(state.terms.key_index, closing);
  return { type: 'closing_signed', channel_id: state.funding.channel_id, fee_satoshis, signature, tlvs: fee_range === undefined ? {} : { fee_range } };
}

/** BOLT 2: one signature for each variant that we sign as closer. */
function closingComplete({ proposal: { closer_scriptpubkey, closee_scriptpubkey, fee_satoshis, locktime, outputs } }: Of<'send_closing_complete'>, state: EstablishedState, { signer }: ChannelContext): Message {
  const said = { closer_scriptpubkey, closee_scriptpubkey, fee_satoshis, locktime };
  const signed = outputs.map((variant) => [variant, signer.signClosing(state.terms.key_index, simpleClosing(state, { closer: 'local', ...said }, variant)!)]);
  return { type: 'closing_complete', channel_id: state.funding.channel_id, ...said, tlvs: Object.fromEntries(signed) };
}

/** BOLT 2: the closer's own words again, and one signature in the same field. */
function closingSig({ close }: Of<'send_closing_sig'>, state: EstablishedState, { signer }: ChannelContext): Message {
  const { closer_scriptpubkey, closee_scriptpubkey, fee_satoshis, locktime, outputs } = close;
  const signature = signer.signClosing(state.terms.key_index, simpleClosing(state, close, outputs)!);
  return { type: 'closing_sig', channel_id: state.funding.channel_id, closer_scriptpubkey, closee_scriptpubkey, fee_satoshis, locktime, tlvs: { [outputs]: signature } };
}

/** BOLT 7, "The announcement_signatures Message": both keys sign the announcement that both sides can build. */
function announcementMessage(state: EstablishedState, context: ChannelContext): Message {
  const { short_channel_id } = state.funding.confirmed!;
  const signatures = context.signer.signChannelAnnouncement(state.terms.key_index, announcementDigest(state, short_channel_id, context));
  return { type: 'announcement_signatures', channel_id: state.funding.channel_id, short_channel_id, ...signatures, tlvs: {} };
}

/** The raw transaction that an effect owes the chain. */
export function transactionFor({ what, claim_txid }: Of<'broadcast'>, state: ChannelState, context: ChannelContext): readonly Hex[] {
  if (!isEstablished(state)) return [];
  switch (what) {
    case 'funding':
      return state.funding.transaction === undefined ? [] : [state.funding.transaction];
    case 'commitment':
      return [ourCommitment(state, context)];
    case 'closing':
      return closingTransaction(state as ClosingState | ResolvingState, context);
    case 'sweep':
      return (state as ResolvingState).sweeps.filter((sweep) => sweep.confirmed_height === undefined).flatMap((sweep) => signedSweepOf(state as ResolvingState, sweep, context));
    case 'claim':
      return liveClaims(state as ResolvingState).filter((claim) => claim_txid === undefined || claim.claim_txid === claim_txid).flatMap((claim) => signedClaim(state as ResolvingState, claim, context));
  }
}

/** BOLT 5: each input with the key that takes it, ours of the channel or a coin of the wallet's. */
function signedClaim(state: ResolvingState, claim: Claim, { signer, signCoin }: ChannelContext): readonly Hex[] {
  const made = claimTransaction(state, claim);
  if (made === undefined) return [];
  const witnesses = made.inputs.map(({ sighash, key, witness }) => {
    if (key.kind !== 'wallet') return witness(signer.signSweepInput(state.terms.key_index, key, sighash));
    const { signature, pubkey } = signCoin(key.script_pubkey, sighash);
    return witness(signature, pubkey);
  });
  return [serialize(made.tx, witnesses)];
}

function ourCommitment(state: EstablishedState, { signer }: ChannelContext): Hex {
  const params = commitmentParams(state, 'local');
  const commitment = buildCommitment(params, commitmentSpec(state, 'local'));
  return signedCommitment(commitment, params, signer.signLocalCommitment(state.terms.key_index, commitment), state.commitments.local.signature!);
}

/** The dearest of them; the others are their own predecessors. */
const MOST_CLOSES_SENT = 8;

function closingTransaction(state: ClosingState | ResolvingState, { signer, height }: ChannelContext): readonly Hex[] {
  return closesToPublish(state, height()).slice(0, MOST_CLOSES_SENT).map(({ closing, signature }) => signedClosing(closing, signer.signClosing(state.terms.key_index, closing), signature));
}

function signedSweepOf(state: ResolvingState, sweep: Sweep, { signer }: ChannelContext): readonly Hex[] {
  const transaction = sweepTransaction(state, sweep);
  if (transaction === undefined) return [];
  const { key_index } = state.terms;
  const { kind } = sweep.inputs[0]!;
  const key = kind === 'to_local' ? { kind, commitment_number: state.commitments.local.number } : { kind };
  return [signedSweep(transaction, transaction.sighashes.map((sighash) => signer.signSweepInput(key_index, key, sighash)))];
}

/** What we say first of a channel on a new connection: where we stand, or that it is failed and why. */
export function openingWords(state: ChannelState, context: ChannelContext): readonly Message[] {
  if (!isEstablished(state) || state.phase === 'closed' || (state.phase === 'opening' && state.step === 'funding_created')) return [];
  if (state.phase !== 'resolving') return [reestablishMessage(state, context)];
  if (state.failure === undefined) return [];
  const { code, reason } = state.failure;
  const error: Message = { type: 'error', channel_id: state.funding.channel_id, data: toData(`${code}: ${reason}`), tlvs: {} };
  // After a loss of data only the peer can close: some do so by the numbers that show our loss, some by our error.
  return code === 'data_loss' ? [reestablishMessage(state, context), error] : [error];
}

/** BOLT 2, "Message Retransmission". With static_remotekey any point of ours will do. */
export function reestablishMessage(state: EstablishedState, { signer }: ChannelContext): Message {
  const { commitments, funding, terms } = state;
  const numbers = ourNumbers(commitments);
  const last = numbers.next_revocation_number === 0n ? undefined : lookupSecret(commitments.remote.secrets, secretIndex(numbers.next_revocation_number - 1n));
  return {
    type: 'channel_reestablish',
    channel_id: funding.channel_id,
    ...numbers,
    your_last_per_commitment_secret: last ?? ZERO_32,
    my_current_per_commitment_point: signer.perCommitmentPoint(terms.key_index, commitments.local.number),
    tlvs: {},
  };
}

