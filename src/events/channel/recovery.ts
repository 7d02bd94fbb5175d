/** A channel that came back without its log: what a static backup knows of it. Stored for ever: add a new type, never change one. */
import { z } from 'zod';
import { count, fact, hex32, msat, point, sat, text, u16, u32 } from '../words.ts';

const basepoints = z.strictObject({
  funding_pubkey: point,
  revocation_basepoint: point,
  payment_basepoint: point,
  delayed_payment_basepoint: point,
  htlc_basepoint: point,
});

const side = z.strictObject({
  keys: basepoints,
  /** `local`: of commitment 0. `remote`: of whichever commitment was the newest when the backup was made. */
  per_commitment_point: point,
  dust_limit_satoshis: sat,
  to_self_delay: u16,
});

export const recoveryEvents = [
  /** From here on the peer is asked to close, and what it owes us on chain is taken. Balances are those of the opening: nothing newer is known. */
  fact('ChannelRestored', {
    peer_id: point,
    key_index: count,
    role: z.enum(['opener', 'accepter']),
    chain_hash: hex32,
    format: z.enum(['static_remotekey', 'anchors_zero_fee_htlc_tx']),
    channel_id: hex32,
    funding_txid: hex32,
    funding_output_index: u16,
    funding_satoshis: sat,
    push_msat: msat,
    feerate_per_kw: u32,
    local: side,
    remote: side,
    reason: text,
  }),
] as const;

export type RecoveryEvent = z.output<(typeof recoveryEvents)[number]>;
