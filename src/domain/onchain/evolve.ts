/** BOLT 5: the facts of outputs and claims fold into what a failed channel remembers of the chain. */
import type { OnchainEvent } from '../../events/channel/onchain.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { ChannelState, Commitments, EstablishedState, Htlc } from '../channel/state.ts';
import type { ChainOutput, Onchain, OutPoint } from './types.ts';

type Event<T extends OnchainEvent['type']> = Extract<OnchainEvent, { type: T }>;
/** What reaches a channel whose end is on the chain. */
export type EndingState = Extract<ChannelState, { phase: 'resolving' | 'closed' }>;

export const NOTHING_ON_CHAIN: Onchain = { outputs: [], claims: [], failed: [] };

export const isAt = (a: OutPoint, b: OutPoint): boolean => a.txid === b.txid && a.output_index === b.output_index;

const onchainOf = ({ onchain = NOTHING_ON_CHAIN }: ResolvingState): Onchain => onchain;

const withOnchain = (state: ResolvingState, change: (onchain: Onchain) => Partial<Onchain>): ResolvingState => {
  const onchain = onchainOf(state);
  return { ...state, onchain: { ...onchain, ...change(onchain) } };
};

export function evolveCommitmentOutputsFound(state: ResolvingState, { txid, outputs }: Event<'CommitmentOutputsFound'>): ResolvingState {
  const block_height = state.spend!.block_height;
  const found = outputs.map((output) => sweptBefore(state, { txid, block_height, ...output }));
  return withOnchain(state, (onchain) => ({ outputs: [...onchain.outputs, ...found] }));
}

/** A log that began before outputs had facts of their own may have swept this one. */
function sweptBefore({ sweeps }: ResolvingState, output: ChainOutput): ChainOutput {
  const sweep = sweeps.find(({ confirmed_height, inputs }) => confirmed_height !== undefined && inputs.some((input) => isAt(input, output)));
  return sweep === undefined ? output : { ...output, spent: { txid: sweep.sweep_txid, block_height: sweep.confirmed_height!, by: 'local' } };
}

/** The output is spent; what the spending transaction makes of an HTLC is watched in its place. */
export function evolveOutputSpent(state: ResolvingState, event: Event<'OutputSpent'>): ResolvingState {
  const { spending_txid, block_height, by, second_stage } = event;
  return withOnchain(state, ({ outputs }) => {
    const spent = outputs.map((output) => (isAt(output, event) ? { ...output, spent: { txid: spending_txid, block_height, by } } : output));
    const before = outputs.find((output) => isAt(output, event));
    return { outputs: second_stage === undefined ? spent : [...spent, { txid: spending_txid, ...second_stage, kind: 'second_stage', htlc: before?.htlc, block_height }] };
  });
}

/** As if the block had never been: its second stage is gone with it. */
export function evolveOutputUnspent(state: ResolvingState, event: Event<'OutputUnspent'>): ResolvingState {
  return withOnchain(state, ({ outputs }) => {
    const before = outputs.find((output) => isAt(output, event));
    const gone = (output: ChainOutput) => output.kind === 'second_stage' && output.txid === before?.spent?.txid && isSameHtlc(output, before);
    return { outputs: outputs.filter((output) => !gone(output)).map((output) => (isAt(output, event) ? unspent(output) : output)) };
  });
}

const isSameHtlc = (a: ChainOutput, b: ChainOutput | undefined): boolean => a.htlc?.htlc_id === b?.htlc?.htlc_id && a.htlc?.direction === b?.htlc?.direction;

function unspent({ spent: _spent, ...output }: ChainOutput): ChainOutput {
  return output;
}

export function evolveClaimStarted(state: ResolvingState, { type: _type, ...claim }: Event<'ClaimStarted'>): ResolvingState {
  return withOnchain(state, ({ claims }) => ({ claims: [...claims, claim] }));
}

/** Claims stay: if the same commitment comes back, so does their use. */
export function withoutOutputs(state: ResolvingState): ResolvingState {
  return state.onchain === undefined ? state : withOnchain(state, () => ({ outputs: [] }));
}

export function evolvePreimageFound<S extends EstablishedState>(state: S, { htlc_id, payment_preimage }: Event<'PreimageFound'>): S {
  return { ...state, commitments: withPreimage(state.commitments, 'offered', htlc_id, payment_preimage) };
}

export function evolveIncomingPreimageLearned(state: ResolvingState, { htlc_id, payment_preimage }: Event<'IncomingPreimageLearned'>): ResolvingState {
  return { ...state, commitments: withPreimage(state.commitments, 'received', htlc_id, payment_preimage) };
}

function withPreimage(commitments: Commitments, direction: Htlc['direction'], id: bigint, known_preimage: NonNullable<Htlc['known_preimage']>): Commitments {
  return { ...commitments, htlcs: commitments.htlcs.map((htlc) => (htlc.id === id && htlc.direction === direction ? { ...htlc, known_preimage } : htlc)) };
}

/** Told to other streams for good: never again. */
export function evolveFailureTold(state: ResolvingState, htlc_id: bigint): ResolvingState {
  return withOnchain(state, ({ failed }) => ({ failed: [...failed, htlc_id] }));
}

export function evolveChannelResolved(state: ResolvingState): ChannelState {
  return { ...state, phase: 'closed' };
}

/** A reorganisation deeper than what we took for settled: the channel is not over. */
export function reopened(state: EndingState): ResolvingState {
  return state.phase === 'resolving' ? state : { ...state, phase: 'resolving' };
}

/** The facts of one block, folded one by one while they are being decided. */
export function evolveResolving(state: ResolvingState, event: OnchainEvent | { readonly type: 'OutgoingHtlcFailed' | 'OutgoingHtlcFulfilled'; readonly htlc_id: bigint }): ResolvingState {
  switch (event.type) {
    case 'CommitmentOutputsFound':
      return evolveCommitmentOutputsFound(state, event);
    case 'OutputSpent':
      return evolveOutputSpent(state, event);
    case 'OutputUnspent':
      return evolveOutputUnspent(state, event);
    case 'ClaimStarted':
      return evolveClaimStarted(state, event);
    case 'PreimageFound':
      return evolvePreimageFound(state, event);
    case 'IncomingPreimageLearned':
      return evolveIncomingPreimageLearned(state, event);
    case 'OutgoingHtlcFailed':
      return evolveFailureTold(state, event.htlc_id);
    case 'OutgoingHtlcFulfilled':
    case 'ChannelResolved':
      return state;
  }
}
