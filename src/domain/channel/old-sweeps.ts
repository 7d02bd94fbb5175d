/** BOLT 5, as logs from before `onchain/` have it: one sweep of our main output. Nothing is decided here any more; what such a log still owes the chain is. */
import { buildSweep, NO_DELAY, type Sweep as SweepTransaction, type SweepInput } from '../../bolt/03-transactions/claim-tx.ts';
import { deriveRevocationPublicKey, derivePublicKey } from '../../bolt/03-transactions/keys.ts';
import { p2wpkh, p2wsh, toLocalScript, toRemoteAnchorScript } from '../../bolt/03-transactions/scripts.ts';
import { parseTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { Hex } from '../../bolt/primitives.ts';
import type { ClosingEvent } from '../../events/channel/closing.ts';
import type { ResolvingState } from './spending.ts';
import type { ChannelState, EstablishedState, FundingSpend, Sweep } from './state.ts';

type Event<T extends ClosingEvent['type']> = Extract<ClosingEvent, { type: T }>;

/** `to_local` of our commitment, or `to_remote` of any of the peer's, found by its script. */
export function ourOutput(state: EstablishedState, spend: FundingSpend): { kind: 'to_local' | 'to_remote'; input: SweepInput } | undefined {
  if (spend.kind === 'mutual' || spend.kind === 'unknown') return undefined;
  const candidate = spend.kind === 'local' ? toLocal(state) : toRemote(state);
  const { txid, outputs } = parseTx(spend.transaction);
  const index = outputs.findIndex(({ script_pubkey }) => script_pubkey === candidate.script_pubkey);
  if (index < 0) return undefined;
  const { kind, sequence, witness_script, branch } = candidate;
  return { kind, input: { txid, index, value: outputs[index]!.value, sequence, witness_script, spend: branch } };
}

interface Candidate {
  readonly kind: 'to_local' | 'to_remote';
  readonly script_pubkey: Hex;
  readonly witness_script?: Hex;
  readonly sequence: number;
  readonly branch: SweepInput['spend'];
}

function toLocal({ terms, commitments }: EstablishedState): Candidate {
  const { point } = commitments.local;
  const { to_self_delay } = terms.remote;
  const witness_script = toLocalScript(
    deriveRevocationPublicKey(terms.remote.keys.revocation_basepoint, point), to_self_delay, derivePublicKey(terms.local.keys.delayed_payment_basepoint, point),
  );
  return { kind: 'to_local', script_pubkey: p2wsh(witness_script), witness_script, sequence: to_self_delay, branch: { branch: 'delayed' } };
}

function toRemote({ terms }: EstablishedState): Candidate {
  const pubkey = terms.local.keys.payment_basepoint;
  if (terms.format === 'static_remotekey') return { kind: 'to_remote', script_pubkey: p2wpkh(pubkey), sequence: NO_DELAY, branch: { branch: 'p2wpkh', pubkey } };
  const witness_script = toRemoteAnchorScript(pubkey);
  return { kind: 'to_remote', script_pubkey: p2wsh(witness_script), witness_script, sequence: 1, branch: { branch: 'signature' } };
}

/** The transaction of a sweep we started, derived again. */
export function sweepTransaction(state: EstablishedState & { readonly spend?: FundingSpend }, sweep: Sweep): SweepTransaction | undefined {
  const ours = state.spend === undefined ? undefined : ourOutput(state, state.spend);
  if (ours === undefined) return undefined;
  return buildSweep({ inputs: [ours.input], destination_script: sweep.destination_script, feerate_per_kw: sweep.feerate_per_kw });
}

// ---- evolve

export function evolveSweepStarted(state: ResolvingState, event: Event<'SweepStarted'>): ChannelState {
  const { type: _type, ...sweep } = event;
  return { ...state, sweeps: [...state.sweeps, sweep] };
}

export function evolveSweepConfirmed(state: ResolvingState, { sweep_txid, block_height }: Event<'SweepConfirmed'>): ChannelState {
  const sweeps = state.sweeps.map((sweep) => (sweep.sweep_txid === sweep_txid ? { ...sweep, confirmed_height: block_height } : sweep));
  return { ...state, sweeps };
}

export function evolveChannelClosed(state: ResolvingState): ChannelState {
  return { ...state, phase: 'closed' };
}
