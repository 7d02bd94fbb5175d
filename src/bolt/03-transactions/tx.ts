/** Bitcoin transactions as plain values: serialisation (BIP 144), txid, the digest to sign (BIP 143), DER signatures. */
import { crypto, hash256 } from '../crypto.ts';
import { fromHex, type Hex, type Hex32, reverseHex32, type Sat, type Signature, toHex } from '../primitives.ts';
import { rememberLast } from './remember.ts';

export interface TxInput {
  /** Display order. */
  readonly txid: Hex32;
  readonly index: number;
  readonly sequence: number;
  /** Only in inputs older than segwit, which we read but never make. */
  readonly script_sig?: Hex;
}

export interface TxOutput {
  readonly value: Sat;
  readonly script_pubkey: Hex;
}

/** A transaction without its witnesses: what is signed, and what the txid names. */
export interface UnsignedTx {
  readonly version: number;
  readonly locktime: number;
  readonly inputs: readonly TxInput[];
  readonly outputs: readonly TxOutput[];
}

/** The witness stack of one input. */
export type Witness = readonly Hex[];

export const SIGHASH_ALL = 0x01;
/** The peer's HTLC signatures under option_anchors (BOLT 5, "Generation of HTLC Transactions"). */
export const SIGHASH_SINGLE_ANYONECANPAY = 0x83;

/** The transaction's bytes, with the witnesses (one stack per input) if any are given. */
export function serialize(tx: UnsignedTx, witnesses: readonly Witness[] = []): Hex {
  const segwit = witnesses.some((witness) => witness.length > 0);
  const inputs = tx.inputs.map((input) => outpoint(input) + withSize(input.script_sig ?? '') + u32(input.sequence));
  return (
    u32(tx.version) + (segwit ? '0001' : '') +
    compactSize(inputs.length) + inputs.join('') +
    compactSize(tx.outputs.length) + tx.outputs.map(serializeOutput).join('') +
    (segwit ? tx.inputs.map((_, i) => serializeWitness(witnesses[i] ?? [])).join('') : '') +
    u32(tx.locktime)
  );
}

/** The transaction's id in display order. */
export function txidOf(tx: UnsignedTx): Hex32 {
  return toHex(hash256(fromHex(serialize(tx))).toReversed()) as Hex32;
}

/** BIP 141: three times the bytes without witnesses plus all bytes, in weight units. */
export function weightOf(tx: UnsignedTx, witnesses: readonly Witness[]): number {
  return (3 * serialize(tx).length + serialize(tx, witnesses).length) / 2;
}

/** BIP 143 digest of one segwit v0 input. `script` is the witness script, or the script code of a P2WPKH. */
export function witnessSighash(tx: UnsignedTx, index: number, script: Hex, value: Sat, sighashType = SIGHASH_ALL): Uint8Array {
  return witnessSighasher(tx)(index, script, value, sighashType);
}

/** The same for many inputs of one transaction: what they have in common is hashed once. */
export function witnessSighasher(tx: UnsignedTx): (index: number, script: Hex, value: Sat, sighashType?: number) => Uint8Array {
  let all: { prevouts: Hex; sequences: Hex; outputs: Hex } | undefined;
  const common = () => (all ??= {
    prevouts: hashPrevouts(tx.inputs.map(outpoint).join('')),
    sequences: hashSequences(tx.inputs.map((input) => u32(input.sequence)).join('')),
    outputs: hash256Hex(tx.outputs.map(serializeOutput).join('')),
  });
  return (index, script, value, sighashType = SIGHASH_ALL) => {
    const input = tx.inputs[index];
    if (input === undefined) throw new RangeError(`the transaction has ${tx.inputs.length} inputs, asked for ${index}`);
    const hashes = sighashType === SIGHASH_ALL ? common() : singleAnyoneCanPay(tx, index, sighashType);
    return hash256(fromHex(
      u32(tx.version) + hashes.prevouts + hashes.sequences + outpoint(input) +
      withSize(script) + u64(value) + u32(input.sequence) + hashes.outputs + u32(tx.locktime) + u32(sighashType),
    ));
  };
}

const ZERO_HASH = '00'.repeat(32);

function singleAnyoneCanPay(tx: UnsignedTx, index: number, sighashType: number) {
  if (sighashType !== SIGHASH_SINGLE_ANYONECANPAY) throw new RangeError(`no use for sighash type ${sighashType}`);
  const output = tx.outputs[index];
  return { prevouts: ZERO_HASH, sequences: ZERO_HASH, outputs: output ? hash256Hex(serializeOutput(output)) : ZERO_HASH };
}

/** DER as Bitcoin wants it in a witness (BIP 66), with the sighash byte behind it. */
export function derSignature(signature: Signature, sighashType = SIGHASH_ALL): Hex {
  const integers = derInteger(signature.slice(0, 64)) + derInteger(signature.slice(64));
  return `30${byte(integers.length / 2)}${integers}${byte(sighashType)}`;
}

function derInteger(value: Hex): Hex {
  const short = value.replace(/^(00)+/, '');
  const positive = short === '' || parseInt(short.slice(0, 2), 16) >= 0x80 ? `00${short}` : short;
  return `02${byte(positive.length / 2)}${positive}`;
}

/** Reads a witness's signature. Answers undefined unless it is strict DER of two positive 32-byte numbers and a sighash byte. */
export function fromDer(der: Hex): { readonly signature: Signature; readonly sighashType: number } | undefined {
  const match = /^30([0-9a-f]{2})02([0-9a-f]{2})([0-9a-f]*)$/.exec(der);
  if (match === null) return undefined;
  const rLength = 2 * parseInt(match[2]!, 16);
  const [r, tail] = [match[3]!.slice(0, rLength), match[3]!.slice(rLength)];
  const s = tail.slice(4, -2);
  if (r.length > 66 || s.length > 66) return undefined;
  const signature = (fixed32(r) + fixed32(s)) as Signature;
  const sighashType = parseInt(der.slice(-2), 16);
  // Strict means: writing it again gives the same bytes.
  return signature.length === 128 && derSignature(signature, sighashType) === der ? { signature, sighashType } : undefined;
}

const fixed32 = (integer: Hex): Hex => integer.replace(/^(00)+/, '').padStart(64, '0');

/** 36 bytes: the txid in internal order and the output's index. */
const outpoint = (input: TxInput): Hex => internalOrder(input.txid) + u32(input.index);

const serializeOutput = (output: TxOutput): Hex => u64(output.value) + withSize(output.script_pubkey);

const serializeWitness = (witness: Witness): Hex => compactSize(witness.length) + witness.map(withSize).join('');

const withSize = (bytes: Hex): Hex => compactSize(bytes.length / 2) + bytes;

function compactSize(value: number): Hex {
  if (value < 0xfd) return byte(value);
  return value <= 0xffff ? `fd${u32(value).slice(0, 4)}` : `fe${u32(value)}`;
}

const BYTES = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'));

const byte = (value: number): Hex => BYTES[value & 0xff]!;
/** Little-endian. */
const u32 = (value: number): Hex => byte(value) + byte(value >>> 8) + byte(value >>> 16) + byte(value >>> 24);
const u64 = (value: bigint): Hex => u32(Number(value & 0xffffffffn)) + u32(Number(value >> 32n));

const hash256Hex = (bytes: Hex): Hex => crypto().sha256Hex(crypto().sha256(fromHex(bytes)));

// The HTLC transactions of a commitment have the same parent and the same sequence.
const internalOrder = rememberLast(reverseHex32);
const hashSequences = rememberLast(hash256Hex);
// All commitments of a channel spend the same output.
const hashPrevouts = rememberLast(hash256Hex);
