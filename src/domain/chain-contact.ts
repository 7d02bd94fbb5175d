/** When a chain can no longer be watched: whoever takes a payment then may miss its deadline (BOLT 2, "cltv_expiry_delta Selection"). */
import type { BlockHeight } from '../bolt/primitives.ts';

/** Why a deadline might be missed; both values. */
export type ChainTrouble =
  | { readonly code: 'chain_silent'; readonly silent_seconds: number; readonly limit_seconds: number }
  | { readonly code: 'chain_behind'; readonly height: BlockHeight; readonly tip: BlockHeight; readonly limit_blocks: number };

export interface ContactLimits {
  /** Seconds without an answer of the chain. */
  readonly silent_seconds: number;
  /** Blocks that the chain has and our channels have not heard of. */
  readonly behind_blocks: number;
}

export const DEFAULT_CONTACT_LIMITS: ContactLimits = { silent_seconds: 7200, behind_blocks: 6 };

export interface Contact {
  readonly silent_seconds: number;
  /** Of the last block that all channels have heard of, and of the newest that the chain told of. */
  readonly height: BlockHeight;
  readonly tip: BlockHeight;
}

/** Undefined while every deadline can be kept. */
export function chainTrouble({ silent_seconds, height, tip }: Contact, limits: ContactLimits): ChainTrouble | undefined {
  if (silent_seconds > limits.silent_seconds) return { code: 'chain_silent', silent_seconds, limit_seconds: limits.silent_seconds };
  return tip - height > limits.behind_blocks ? { code: 'chain_behind', height, tip, limit_blocks: limits.behind_blocks } : undefined;
}

export const describeTrouble = (trouble: ChainTrouble): string =>
  trouble.code === 'chain_silent'
    ? `the chain has not answered for ${trouble.silent_seconds} s, at most ${trouble.limit_seconds} are borne`
    : `the channels have heard of block ${trouble.height}, the chain is at ${trouble.tip}, at most ${trouble.limit_blocks} blocks behind are borne`;
