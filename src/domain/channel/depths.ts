/** Depths in blocks at which the chain is taken at its word, and before which we act. */

/** Blocks upon a spend or a claim after which we take it for settled. */
export const SETTLED_DEPTH = 6;
/** An HTLC this close to its deadline and not resolved is fought out on chain, blocks (BOLT 2, "cltv_expiry_delta Selection"). */
export const DEADLINE_GRACE = 6;
