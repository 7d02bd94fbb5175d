/** BOLT 3, "Commitment Transaction": the commitment number, hidden in locktime and sequence. */
import { crypto } from '../crypto.ts';
import { fromHex, type Hex, type Point } from '../primitives.ts';
import { rememberLast } from './remember.ts';
import type { UnsignedTx } from './tx.ts';

const BITS_48 = 2n ** 48n - 1n;
const BITS_24 = 0xffffffn;

/** The number XOR the lower 48 bits of SHA256(opener's payment_basepoint || accepter's). Its own inverse. */
export function obscureCommitmentNumber(commitment_number: bigint, opener_payment_basepoint: Point, accepter_payment_basepoint: Point): bigint {
  return (commitment_number ^ BigInt(`0x${lastOfHash(`${opener_payment_basepoint}${accepter_payment_basepoint}`)}`)) & BITS_48;
}

/** The same for all commitments of a channel. 6 bytes. */
const lastOfHash = rememberLast((basepoints: string): Hex => crypto().sha256Hex(fromHex(basepoints)).slice(-12));

/** Upper 8 bits 0x20, then the lower 24 bits of the obscured number. */
export const commitmentLocktime = (obscured: bigint): number => 0x2000_0000 + Number(obscured & BITS_24);

/** Upper 8 bits 0x80, then the upper 24 bits of the obscured number. */
export const commitmentSequence = (obscured: bigint): number => 0x8000_0000 + Number(obscured >> 24n);

/** The commitment number of a transaction that spends the funding output, or undefined if it has not a commitment's marks. */
export function revealCommitmentNumber(
  tx: Pick<UnsignedTx, 'locktime' | 'inputs'>,
  opener_payment_basepoint: Point,
  accepter_payment_basepoint: Point,
): bigint | undefined {
  const sequence = tx.inputs[0]?.sequence;
  if (tx.inputs.length !== 1 || sequence === undefined) return undefined;
  if (tx.locktime >>> 24 !== 0x20 || sequence >>> 24 !== 0x80) return undefined;
  const obscured = (BigInt(sequence & 0xffffff) << 24n) | BigInt(tx.locktime & 0xffffff);
  return obscureCommitmentNumber(obscured, opener_payment_basepoint, accepter_payment_basepoint);
}
