/** BOLT 2, "Message Retransmission": what is left to do for a channel whose newest state we lost. Nothing of ours is published; the peer is asked to close. */
import type { CommitmentFormat } from '../../bolt/03-transactions/commitment-tx.ts';
import { channelId } from '../../bolt/02-peer-protocol/opening.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import { msat, sat, ZERO_32, type Hex32, type Msat, type NodeId, type Point, type Sat } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { RecoveryEvent } from '../../events/channel/recovery.ts';
import { accept, refuse, type Decision } from '../decider.ts';
import type { ChannelCommand } from './commands.ts';
import { establish } from './opening-facts.ts';
import { evolveChannelFailed } from './spending.ts';
import { isEstablished, type ChannelState, type EstablishedState, type SideTerms, type Terms } from './state.ts';

type Command<T extends ChannelCommand['type']> = Extract<ChannelCommand, { type: T }>;

/** What must be known of a channel, besides the seed, to get our part of it back from a peer that closes it. */
export interface StaticChannel {
  readonly peer_id: NodeId;
  readonly key_index: number;
  readonly role: 'opener' | 'accepter';
  readonly format: CommitmentFormat;
  readonly funding_txid: Hex32;
  readonly funding_output_index: number;
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
  readonly feerate_per_kw: number;
  readonly local: { readonly dust_limit_satoshis: Sat; readonly to_self_delay: number };
  readonly remote: { readonly keys: ChannelPublicKeys; readonly per_commitment_point: Point; readonly dust_limit_satoshis: Sat; readonly to_self_delay: number };
}

/** Marks of what left us in this state: the peer's newest commitment that we signed, our newest that we revoked; -1n for none. */
export function marksIn({ commitments }: Pick<EstablishedState, 'commitments'>): { readonly signed: bigint; readonly revoked: bigint } {
  return { signed: commitments.remote.number, revoked: commitments.local.number - 1n };
}

/** The channel failed because our data is old: its own commitment may be revoked, and is never published. */
export const hasLostData = (state: ChannelState): boolean => 'failure' in state && state.failure?.code === 'data_loss';

/** Worth a line of a static backup: money of ours may be in it. */
export const isAtStake = (state: ChannelState): state is EstablishedState =>
  isEstablished(state) && state.phase !== 'closed' && !(state.phase === 'opening' && state.step === 'funding_created' && state.terms.role === 'opener');

export function staticChannelOf({ terms, funding, commitments }: EstablishedState): StaticChannel {
  const { local, remote, peer_id, key_index, role, format, funding_satoshis, push_msat } = terms;
  return {
    peer_id, key_index, role, format, funding_satoshis, push_msat,
    funding_txid: funding.txid,
    funding_output_index: funding.output_index,
    feerate_per_kw: terms.opening_feerate_per_kw,
    local: { dust_limit_satoshis: local.dust_limit_satoshis, to_self_delay: local.to_self_delay },
    remote: { keys: remote.keys, per_commitment_point: commitments.remote.point, dust_limit_satoshis: remote.dust_limit_satoshis, to_self_delay: remote.to_self_delay },
  };
}

// ---- decide

/** The log is older than what we did: from here on only the peer may close. A close that is agreed, or on chain, goes on as it is. */
export function enterRecovery({ reason }: Command<'EnterRecovery'>, state: ChannelState): Decision<ChannelEvent> {
  if (!isEstablished(state) || state.phase === 'closed' || hasLostData(state)) return accept<ChannelEvent>();
  if (isSettledOnChain(state)) return accept<ChannelEvent>();
  return accept<ChannelEvent>({ type: 'ChannelFailed', by: 'local', code: 'data_loss', reason });
}

const isSettledOnChain = (state: EstablishedState): boolean =>
  ('agreed' in state && state.agreed !== undefined) || ('closes' in state && (state.closes?.signed.length ?? 0) > 0) || ('spend' in state && state.spend !== undefined);

export function restoreChannel({ channel, local, chain_hash, reason }: Command<'RestoreChannel'>, state: ChannelState): Decision<ChannelEvent> {
  if (state.phase !== 'none') return refuse('channel_exists', { phase: state.phase });
  const { peer_id, key_index, role, format, funding_txid, funding_output_index, funding_satoshis, push_msat, feerate_per_kw } = channel;
  return accept<ChannelEvent>({
    type: 'ChannelRestored',
    peer_id, key_index, role, chain_hash, format, funding_txid, funding_output_index, funding_satoshis, push_msat, feerate_per_kw,
    channel_id: channelId(funding_txid, funding_output_index),
    local: { ...channel.local, keys: local.keys, per_commitment_point: local.first_per_commitment_point },
    remote: channel.remote,
    reason,
  });
}

// ---- evolve

/** As if the log had ended with the opening: everything that came after is unknown. */
export function evolveChannelRestored(event: RecoveryEvent): ChannelState {
  const { channel_id, funding_txid, funding_output_index, local, remote, reason } = event;
  const points = { local: local.per_commitment_point, remote: remote.per_commitment_point };
  const established = establish({ phase: 'opening', step: 'accepted', terms: termsOf(event), points }, { txid: funding_txid, output_index: funding_output_index, channel_id });
  return evolveChannelFailed({ phase: 'opening', step: 'funded', ...established }, { type: 'ChannelFailed', by: 'local', code: 'data_loss', reason });
}

function termsOf({ peer_id, role, key_index, chain_hash, format, funding_satoshis, push_msat, feerate_per_kw, local, remote }: RecoveryEvent): Terms {
  return {
    peer_id, role, key_index, chain_hash, format, funding_satoshis, push_msat,
    temporary_channel_id: ZERO_32,
    opening_feerate_per_kw: feerate_per_kw,
    announce: false,
    scid_alias: false,
    zero_conf: false,
    minimum_depth: 1,
    local: sideTerms(local),
    remote: sideTerms(remote),
  };
}

/** What a channel that takes no payments any more has no use for is nothing. */
function sideTerms({ keys, dust_limit_satoshis, to_self_delay }: RecoveryEvent['local']): SideTerms {
  return { keys, dust_limit_satoshis, to_self_delay, max_htlc_value_in_flight_msat: msat(0), channel_reserve_satoshis: sat(0), htlc_minimum_msat: msat(0), max_accepted_htlcs: 0 };
}
