/** What sendrawtransaction's refusals mean: which are no refusals at all, and which will never change. */
import type { BroadcastResult } from '../../../domain/ports.ts';

type Refused = Extract<BroadcastResult, { ok: false }>;

/** RPC_DESERIALIZATION_ERROR and RPC_VERIFY_ALREADY_IN_CHAIN of Bitcoin Core's protocol.h. */
const UNREADABLE = -22;
const IN_CHAIN = -27;

/** The daemon has it. Its words differ from version to version. */
const KNOWN = /^(txn-already-in-mempool|txn-already-known|txn-same-nonwitness-data-in-mempool|transaction (outputs )?already in (the )?(block ?chain|utxo set))/i;

/**
 * About the transaction itself, whatever the chain looks like. All else is for now: a fee may do later, a lock opens, a
 * rival goes; and words that we have never read must not make anyone give a transaction up.
 */
const PERMANENT: readonly RegExp[] = [
  /^(mandatory|non-mandatory|mempool|block)-script-verify-flag/,
  /^bad-txns-(vin-empty|vout-empty|vout-negative|vout-toolarge|txouttotal-toolarge|inputs-duplicate|prevout-null|in-belowout|oversize|spends-conflicting-tx|nonstandard-inputs)/,
  /^(version|tx-size|tx-size-small|scriptpubkey|scriptsig-size|scriptsig-not-pushonly|bare-multisig|dust|multi-op-return|coinbase|bad-witness-nonstandard|bad-cb-length)$/,
];

/** Undefined for what the daemon has already: broadcasting is idempotent. */
export function classifyRefusal(rpc_code: number | undefined, words: string): Refused | undefined {
  if (rpc_code === IN_CHAIN || KNOWN.test(words)) return undefined;
  const code = rpc_code === UNREADABLE ? 'TX decode failed' : codeIn(words);
  const permanent = rpc_code === UNREADABLE || PERMANENT.some((pattern) => pattern.test(code));
  return { ok: false, code, reason: words, permanent };
}

/** It spends an output that the daemon does not have: gone, not there yet, or its own outputs are spent already. */
export const spendsMissing = ({ code }: Refused): boolean => code === 'bad-txns-inputs-missingorspent' || code === 'Missing inputs';

/** Bitcoin Core's word, without what follows it: `min relay fee not met, 50 < 110` and `...-failed (Signature must be zero ...)`. */
const codeIn = (words: string): string => /^(TX decode failed|[^,(:]*)/.exec(words)![0].trim().slice(0, 80) || 'unknown';
