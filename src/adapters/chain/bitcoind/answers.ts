/** The answers of Bitcoin Core's RPC that we use, as schemas: what does not fit is no answer. */
import { z } from 'zod';
import type { Hex, Hex32, Sat } from '../../../bolt/primitives.ts';

const isHex = (text: string): boolean => text.length % 2 === 0 && /^[0-9a-f]*$/.test(text);
const height = z.number().int().min(0).max(0x7fff_ffff);

/** Long: a block of 4 MB; `z.string()` first, so that the test runs once. */
export const rawHex = z.string().refine(isHex, 'expected hex').transform((text) => text as Hex);
export const hash = z.string().regex(/^[0-9a-f]{64}$/, 'expected 32 bytes of hex').transform((text) => text as Hex32);

/** Amounts come as decimal coins. Doubles hold 8 decimals of every amount there can be, so rounding restores the very sat. */
export const amount = z.number().min(0).max(84_000_000).transform((coins) => BigInt(Math.round(coins * 1e8)) as Sat);

export const chainInfo = z.object({
  chain: z.string(),
  blocks: height,
  headers: height,
  bestblockhash: hash,
  initialblockdownload: z.boolean(),
  pruned: z.boolean(),
  pruneheight: height.optional(),
});
export type ChainInfo = z.output<typeof chainInfo>;

export const blockHeader = z.object({ hash, height, confirmations: z.number().int(), previousblockhash: hash.optional() });

export const txOut = z
  .object({ bestblock: hash, confirmations: z.number().int().min(0), value: amount, scriptPubKey: z.object({ hex: rawHex }) })
  .nullable();

/** Of getrawtransaction, verbose. */
export const placedTransaction = z.object({ txid: hash, blockhash: hash.optional(), confirmations: z.number().int().optional() });

/** A feerate in coins for 1000 virtual bytes, or words about why there is none. */
export const feeEstimate = z.object({ feerate: z.number().positive().optional(), errors: z.array(z.string()).optional() });
export const mempoolInfo = z.object({ mempoolminfee: z.number().min(0) });

export const indexInfo = z.record(z.string(), z.object({ synced: z.boolean() }));
export const hashes = z.array(hash);
