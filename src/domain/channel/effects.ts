/** What the facts of a turn owe to the peer and to the chain, in order. Nothing is signed here; perform.ts does that once the facts are durable. */
import type { Message } from '../../bolt/messages.ts';
import type { Hex32, Sat } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { HtlcFailure } from '../../events/channel/updates.ts';
import { liveClaims } from '../onchain/claims.ts';
import { hasCompleteClose, signedCloseOf } from './mutual-closes.ts';
import { mayPublish } from './publishing.ts';
import { retransmissions, type Retransmission } from './reestablish.ts';
import { isEstablished, type ChannelState, type ClosingProposal, type EstablishedState, type Htlc, type SignedClose } from './state.ts';

/** A message still to be completed by the signer or with an attachment, or something for the chain. */
export type Effect =
  | { readonly kind: 'send'; readonly message: Message }
  | { readonly kind: 'send_add'; readonly message: Omit<Extract<Message, { type: 'update_add_htlc' }>, 'onion_routing_packet'>; readonly onion_hash: Hex32 }
  | { readonly kind: 'send_fail'; readonly channel_id: Hex32; readonly htlc: Htlc; readonly failure: HtlcFailure }
  | { readonly kind: 'send_funding_created' | 'send_funding_signed' | 'send_commitment_signed' | 'send_announcement_signatures' }
  | { readonly kind: 'send_revoke_and_ack'; readonly commitment_number: bigint }
  | { readonly kind: 'send_closing_signed'; readonly fee_satoshis: Sat; readonly fee_range?: { readonly min_fee_satoshis: Sat; readonly max_fee_satoshis: Sat } }
  | { readonly kind: 'send_closing_complete'; readonly proposal: ClosingProposal }
  | { readonly kind: 'send_closing_sig'; readonly close: SignedClose }
  /** The channel is failed: the peer hears why. */
  | { readonly kind: 'send_error'; readonly channel_id: Hex32; readonly data: string }
  /** `claim_txid`: of a claim. */
  | { readonly kind: 'broadcast'; readonly what: 'funding' | 'commitment' | 'closing' | 'sweep' | 'claim'; readonly claim_txid?: Hex32 };

/** `state` is the one after all of `events`. */
export function effectsOf(events: readonly ChannelEvent[], state: ChannelState): readonly Effect[] {
  return events.flatMap((event) => effectOf(event, state));
}

function effectOf(event: ChannelEvent, state: ChannelState): readonly Effect[] {
  switch (event.type) {
    case 'OpenChannelSent':
    case 'AcceptChannelSent':
      return [{ kind: 'send', message: openingMessage(event) }];
    case 'FundingCreatedSent':
      return [{ kind: 'send_funding_created' }];
    case 'FundingSignedSent':
      return [{ kind: 'send_funding_signed' }];
    case 'FundingSignedReceived':
      return [{ kind: 'broadcast', what: 'funding' }];
    case 'OpeningAbandoned':
      return state.phase === 'abandoned' && event.code !== 'error_from_peer' ? [{ kind: 'send_error', channel_id: state.channel_id, data: event.reason }] : [];
    default:
      return isEstablished(state) ? establishedEffect(event, state) : [];
  }
}

function establishedEffect(event: ChannelEvent, state: EstablishedState): readonly Effect[] {
  const { channel_id } = state.funding;
  switch (event.type) {
    case 'ChannelReadySent':
      return [{ kind: 'send', message: channelReady(state) }];
    case 'AnnouncementSignaturesSent':
      return [{ kind: 'send_announcement_signatures' }];
    case 'UpdateAddHtlcSent':
      return [addEffect(channel_id, event)];
    case 'UpdateFulfillHtlcSent':
      return [{ kind: 'send', message: { type: 'update_fulfill_htlc', channel_id, id: event.id, payment_preimage: event.payment_preimage, tlvs: {} } }];
    case 'UpdateFailHtlcSent':
    case 'UpdateFailMalformedHtlcSent':
      return removalEffects(channel_id, state.commitments.htlcs.filter((htlc) => htlc.direction === 'received' && htlc.id === event.id));
    case 'UpdateFeeSent':
      return [{ kind: 'send', message: { type: 'update_fee', channel_id, feerate_per_kw: event.feerate_per_kw, tlvs: {} } }];
    case 'CommitmentSignedSent':
      return [{ kind: 'send_commitment_signed' }];
    case 'RevokeAndAckSent':
      return [{ kind: 'send_revoke_and_ack', commitment_number: event.commitment_number }];
    case 'ChannelReestablishReceived':
      return state.phase === 'resolving' ? [] : retransmissions(state, event).flatMap((again) => retransmit(again, state));
    case 'ShutdownSent':
      return [{ kind: 'send', message: { type: 'shutdown', channel_id, scriptpubkey: event.scriptpubkey, tlvs: {} } }];
    case 'ClosingSignedSent':
      return [{ kind: 'send_closing_signed', fee_satoshis: event.fee_satoshis, fee_range: event.fee_range }];
    case 'ClosingAgreed':
    case 'ClosingSigReceived':
      return [{ kind: 'broadcast', what: 'closing' }];
    case 'ClosingCompleteSent':
      return [{ kind: 'send_closing_complete', proposal: { closer: 'local', ...event } }];
    case 'ClosingSigSent':
      return [{ kind: 'send_closing_sig', close: signedCloseOf(state, event.closing_txid) }, { kind: 'broadcast', what: 'closing' }];
    case 'ChannelFailed':
      return failureEffects(channel_id, event);
    case 'FundingUnspent':
      return owedToChain(state);
    case 'ClaimStarted':
      return [{ kind: 'broadcast', what: 'claim', claim_txid: event.claim_txid }];
    case 'OutputUnspent':
      return owedClaims(state);
    default:
      return [];
  }
}

/** Data loss must not publish what may be revoked: there the peer is asked to close instead. */
function failureEffects(channel_id: Hex32, { by, code, reason }: Extract<ChannelEvent, { type: 'ChannelFailed' }>): readonly Effect[] {
  const told: Effect[] = by === 'remote' ? [] : [{ kind: 'send_error', channel_id, data: `${code}: ${reason}` }];
  return mayPublish(code) ? [...told, { kind: 'broadcast', what: 'commitment' }] : told;
}

/** What the chain is still owed in this state: repeated with every block, and after a restart. */
export function owedToChain(state: ChannelState): readonly Effect[] {
  return isEstablished(state) && needsFunding(state) ? [...owe('funding'), ...owedEnd(state)] : owedEnd(state);
}

const owe = (what: Extract<Effect, { kind: 'broadcast' }>['what']): readonly Effect[] => [{ kind: 'broadcast', what }];

/** The opener's coins come back only over the funding output: it is owed until a block has it, however the channel goes on. */
function needsFunding(state: EstablishedState): boolean {
  const signed = state.phase !== 'opening' || state.step === 'funded';
  const spent = state.phase === 'closed' || ('spend' in state && state.spend !== undefined);
  const forbidden = 'failure' in state && state.failure !== undefined && !mayPublish(state.failure.code);
  return signed && !spent && !forbidden && state.terms.role === 'opener' && state.funding.confirmed === undefined;
}

function owedEnd(state: ChannelState): readonly Effect[] {
  switch (state.phase) {
    case 'closing':
      return hasCompleteClose(state) ? owe('closing') : [];
    case 'resolving':
      if (state.spend !== undefined) return [...(state.sweeps.some((sweep) => sweep.confirmed_height === undefined) ? owe('sweep') : []), ...owedClaims(state)];
      return [
        ...(hasCompleteClose(state) ? owe('closing') : []),
        // A close that both signed may be too cheap for its time: whoever wants out by force is not held back by it.
        ...(state.failure !== undefined && mayPublish(state.failure.code) ? [...owe('commitment'), ...owedClaims(state)] : []),
      ];
    default:
      return [];
  }
}

const owedClaims = (state: ChannelState): readonly Effect[] => liveClaims(state).map(({ claim_txid }) => ({ kind: 'broadcast', what: 'claim', claim_txid }));

function openingMessage(event: Extract<ChannelEvent, { type: 'OpenChannelSent' | 'AcceptChannelSent' }>): Message {
  const { upfront_shutdown_script, channel_type } = event;
  const tlvs = { ...(upfront_shutdown_script === undefined ? {} : { upfront_shutdown_script }), channel_type };
  if (event.type === 'OpenChannelSent') {
    const { peer_id: _peer, key_index: _index, upfront_shutdown_script: _script, channel_type: _type, ...fields } = event;
    return { ...fields, type: 'open_channel', tlvs };
  }
  const { peer_id: _peer, key_index: _index, upfront_shutdown_script: _script, channel_type: _type, ...fields } = event;
  return { ...fields, type: 'accept_channel', tlvs };
}

/** channel_ready carries the point of our commitment 1. */
function channelReady({ funding, commitments, ready }: EstablishedState): Message {
  const alias = ready.local_aliases.at(-1);
  const tlvs = alias === undefined ? {} : { short_channel_id: alias };
  return { type: 'channel_ready', channel_id: funding.channel_id, second_per_commitment_point: commitments.local.next_point!, tlvs };
}

function addEffect(channel_id: Hex32, { id, amount_msat, payment_hash, cltv_expiry, onion_hash }: Pick<Htlc, 'id' | 'amount_msat' | 'payment_hash' | 'cltv_expiry' | 'onion_hash'>): Effect {
  return { kind: 'send_add', message: { type: 'update_add_htlc', channel_id, id, amount_msat, payment_hash, cltv_expiry, tlvs: {} }, onion_hash };
}

function removalEffects(channel_id: Hex32, htlcs: readonly Htlc[]): readonly Effect[] {
  return htlcs.flatMap((htlc): Effect[] => {
    const { id, removal } = htlc;
    switch (removal?.kind) {
      case 'fulfilled':
        return [{ kind: 'send', message: { type: 'update_fulfill_htlc', channel_id, id, payment_preimage: removal.payment_preimage, tlvs: {} } }];
      case 'malformed_by_us':
        return [{ kind: 'send', message: { type: 'update_fail_malformed_htlc', channel_id, id, sha256_of_onion: removal.sha256_of_onion, failure_code: removal.failure_code, tlvs: {} } }];
      case 'failed_by_us':
        return [{ kind: 'send_fail', channel_id, htlc, failure: removal.failure }];
      default:
        return [];
    }
  });
}

function retransmit(again: Retransmission, state: EstablishedState): readonly Effect[] {
  const { channel_id } = state.funding;
  switch (again.kind) {
    case 'channel_ready':
      return [{ kind: 'send', message: channelReady(state) }];
    case 'announcement_signatures':
      return [{ kind: 'send_announcement_signatures' }];
    case 'revoke_and_ack':
      return [{ kind: 'send_revoke_and_ack', commitment_number: state.commitments.local.number - 1n }];
    case 'commitment_signed':
      return [{ kind: 'send_commitment_signed' }];
    case 'add':
      return [addEffect(channel_id, again.htlc)];
    case 'removal':
      return removalEffects(channel_id, [again.htlc]);
    case 'fee':
      return [{ kind: 'send', message: { type: 'update_fee', channel_id, feerate_per_kw: again.fee.feerate_per_kw, tlvs: {} } }];
    case 'shutdown': {
      const scriptpubkey = 'scripts' in state ? state.scripts.local : undefined;
      return scriptpubkey === undefined ? [] : [{ kind: 'send', message: { type: 'shutdown', channel_id, scriptpubkey, tlvs: {} } }];
    }
  }
}
