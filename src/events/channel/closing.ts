/** BOLT 2, "Channel Close", and BOLT 5: the facts of an ending. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { count, fact, hex, hex32, sat, signature, text, u16, u32, u64 } from '../words.ts';

const fee_range = z.strictObject({ min_fee_satoshis: sat, max_fee_satoshis: sat });

/** Which transaction spent the funding output (bolt/05-onchain/classify.ts). */
export const spendKind = z.enum(['mutual', 'local', 'remote', 'remote_pending', 'revoked', 'future', 'unknown']);
export type SpendKind = z.output<typeof spendKind>;

export const closingEvents = [
  fact('ShutdownSent', { scriptpubkey: hex }),
  fact('ShutdownReceived', { scriptpubkey: hex }),
  fact('ClosingSignedSent', { fee_satoshis: sat, fee_range: fee_range.optional() }),
  fact('ClosingSignedReceived', { fee_satoshis: sat, signature, fee_range: fee_range.optional() }),
  /** Both signed for this fee: the closing transaction is owed to the chain. */
  fact('ClosingAgreed', { fee_satoshis: sat, closing_txid: hex32 }),
  /** An opening that came to nothing before any money was at stake. */
  fact('OpeningAbandoned', { code: text, reason: text }),
  /** The channel is failed: our last commitment is owed to the chain. `by`: whose doing; `reason`: in the words we have, the peer's own kept. */
  fact('ChannelFailed', { by: z.enum(['user', 'local', 'remote']), code: text, reason: text }),
  /** The funding output is spent in a block. The raw transaction is a fact of the chain. */
  fact('FundingSpent', {
    txid: hex32,
    kind: spendKind,
    commitment_number: u64.optional(),
    block_height: u32,
    transaction: hex,
  }),
  /** A reorganisation took that block away. */
  fact('FundingUnspent', { txid: hex32 }),
  /** Our own outputs of a commitment, claimed together once their delays are over. */
  fact('SweepStarted', {
    inputs: z
      .array(z.strictObject({ kind: z.enum(['to_local', 'to_remote']), txid: hex32, output_index: u16, value: sat }))
      .min(1),
    destination_script: hex,
    feerate_per_kw: u32,
    fee_satoshis: sat,
    sweep_txid: hex32,
  }),
  fact('SweepConfirmed', { sweep_txid: hex32, block_height: u32 }),
  /** Nothing of this channel is left on chain that we could still claim or lose. */
  fact('ChannelClosed', { block_height: count }),
] as const;

export type ClosingEvent = z.output<(typeof closingEvents)[number]>;
