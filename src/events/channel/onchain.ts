/** BOLT 5: the facts of a commitment that came to the chain, output by output. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { fact, hex, hex32, msat, sat, u16, u32, u64 } from '../words.ts';

/** An HTLC as its output on the commitment holds it. `direction` is ours: offered by us, or received. */
const htlc = z.strictObject({
  direction: z.enum(['offered', 'received']),
  htlc_id: u64,
  amount_msat: msat,
  payment_hash: hex32,
  cltv_expiry: u32,
});

/** `kind` in the words of the commitment's owner: `to_remote` of the peer's commitment is ours. */
const commitmentOutput = z.strictObject({
  output_index: u16,
  value: sat,
  kind: z.enum(['to_local', 'to_remote', 'anchor_owner', 'anchor_other', 'htlc']),
  htlc: htlc.optional(),
});
export type CommitmentOutputFact = z.output<typeof commitmentOutput>;

const claimInput = z.strictObject({ txid: hex32, output_index: u16, value: sat });

/** A coin of our wallet that pays for a claim; its script says which key signs. */
const walletCoin = z.strictObject({ txid: hex32, output_index: u16, value: sat, script_pubkey: hex });
const walletShare = z.strictObject({
  inputs: z.array(walletCoin).min(1).max(50),
  change: z.strictObject({ script_pubkey: hex, value: sat }).optional(),
});
export type WalletShare = z.output<typeof walletShare>;

/**
 * `sweep`: what waits for nobody but us. `htlc_success`, `htlc_timeout`: second stages of our own commitment. `htlc_claim`:
 * an HTLC on the peer's, taken directly. `penalty`: of a revoked one. `anchor`: a child that pays for its unconfirmed parent.
 */
export const claimKind = z.enum(['sweep', 'htlc_success', 'htlc_timeout', 'htlc_claim', 'penalty', 'anchor']);
export type ClaimKind = z.output<typeof claimKind>;

export const onchainEvents = [
  /** Outputs of the commitment that FundingSpent told of, at most a hundred a fact. */
  fact('CommitmentOutputsFound', { txid: hex32, outputs: z.array(commitmentOutput).max(100) }),
  /**
   * An output that the channel watches is spent in a block. `by`: a claim of ours, or anyone else. `second_stage`: the
   * output of the spending transaction that waits for to_self_delay as the commitment's own `to_local` does.
   */
  fact('OutputSpent', {
    txid: hex32,
    output_index: u16,
    spending_txid: hex32,
    input_index: u16,
    block_height: u32,
    by: z.enum(['local', 'remote']),
    payment_preimage: hex32.optional(),
    second_stage: z.strictObject({ output_index: u16, value: sat }).optional(),
  }),
  /** A reorganisation took that block away. */
  fact('OutputUnspent', { txid: hex32, output_index: u16 }),
  /** A transaction of ours is owed to the chain. `replaces`: the one before it for the same outputs, which paid less; either may confirm. */
  fact('ClaimStarted', {
    claim_txid: hex32,
    kind: claimKind,
    inputs: z.array(claimInput).min(1).max(100),
    destination_script: hex.optional(),
    wallet: walletShare.optional(),
    feerate_per_kw: u32,
    fee_satoshis: sat,
    replaces: hex32.optional(),
    block_height: u32,
  }),
  /** The chain, or a transaction on its way there, shows the preimage of an HTLC that we offered. */
  fact('PreimageFound', {
    htlc_id: u64,
    payment_hash: hex32,
    payment_preimage: hex32,
    source: z.enum(['block', 'mempool']),
    txid: hex32,
  }),
  /** The preimage of an HTLC offered to us came to us when the channel had already failed. */
  fact('IncomingPreimageLearned', { htlc_id: u64, payment_preimage: hex32 }),
  /** Nothing of this channel is left on chain that we could still claim or lose. */
  fact('ChannelResolved', { block_height: u32 }),
] as const;

export type OnchainEvent = z.output<(typeof onchainEvents)[number]>;
