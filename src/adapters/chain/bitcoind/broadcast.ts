/** Hands transactions to the backend, and understands its answers. */
import { readTx, type ParsedTx } from '../../../bolt/03-transactions/tx-parse.ts';
import type { Hex, Hex32 } from '../../../bolt/primitives.ts';
import type { BroadcastResult, Chain, OutPoint } from '../../../domain/ports.ts';
import { hash } from './answers.ts';
import { ChainError } from './errors.ts';
import { classifyRefusal, spendsMissing } from './refusals.ts';
import type { Rpc } from './rpc.ts';

type Refused = Extract<BroadcastResult, { ok: false }>;

export interface Lookups {
  isConfirmed(txid: Hex32): Promise<boolean>;
  /** isConfirmed knows every transaction there is, not only those it was asked for before. */
  knowsAll(): boolean;
  /** In a block, and spent by no block; what waits does not count. */
  isUnspent(outpoint: OutPoint): Promise<boolean>;
}

/** No limit of sendrawtransaction's own: a commitment's fee was agreed on long ago and has to be taken as it is. */
const ANY_FEERATE = 0;

/** A backend that cannot be asked is a refusal that may pass, never a rejection. */
export function createBroadcast(rpc: Rpc, lookups: Lookups): Chain['broadcast'] {
  return async (transaction) => {
    try {
      await rpc.call('sendrawtransaction', [transaction, ANY_FEERATE], hash);
      return { ok: true };
    } catch (error) {
      if (!(error instanceof ChainError)) throw error;
      if (error.code !== 'chain_refused') return { ok: false, code: error.code, reason: error.message, permanent: false };
      return understand(transaction, classifyRefusal(error.rpc_code, error.message), lookups);
    }
  };
}

async function understand(transaction: Hex, refused: Refused | undefined, lookups: Lookups): Promise<BroadcastResult> {
  if (refused === undefined) return { ok: true };
  if (!spendsMissing(refused)) return refused;
  const missing: Refused = { ...refused, code: 'bad-txns-inputs-missingorspent' };
  const tx = readTx(transaction);
  try {
    return tx === undefined ? missing : await explainMissing(tx, missing, lookups);
  } catch {
    // Why it was refused stays open: somebody tries again.
    return missing;
  }
}

/** Confirmed long since, and its own outputs are spent; or an input of it is spent in a block; or a parent may still come. */
async function explainMissing(tx: ParsedTx, missing: Refused, { isConfirmed, isUnspent, knowsAll }: Lookups): Promise<BroadcastResult> {
  if (await isConfirmed(tx.txid)) return { ok: true };
  // Its input may be spent by this very transaction: never give up what we cannot look up.
  if (!knowsAll()) return missing;
  for (const { txid, index } of tx.inputs) {
    if (!(await isUnspent({ txid, index })) && (await isConfirmed(txid))) {
      return { ...missing, reason: `${missing.reason}: ${txid}:${index} is spent in a block`, permanent: true };
    }
  }
  return missing;
}
