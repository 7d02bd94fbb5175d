/** BOLT 5, "General Nomenclature" and the three ways a channel ends: which of them is this spend of the funding output? */
import { revealCommitmentNumber } from '../03-transactions/obscured-number.ts';
import type { ParsedTx } from '../03-transactions/tx-parse.ts';
import { txidOf, type UnsignedTx } from '../03-transactions/tx.ts';
import type { Hex, Hex32, Point } from '../primitives.ts';

/** What we know of the channel. Txids decide where they are given; numbers decide the rest. */
export interface ChannelSpendFacts {
  readonly opener_payment_basepoint: Point;
  readonly accepter_payment_basepoint: Point;
  /** Our current commitment. */
  readonly local_commitment_number: bigint;
  /** The peer's newest commitment that it has not revoked. */
  readonly remote_commitment_number: bigint;
  /** One that we have signed while the older is not revoked yet: the peer may publish either. */
  readonly remote_pending_commitment_number?: bigint;
  readonly local_txid?: Hex32;
  readonly remote_txid?: Hex32;
  readonly remote_pending_txid?: Hex32;
  /** Closes that both sides agreed to. */
  readonly mutual_close_txids?: readonly Hex32[];
  /** The `shutdown` scripts of both sides: a spend paying nothing else, not marked as a commitment, is a mutual close. */
  readonly shutdown_scripts?: readonly Hex[];
}

export type FundingSpend =
  | { readonly kind: 'mutual' | 'unknown' }
  | { readonly kind: 'local' | 'remote' | 'remote_pending' | 'revoked' | 'future'; readonly commitment_number: bigint };

/**
 * `revoked`: an older commitment, to be punished (or, after a restore, one of our own: its number alone cannot tell).
 * `future`: a number that we have never signed as far as we remember, so our data is old: salvage `to_remote`.
 * `unknown`: not ours to explain; BOLT 5 asks to warn the user of potentially lost funds.
 */
export function classifyFundingSpend(tx: UnsignedTx | ParsedTx, facts: ChannelSpendFacts): FundingSpend {
  const txid = 'txid' in tx ? tx.txid : txidOf(tx);
  const number = revealCommitmentNumber(tx, facts.opener_payment_basepoint, facts.accepter_payment_basepoint);
  return byTxid(txid, facts) ?? (number === undefined ? closeOrUnknown(tx, facts) : byNumber(number, facts));
}

function byTxid(txid: Hex32, facts: ChannelSpendFacts): FundingSpend | undefined {
  if (facts.mutual_close_txids?.includes(txid) === true) return { kind: 'mutual' };
  if (txid === facts.local_txid) return { kind: 'local', commitment_number: facts.local_commitment_number };
  if (txid === facts.remote_txid) return { kind: 'remote', commitment_number: facts.remote_commitment_number };
  if (txid === facts.remote_pending_txid && facts.remote_pending_commitment_number !== undefined) {
    return { kind: 'remote_pending', commitment_number: facts.remote_pending_commitment_number };
  }
  return undefined;
}

function closeOrUnknown(tx: UnsignedTx, { shutdown_scripts = [] }: ChannelSpendFacts): FundingSpend {
  const agreed = tx.outputs.length > 0 && tx.outputs.every(({ script_pubkey }) => shutdown_scripts.includes(script_pubkey));
  return { kind: agreed ? 'mutual' : 'unknown' };
}

/** The txid was none that we know: a known number whose txid is known as well is then not that commitment. */
function byNumber(commitment_number: bigint, facts: ChannelSpendFacts): FundingSpend {
  const newest = facts.remote_pending_commitment_number ?? facts.remote_commitment_number;
  if (commitment_number < facts.remote_commitment_number) return { kind: 'revoked', commitment_number };
  if (commitment_number === facts.remote_commitment_number && facts.remote_txid === undefined) return { kind: 'remote', commitment_number };
  if (commitment_number === facts.remote_pending_commitment_number && facts.remote_pending_txid === undefined) return { kind: 'remote_pending', commitment_number };
  if (commitment_number === facts.local_commitment_number && facts.local_txid === undefined) return { kind: 'local', commitment_number };
  return commitment_number > newest ? { kind: 'future', commitment_number } : { kind: 'unknown' };
}
