/**
 * BOLT 5: what a failed channel remembers of the chain, and the words in which claims are planned, paid for and signed.
 *
 * How the imperative side uses this folder, for each block:
 *  1. look in the block for spends of the funding output and of `watchedOutputs(state)`; send ReceiveBlock with them, and
 *     again while the new state watches outputs that this block spends too (a second stage in the same block);
 *  2. at the tip, ask `plannedClaims(state, { height, feerates })`; give each a destination script or wallet coins as its
 *     `needs` asks, and send ReceiveBlock of the same height with them as `claims`. What no longer fits is left out;
 *  3. `owedToChain(state)` names each live claim again: build it with `claimTransaction`, sign, broadcast.
 */
import type { BlockHeight, Hex, Hex32, Point, Sat, Signature } from '../../bolt/primitives.ts';
import type { SweepInput } from '../../bolt/03-transactions/claim-tx.ts';
import type { UnsignedTx, Witness } from '../../bolt/03-transactions/tx.ts';
import type { ClaimKind, CommitmentOutputFact, WalletShare } from '../../events/channel/onchain.ts';
import type { OutPoint } from '../outpoint.ts';

export type { ClaimKind, WalletShare } from '../../events/channel/onchain.ts';
export type { Feerates } from '../feerates.ts';
export type { OutPoint } from '../outpoint.ts';

/** A block holds a transaction that spends the output. */
export interface OutputSpend {
  readonly txid: Hex32;
  readonly block_height: BlockHeight;
  readonly by: 'local' | 'remote';
}

/** An output of the commitment, or of the transaction that moved an HTLC on from it (`second_stage`). */
export interface ChainOutput extends OutPoint {
  readonly value: Sat;
  readonly kind: CommitmentOutputFact['kind'] | 'second_stage';
  readonly htlc?: CommitmentOutputFact['htlc'];
  /** Of the block that holds the output. */
  readonly block_height: BlockHeight;
  readonly spent?: OutputSpend;
}

/** A transaction of ours that was started. Which of them still counts is read off the outputs: `claimStatus`. */
export interface Claim {
  readonly claim_txid: Hex32;
  readonly kind: ClaimKind;
  readonly inputs: readonly (OutPoint & { readonly value: Sat })[];
  readonly destination_script?: Hex;
  readonly wallet?: WalletShare;
  readonly feerate_per_kw: number;
  readonly fee_satoshis: Sat;
  readonly replaces?: Hex32;
  /** The tip when it was started. */
  readonly block_height: BlockHeight;
}

/** What a channel remembers of its end on the chain. */
export interface Onchain {
  readonly outputs: readonly ChainOutput[];
  readonly claims: readonly Claim[];
  /** HTLCs of ours whose failure was told to other streams; it is told once. */
  readonly failed: readonly bigint[];
}

/** What should be started, or replaced by something dearer, now. */
export interface PlannedClaim {
  readonly kind: ClaimKind;
  readonly inputs: Claim['inputs'];
  /** Of the whole transaction; for an anchor of it and its parent together. */
  readonly feerate_per_kw: number;
  readonly replaces?: Hex32;
  /** The block by which it should be confirmed; absent where only we can take the output. */
  readonly deadline?: BlockHeight;
  /** `destination_script`: where the output goes. `wallet`: coins for the fee. `nothing`: it carries its own fee. */
  readonly needs: 'destination_script' | 'wallet' | 'nothing';
  /** Of `needs: 'wallet'`: what the wallet adds coins to. */
  readonly base?: WalletBase;
}

/**
 * A transaction without its wallet coins. The wallet adds inputs behind its inputs and (at most) one change output behind
 * its outputs, and pays `feerate_per_kw` for all of the weight, the parent's included, less what the parent pays already.
 */
export interface WalletBase {
  readonly tx: UnsignedTx;
  /** Expected, witnesses included, without wallet inputs and change: weight units. */
  readonly weight: number;
  /** Of the inputs of `tx`: sat. */
  readonly value_in: Sat;
  readonly parent?: { readonly weight: number; readonly fee_satoshis: Sat };
  /** More than this is not worth paying: sat. */
  readonly max_fee_satoshis: Sat;
}

/** A planned claim with what it needed. */
export interface FundedClaim extends Pick<PlannedClaim, 'kind' | 'inputs' | 'feerate_per_kw' | 'replaces'> {
  readonly destination_script?: Hex;
  readonly wallet?: WalletShare;
}

/** A spend of a watched output, seen in a block. */
export interface WatchedSpend extends OutPoint {
  readonly spending_txid: Hex32;
  readonly input_index: number;
  /** Raw, with witnesses. */
  readonly transaction: Hex;
  readonly block_height: BlockHeight;
}

/** Which key signs an input: words the signer understands, and the wallet for its own coins. */
export type ClaimKey =
  | { readonly kind: 'to_local'; readonly commitment_number: bigint }
  | { readonly kind: 'to_remote' }
  | { readonly kind: 'anchor' }
  | { readonly kind: 'htlc'; readonly per_commitment_point: Point }
  | { readonly kind: 'penalty'; readonly per_commitment_secret: Hex32 }
  | { readonly kind: 'wallet'; readonly script_pubkey: Hex };

/** One input to sign, SIGHASH_ALL. A wallet's witness needs its public key too. */
export interface ClaimSigning {
  readonly sighash: Uint8Array;
  readonly key: ClaimKey;
  readonly witness: (signature: Signature, pubkey?: Point) => Witness;
}

/** A started claim, derived again from the state alone. */
export interface ClaimTransaction {
  readonly tx: UnsignedTx;
  readonly txid: Hex32;
  readonly fee_satoshis: Sat;
  /** Expected, with signatures of 73 bytes: weight units. */
  readonly weight: number;
  readonly inputs: readonly ClaimSigning[];
}

/** An output of ours as a claim spends it: script, branch and key. */
export interface ClaimInput {
  readonly input: SweepInput;
  readonly key: ClaimKey;
}
