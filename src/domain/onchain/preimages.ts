/** BOLT 5: preimages that the chain or the mempool shows, and HTLCs of ours that can only fail: both are told upstream. */
import { readTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, hex32, type BlockHeight, type Hex, type Hex32 } from '../../bolt/primitives.ts';
import type { ChannelEvent } from '../../events/channel/index.ts';
import type { OnchainEvent } from '../../events/channel/onchain.ts';
import type { UpdateEvent } from '../../events/channel/updates.ts';
import type { ResolvingState } from '../channel/spending.ts';
import { isEstablished, type ChannelState, type EstablishedState, type Htlc } from '../channel/state.ts';
import { allOutputsKnown } from './commitment-outputs.ts';
import { NOTHING_ON_CHAIN } from './evolve.ts';
import { isBuried } from './output-lifecycle.ts';
import { isWorthClaiming } from './planning.ts';
import type { ChainOutput } from './types.ts';

export type UpstreamFact = Extract<UpdateEvent, { type: 'OutgoingHtlcFulfilled' | 'OutgoingHtlcFailed' }>;
type PreimageFound = Extract<OnchainEvent, { type: 'PreimageFound' }>;

/**
 * Whoever can claim one HTLC of a hash can claim them all: a preimage counts for every HTLC of ours with its hash, on
 * whichever commitment it stands, or on none.
 */
export function preimagesIn(state: EstablishedState, transaction: ParsedTx, source: PreimageFound['source']): readonly (PreimageFound | UpstreamFact)[] {
  const waiting = state.commitments.htlcs.filter(({ direction, known_preimage }) => direction === 'offered' && known_preimage === undefined);
  if (waiting.length === 0) return [];
  const shown = new Map(preimageLike(transaction).map((preimage) => [hashOf(preimage), preimage]));
  return waiting.flatMap((htlc) => {
    const payment_preimage = shown.get(htlc.payment_hash);
    return payment_preimage === undefined ? [] : [...found(state, htlc, payment_preimage, source, transaction.txid)];
  });
}

/** Everything of 32 bytes in its witnesses: at most what a block can hold. */
const preimageLike = ({ witnesses }: ParsedTx): readonly Hex32[] => witnesses.flat().filter((item) => item.length === 64).map((item) => hex32(item));

const hashOf = (preimage: Hex32): Hex32 => crypto().sha256Hex(fromHex(preimage)) as Hex32;

function found(state: EstablishedState, { id: htlc_id, payment_hash, origin }: Htlc, payment_preimage: Hex32, source: PreimageFound['source'], txid: Hex32): readonly (PreimageFound | UpstreamFact)[] {
  const fact: PreimageFound = { type: 'PreimageFound', htlc_id, payment_hash, payment_preimage, source, txid };
  // Told as failed after a loss that nobody could undo: other streams do not hear twice.
  if (isFailed(state, htlc_id)) return [fact];
  return [fact, { type: 'OutgoingHtlcFulfilled', htlc_id, payment_hash, payment_preimage, origin: origin! }];
}

const isFailed = (state: EstablishedState, htlc_id: bigint): boolean => 'onchain' in state && state.onchain?.failed.includes(htlc_id) === true;

/** The preimages of a raw transaction that no block has yet. */
export function preimagesInMempool(state: EstablishedState, transaction: Hex): readonly (PreimageFound | UpstreamFact)[] {
  const parsed = readTx(transaction);
  return parsed === undefined ? [] : preimagesIn(state, parsed, 'mempool');
}

// ---- HTLCs that can only fail

/** A channel that fails takes along what it offered and never signed for: no commitment holds it, and other streams hear at once. */
export function withFailedOffers(facts: readonly ChannelEvent[], state: ChannelState): readonly ChannelEvent[] {
  const failed = facts.find((fact) => fact.type === 'ChannelFailed');
  if (failed === undefined || failed.code === 'data_loss' || !isEstablished(state)) return facts;
  const unsigned = state.commitments.htlcs.filter((htlc) => isUnsignedOffer(htlc) && !isFailed(state, htlc.id));
  return unsigned.length === 0 ? facts : [...facts, ...unsigned.map(failureOf)];
}

/** No commitment of either side ever had it. */
const isUnsignedOffer = ({ state, known_preimage }: Htlc): boolean => state === 'SENT_ADD_HTLC' && known_preimage === undefined;

const failureOf = ({ id: htlc_id, payment_hash, origin }: Htlc): UpstreamFact =>
  ({ type: 'OutgoingHtlcFailed', htlc_id, payment_hash, origin: origin!, failure: { kind: 'on_chain' } });

/** Offered HTLCs that the peer can never claim any more, and that nobody has heard of yet. Never one whose preimage is known. */
export function failuresDue(state: ResolvingState, height: BlockHeight): readonly UpstreamFact[] {
  const { failed } = state.onchain ?? NOTHING_ON_CHAIN;
  return state.commitments.htlcs
    .filter((htlc) => htlc.direction === 'offered' && htlc.known_preimage === undefined && !failed.includes(htlc.id) && canOnlyFail(state, htlc, height))
    .map(failureOf);
}

function canOnlyFail(state: ResolvingState, htlc: Htlc, height: BlockHeight): boolean {
  const { spend, failure } = state;
  // No commitment ever had it, unless what we remember is not all.
  if (isUnsignedOffer(htlc) && failure?.code !== 'data_loss' && spend?.kind !== 'future') return true;
  if (spend === undefined || !isBuried(spend.block_height, height)) return false;
  const output = outputOf(state, htlc);
  if (output === undefined) return allOutputsKnown(state) || isBuried(htlc.cltv_expiry, height);
  if (output.spent !== undefined) return isBuried(output.spent.block_height, height);
  return !isWorthClaiming(state, output) && isBuried(htlc.cltv_expiry, height);
}

/** Its output on the commitment in the chain: none if it was trimmed, or stands in another commitment only. */
const outputOf = ({ onchain }: ResolvingState, { direction, id }: Htlc): ChainOutput | undefined =>
  onchain?.outputs.find(({ kind, htlc }) => kind === 'htlc' && htlc!.direction === direction && htlc!.htlc_id === id);
