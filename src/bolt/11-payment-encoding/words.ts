/** BOLT 11, "Data Part": 5-bit words, and the bytes and integers that are written in them. */

/** The 32 digits of bech32, in the order of their values. Tags of fields are such digits. */
export const BECH32_DIGITS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

/** Bytes in words, the last one filled up with 0 bits. */
export function bytesToWords(bytes: Uint8Array): number[] {
  return regroup(bytes, 8, 5, Math.ceil((bytes.length * 8) / 5));
}

/** Whole bytes in words; undefined when what is left over is a whole word, or not 0 as the writer must have it. */
export function wordsToBytes(words: readonly number[]): Uint8Array | undefined {
  const bytes = Math.floor((words.length * 5) / 8);
  const leftOver = words.length * 5 - bytes * 8;
  const excess = (words.at(-1) ?? 0) & ((1 << leftOver) - 1);
  return leftOver < 5 && excess === 0 ? Uint8Array.from(regroup(words, 5, 8, bytes)) : undefined;
}

/** All bits of the words, filled up with 0 bits to whole bytes: what is signed. */
export function wordsToPaddedBytes(words: readonly number[]): Uint8Array {
  return Uint8Array.from(regroup(words, 5, 8, Math.ceil((words.length * 5) / 8)));
}

export const wordsToInteger = (words: readonly number[]): bigint => words.reduce((value, word) => value * 32n + BigInt(word), 0n);

/** Big-endian, in exactly `length` words, or without a length in as few as can hold it: none for 0. */
export function integerToWords(value: bigint, length?: number): number[] {
  const words: number[] = [];
  for (let rest = value; rest > 0n; rest >>= 5n) words.unshift(Number(rest & 31n));
  return length === undefined ? words : [...Array.from({ length: length - words.length }, () => 0), ...words];
}

/** The digits that stand for the words. */
export const wordsToDigits = (words: readonly number[]): string => words.map((word) => BECH32_DIGITS[word]).join('');

export const digitsToWords = (digits: string): number[] => [...digits].map((digit) => BECH32_DIGITS.indexOf(digit));

/** Cuts a string of bits anew: `count` groups of `to` bits, missing bits taken as 0. */
function regroup(groups: Iterable<number>, from: number, to: number, count: number): number[] {
  const result: number[] = [];
  let [bits, value] = [0, 0];
  for (const group of groups) {
    value = (value << from) | group;
    for (bits += from; bits >= to; bits -= to) result.push((value >> (bits - to)) & ((1 << to) - 1));
    value &= (1 << bits) - 1;
  }
  if (result.length < count) result.push((value << (to - bits)) & ((1 << to) - 1));
  return result.slice(0, count);
}
