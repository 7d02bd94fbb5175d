/** One row per channel stream: who, how much, where it stands, and why it ended. Closed channels keep theirs. */
import { isChannelStream } from './streams.ts';
import type { CommitmentFormat } from '../bolt/03-transactions/fees.ts';
import { msat, sat, satToMsat, type BlockHeight, type Hex32, type Msat, type NodeId, type Sat, type ShortChannelId } from '../bolt/primitives.ts';
import { balances } from '../domain/channel/commitment-spec.ts';
import { evolveChannel } from '../domain/channel/evolve.ts';
import type { HtlcState } from '../domain/channel/htlc-lifecycle.ts';
import { ourOutput } from '../domain/channel/old-sweeps.ts';
import { outstandingSat } from '../domain/onchain/claims.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../domain/channel/state.ts';
import type { ChannelEvent } from '../events/channel/index.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import type { StreamId } from '../events/store.ts';
import type { Projection } from './projection.ts';

export interface ChannelRow {
  readonly stream: StreamId;
  readonly phase: ChannelState['phase'];
  /** Of an opening: how far it is. */
  readonly step?: string;
  readonly peer_id?: NodeId;
  readonly role?: 'opener' | 'accepter';
  readonly channel_id?: Hex32;
  readonly short_channel_id?: ShortChannelId;
  /** Names of ours that forwards may use, and the peer's that our invoices use; oldest first. */
  readonly local_aliases?: readonly ShortChannelId[];
  readonly remote_aliases?: readonly ShortChannelId[];
  readonly funding_txid?: Hex32;
  readonly funding_output_index?: number;
  readonly channel_type?: CommitmentFormat;
  readonly announced?: boolean;
  /** Forwards may use its aliases alone. */
  readonly scid_alias?: boolean;
  /** In use before its funding was in a block. */
  readonly zero_conf?: boolean;
  readonly capacity_sat: Sat;
  /** Settled balances; what hangs in HTLCs stands apart. All zero once the funding output is spent. */
  readonly local_msat: Msat;
  readonly remote_msat: Msat;
  readonly offered_msat: Msat;
  readonly received_msat: Msat;
  /** Ours on chain from this channel, not yet swept into the wallet. */
  readonly to_sweep_sat: Sat;
  readonly htlcs: readonly HtlcRow[];
  readonly feerate_per_kw?: number;
  readonly local_commitment_number?: bigint;
  readonly remote_commitment_number?: bigint;
  readonly close?: CloseRow;
  readonly opened_at: string;
  readonly updated_at: string;
  readonly revision: bigint;
}

export interface HtlcRow {
  readonly direction: 'offered' | 'received';
  readonly id: bigint;
  readonly amount_msat: Msat;
  readonly payment_hash: Hex32;
  readonly cltv_expiry: number;
  readonly state: HtlcState;
}

/** How a channel ends: who began it and why, in the words the log has, and what the chain saw. */
export interface CloseRow {
  readonly by?: 'user' | 'local' | 'remote';
  readonly code?: string;
  readonly reason?: string;
  readonly kind?: string;
  readonly txid?: Hex32;
  readonly commitment_number?: bigint;
  readonly block_height?: BlockHeight;
}

/** A channel as the fold holds it. */
interface ChannelEntry {
  readonly state: ChannelState;
  readonly first: EventEnvelope;
  readonly last: EventEnvelope;
  readonly shutdown_by?: 'local' | 'remote';
}

export type ChannelsView = Map<StreamId, ChannelEntry>;

export const channels: Projection<ChannelsView, readonly ChannelRow[]> = {
  name: 'channels',
  initial: () => new Map(),
  apply(view, envelope) {
    if (isChannelStream(envelope.stream)) view.set(envelope.stream, advance(view.get(envelope.stream), envelope));
    return view;
  },
  rows: (view) => [...view.values()].map(channelRow),
};

function advance(before: ChannelEntry | undefined, envelope: EventEnvelope): ChannelEntry {
  const event = envelope.event as ChannelEvent;
  return {
    state: evolveChannel(before?.state ?? initialChannel, event),
    first: before?.first ?? envelope,
    last: envelope,
    shutdown_by: before?.shutdown_by ?? shutdownBy(event),
  };
}

function shutdownBy({ type }: ChannelEvent): 'local' | 'remote' | undefined {
  if (type === 'ShutdownSent') return 'local';
  return type === 'ShutdownReceived' ? 'remote' : undefined;
}

function channelRow({ state, first, last, shutdown_by }: ChannelEntry): ChannelRow {
  return {
    stream: last.stream,
    phase: state.phase,
    ...identity(state),
    ...money(state),
    ...(isEstablished(state) ? commitments(state) : { htlcs: [] }),
    close: closeRow(state, shutdown_by),
    opened_at: first.recorded_at,
    updated_at: last.recorded_at,
    revision: last.revision,
  };
}

function identity(state: ChannelState): Partial<ChannelRow> {
  if (isEstablished(state)) {
    const { terms, funding, ready } = state;
    return {
      ...('step' in state ? { step: state.step } : {}),
      peer_id: terms.peer_id,
      role: terms.role,
      channel_id: funding.channel_id,
      short_channel_id: funding.confirmed?.short_channel_id,
      local_aliases: ready.local_aliases,
      remote_aliases: ready.remote_aliases,
      funding_txid: funding.txid,
      funding_output_index: funding.output_index,
      channel_type: terms.format,
      announced: terms.announce,
      scid_alias: terms.scid_alias,
      zero_conf: terms.zero_conf,
    };
  }
  if (state.phase === 'none') return {};
  if (state.phase === 'abandoned') return { peer_id: state.peer_id };
  const { peer_id, role } = state.step === 'proposed' ? state.proposal : state.terms;
  return { step: state.step, peer_id, role };
}

type Money = Pick<ChannelRow, 'capacity_sat' | 'local_msat' | 'remote_msat' | 'offered_msat' | 'received_msat' | 'to_sweep_sat'>;
const nothing = { local_msat: msat(0n), remote_msat: msat(0n), offered_msat: msat(0n), received_msat: msat(0n), to_sweep_sat: sat(0n) };

/** What of a commitment on chain is ours, until a claim of it is confirmed. */
function sweepableSat(state: EstablishedState): Sat {
  if (!('sweeps' in state) || state.spend === undefined) return sat(0n);
  if (state.onchain !== undefined) return outstandingSat(state);
  if (state.sweeps.some((sweep) => sweep.confirmed_height !== undefined)) return sat(0n);
  return ourOutput(state, state.spend)?.input.value ?? sat(0n);
}

/** The channel's money for as long as the channel holds it; then what of it still lies on chain for us. */
function money(state: ChannelState): Money {
  if (!isEstablished(state)) return { capacity_sat: plannedCapacity(state), ...nothing };
  const capacity_sat = state.terms.funding_satoshis;
  if ('spend' in state && state.spend !== undefined) return { capacity_sat, ...nothing, to_sweep_sat: sweepableSat(state) };
  if (state.phase === 'closed') return { capacity_sat, ...nothing };
  return { capacity_sat, ...balances(state), to_sweep_sat: sat(0n) };
}

function plannedCapacity(state: ChannelState): Sat {
  if (state.phase !== 'opening') return sat(0n);
  return state.step === 'proposed' ? state.proposal.funding_satoshis : state.terms.funding_satoshis;
}

function commitments({ commitments: { htlcs, fees, local, remote } }: EstablishedState) {
  return {
    htlcs: htlcs.map(({ direction, id, amount_msat, payment_hash, cltv_expiry, state }) => ({ direction, id, amount_msat, payment_hash, cltv_expiry, state })),
    feerate_per_kw: fees[0]?.feerate_per_kw,
    local_commitment_number: local.number,
    remote_commitment_number: remote.number,
  };
}

function closeRow(state: ChannelState, shutdown_by: 'local' | 'remote' | undefined): CloseRow | undefined {
  if (state.phase === 'abandoned') return { code: state.code, reason: state.reason };
  const failure = 'failure' in state ? state.failure : undefined;
  const spend = 'spend' in state ? state.spend : undefined;
  if (failure === undefined && spend === undefined && shutdown_by === undefined) return undefined;
  return {
    ...(failure ?? (shutdown_by === undefined ? {} : { by: shutdown_by, code: 'shutdown' })),
    ...(spend === undefined ? {} : { kind: spend.kind, txid: spend.txid, commitment_number: spend.commitment_number, block_height: spend.block_height }),
  };
}

/** The channel's funding in msat less everything it is accounted for: 0 always, or the log is wrong. */
export function msatDifference(state: EstablishedState): bigint {
  const { local_msat, remote_msat, offered_msat, received_msat } = balances(state);
  return satToMsat(state.terms.funding_satoshis) - (local_msat + remote_msat + offered_msat + received_msat);
}

