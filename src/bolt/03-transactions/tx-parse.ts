/** Reads a Bitcoin transaction from bytes that anyone may have made (BIP 144). */
import { fromHex, type Hex, type Hex32, type Sat, toHex } from '../primitives.ts';
import { txidOf, type TxInput, type TxOutput, type UnsignedTx, type Witness } from './tx.ts';

/** A transaction as the chain shows it. */
export interface ParsedTx extends UnsignedTx {
  readonly txid: Hex32;
  /** One stack per input, each empty in a transaction older than segwit. */
  readonly witnesses: readonly Witness[];
}

export type TxParseCode = 'truncated' | 'too_long' | 'trailing_bytes' | 'no_inputs' | 'bad_flag' | 'empty_witness' | 'not_minimal' | 'not_hex';

/** The bytes are no transaction; the message names both values. */
export class TxParseError extends Error {
  readonly code: TxParseCode;
  constructor(code: TxParseCode, message: string) {
    super(`not a transaction: ${message}`);
    this.name = 'TxParseError';
    this.code = code;
  }
}

/** No transaction is longer than a block: consensus, not relay policy, is the bound. In bytes. */
const MAX_TX_BYTES = 4_000_000;

/** Undefined for what is no transaction at all. */
export function readTx(raw: Hex): ParsedTx | undefined {
  try {
    return parseTx(raw);
  } catch (error) {
    if (error instanceof TxParseError) return undefined;
    throw error;
  }
}

/** Throws TxParseError on anything but exactly one transaction. */
export function parseTx(raw: Hex): ParsedTx {
  if (raw.length > 2 * MAX_TX_BYTES) throw new TxParseError('too_long', `${raw.length / 2} bytes, at most ${MAX_TX_BYTES}`);
  const reader = new TxReader(bytesOf(raw));
  const version = reader.u32();
  const segwit = reader.skipSegwitMarker();
  const inputs = reader.list(41, readInput);
  if (inputs.length === 0) throw new TxParseError('no_inputs', 'it spends nothing');
  const outputs = reader.list(9, readOutput);
  const witnesses = inputs.map((): Witness => (segwit ? reader.list(1, readItem) : []));
  if (segwit && witnesses.every((witness) => witness.length === 0)) throw new TxParseError('empty_witness', 'marked as segwit without a witness');
  const tx = { version, inputs, outputs, locktime: reader.u32() };
  reader.end();
  return { ...tx, witnesses, txid: txidOf(tx) };
}

function bytesOf(raw: Hex): Uint8Array {
  try {
    return fromHex(raw);
  } catch (error) {
    throw new TxParseError('not_hex', (error as Error).message);
  }
}

function readInput(reader: TxReader): TxInput {
  const txid = toHex(reader.bytes(32).toReversed()) as Hex32;
  const index = reader.u32();
  const script_sig = readItem(reader);
  const sequence = reader.u32();
  return script_sig === '' ? { txid, index, sequence } : { txid, index, sequence, script_sig };
}

const readOutput = (reader: TxReader): TxOutput => ({ value: reader.u64() as Sat, script_pubkey: readItem(reader) });

const readItem = (reader: TxReader): Hex => toHex(reader.bytes(reader.compactSize()));

function minimal(value: number, least: number): number {
  if (value < least) throw new TxParseError('not_minimal', `the size ${value} has a shorter form`);
  return value;
}

/** A cursor that never reads past the end. */
class TxReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  compactSize(): number {
    const first = this.#view.getUint8(this.#take(1));
    if (first < 0xfd) return first;
    if (first === 0xfd) return minimal(this.#view.getUint16(this.#take(2), true), 0xfd);
    return first === 0xfe ? minimal(this.u32(), 0x1_0000) : minimal(Number(this.u64()), 0x1_0000_0000);
  }

  /** A list whose items take `itemBytes` each at the least, so that a count alone can claim no memory. */
  list<T>(itemBytes: number, read: (reader: TxReader) => T): readonly T[] {
    const count = this.compactSize();
    this.#need(count * itemBytes);
    return Array.from({ length: count }, () => read(this));
  }

  skipSegwitMarker(): boolean {
    if (this.#bytes[this.#offset] !== 0) return false;
    const flag = this.#bytes[this.#offset + 1];
    if (flag !== 1) throw new TxParseError('bad_flag', `segwit flag ${flag}, expected 1`);
    this.#take(2);
    return true;
  }

  end(): void {
    const left = this.#bytes.length - this.#offset;
    if (left > 0) throw new TxParseError('trailing_bytes', `${left} bytes are left behind its end`);
  }

  #take(length: number): number {
    this.#need(length);
    const start = this.#offset;
    this.#offset += length;
    return start;
  }

  #need(length: number): void {
    const left = this.#bytes.length - this.#offset;
    if (length > left) throw new TxParseError('truncated', `${length} bytes wanted, ${left} left`);
  }
}
