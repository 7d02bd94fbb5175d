/** BOLT 3, "Fee Calculation", "Trimmed Outputs" and "Dust Limits": what outputs and transactions cost. */
import { msatToSat, type Msat, type Sat, sat } from '../primitives.ts';

/** The channel types we know: bit 12 alone, and bits 12 and 22. */
export type CommitmentFormat = 'static_remotekey' | 'anchors_zero_fee_htlc_tx';

/** Each of the two anchors, in sat. */
export const ANCHOR_SAT = sat(330);

/** The lowest feerate that is relayed: 1 sat a virtual byte, rounded up, in sat per 1000 weight units. */
export const FEERATE_FLOOR = 253;
/** BIP 125, rule 4: a replacement pays so much for its own relay, on top of what it replaces. In sat per 1000 weight units. */
export const INCREMENTAL_FEERATE = 250;

/** Expected weights (Appendix A), in weight units. */
export const COMMITMENT_WEIGHT = { static_remotekey: 724, anchors_zero_fee_htlc_tx: 1124 } as const;
export const HTLC_OUTPUT_WEIGHT = 172;
export const HTLC_TIMEOUT_WEIGHT = { static_remotekey: 663, anchors_zero_fee_htlc_tx: 666 } as const;
export const HTLC_SUCCESS_WEIGHT = { static_remotekey: 703, anchors_zero_fee_htlc_tx: 706 } as const;

/** Bitcoin Core's dust thresholds in sat: an output below is not relayed. */
export const DUST_LIMIT = {
  p2pkh: sat(546),
  p2sh: sat(540),
  p2wpkh: sat(294),
  p2wsh: sat(330),
  unknown_segwit: sat(354),
  p2a: sat(240),
  op_return: sat(0),
} as const;

/** `feerate_per_kw` x weight / 1000, rounded down, in sat. */
export const feeOf = (feerate_per_kw: number, weight: number): Sat => ((BigInt(feerate_per_kw) * BigInt(weight)) / 1000n) as Sat;

/** The expected weight of a commitment with so many untrimmed HTLCs. */
export const commitmentWeight = (format: CommitmentFormat, untrimmedHtlcs: number): number =>
  COMMITMENT_WEIGHT[format] + HTLC_OUTPUT_WEIGHT * untrimmedHtlcs;

/** The base fee of a commitment, which the opener pays, in sat. The actual fee adds what was trimmed and rounded. */
export const commitmentFee = (format: CommitmentFormat, feerate_per_kw: number, untrimmedHtlcs: number): Sat =>
  feeOf(feerate_per_kw, commitmentWeight(format, untrimmedHtlcs));

/** What both anchors take from the opener, in sat: 660, or 0 without anchors. */
export const anchorsCost = (format: CommitmentFormat): Sat =>
  format === 'anchors_zero_fee_htlc_tx' ? ((2n * ANCHOR_SAT) as Sat) : sat(0);

/** The fee inside an HTLC-timeout transaction, in sat; 0 with anchors, where fees are attached later. */
export const htlcTimeoutFee = (format: CommitmentFormat, feerate_per_kw: number): Sat =>
  format === 'anchors_zero_fee_htlc_tx' ? sat(0) : feeOf(feerate_per_kw, HTLC_TIMEOUT_WEIGHT[format]);

/** The fee inside an HTLC-success transaction, in sat; 0 with anchors. */
export const htlcSuccessFee = (format: CommitmentFormat, feerate_per_kw: number): Sat =>
  format === 'anchors_zero_fee_htlc_tx' ? sat(0) : feeOf(feerate_per_kw, HTLC_SUCCESS_WEIGHT[format]);

/** The second stage's fee of an HTLC that the commitment's owner offered (timeout) or received (success), in sat. */
export const htlcFee = (format: CommitmentFormat, feerate_per_kw: number, direction: 'offered' | 'received'): Sat =>
  direction === 'offered' ? htlcTimeoutFee(format, feerate_per_kw) : htlcSuccessFee(format, feerate_per_kw);

/**
 * BOLT 3, "Trimmed Outputs": no output when the amount, rounded down to sat, less the HTLC transaction's fee is below
 * the `dust_limit_satoshis` of the commitment's owner. `direction` is as the owner sees it.
 */
export function isTrimmed(
  format: CommitmentFormat,
  feerate_per_kw: number,
  dust_limit_satoshis: Sat,
  htlc: { readonly direction: 'offered' | 'received'; readonly amount_msat: Msat },
): boolean {
  return msatToSat(htlc.amount_msat) < dust_limit_satoshis + htlcFee(format, feerate_per_kw, htlc.direction);
}
