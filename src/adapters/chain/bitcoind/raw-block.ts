/** Reads a block as Bitcoin serialises it (BIP 144): header, then transactions; bounded by consensus alone, never by what nodes relay. */
import { hash256 } from '../../../bolt/crypto.ts';
import { concatBytes, fromHex, type Hex, type Hex32, reverseHex32, toHex, toHex32 } from '../../../bolt/primitives.ts';
import type { Block } from '../../../domain/ports.ts';
import { merkleRoot } from '../blocks.ts';
import { ChainError } from './errors.ts';

type BlockTransaction = Block['transactions'][number];

const HEADER_BYTES = 80;
/** MAX_BLOCK_SERIALIZED_SIZE. */
const MAX_BLOCK_BYTES = 4_000_000;
/** The shortest transaction there can be: one input and one output with empty scripts. */
const MIN_TRANSACTION_BYTES = 60;

/**
 * The block whose hash we asked for. Throws ChainError `chain_nonsense` when the bytes are another block, or are no block:
 * its header must hash to `block_hash`, and its transactions to the Merkle root of the header.
 */
export function readBlock(raw: Hex, block_hash: Hex32, height: number): Block {
  if (raw.length > 2 * MAX_BLOCK_BYTES) throw nonsense(block_hash, `${raw.length / 2} bytes, at most ${MAX_BLOCK_BYTES}`);
  const cursor = new Cursor(fromHex(raw), block_hash);
  const header = cursor.take(HEADER_BYTES);
  const hash = displayed(hash256(header));
  if (hash !== block_hash) throw nonsense(block_hash, `the header hashes to ${hash}`);
  const count = cursor.count(MIN_TRANSACTION_BYTES);
  const transactions = Array.from({ length: count }, () => readTransaction(cursor));
  cursor.end();
  checkRoot(header.subarray(36, 68), transactions, block_hash);
  return { height, block_hash, previous_block_hash: displayed(header.subarray(4, 36)), transactions };
}

function checkRoot(expected: Uint8Array, transactions: readonly BlockTransaction[], block_hash: Hex32): void {
  if (transactions.length === 0) throw nonsense(block_hash, 'it holds no transaction');
  const root = merkleRoot(transactions.map(({ txid }) => reverseHex32(txid)));
  if (root !== toHex(expected)) throw nonsense(block_hash, `the header's Merkle root is ${toHex(expected)}, the transactions' ${root}`);
  // CVE-2012-2459: transactions repeated at the end have the same root.
  if (new Set(transactions.map(({ txid }) => txid)).size < transactions.length) throw nonsense(block_hash, 'a transaction stands in it twice');
}

/** Finds where a transaction ends, and its txid, which leaves witnesses out. */
function readTransaction(cursor: Cursor): BlockTransaction {
  const start = cursor.offset;
  const version = cursor.take(4);
  const segwit = cursor.skipSegwitMarker();
  const body = cursor.offset;
  const inputs = cursor.count(41);
  for (let i = 0; i < inputs; i++) skipInput(cursor);
  const outputs = cursor.count(9);
  for (let i = 0; i < outputs; i++) skipOutput(cursor);
  const bodyEnd = cursor.offset;
  if (segwit) for (let i = 0; i < inputs; i++) skipWitness(cursor);
  const locktime = cursor.take(4);
  const raw = cursor.slice(start, cursor.offset);
  const stripped = segwit ? concatBytes(version, cursor.slice(body, bodyEnd), locktime) : raw;
  return { txid: displayed(hash256(stripped)), transaction: toHex(raw) };
}

function skipInput(cursor: Cursor): void {
  cursor.take(36);
  cursor.take(cursor.count(1));
  cursor.take(4);
}

function skipOutput(cursor: Cursor): void {
  cursor.take(8);
  cursor.take(cursor.count(1));
}

function skipWitness(cursor: Cursor): void {
  const items = cursor.count(1);
  for (let i = 0; i < items; i++) cursor.take(cursor.count(1));
}

/** A place in the bytes of a block that never runs past their end. */
class Cursor {
  offset = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #block_hash: Hex32;

  constructor(bytes: Uint8Array, block_hash: Hex32) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#block_hash = block_hash;
  }

  take(length: number): Uint8Array {
    const left = this.#bytes.length - this.offset;
    if (length > left) throw nonsense(this.#block_hash, `${length} bytes wanted at ${this.offset}, ${left} left`);
    this.offset += length;
    return this.#bytes.subarray(this.offset - length, this.offset);
  }

  slice(start: number, end: number): Uint8Array {
    return this.#bytes.subarray(start, end);
  }

  /** A compact size, of things that take `itemBytes` each at the least: a count alone can claim no memory. */
  count(itemBytes: number): number {
    const count = this.#compactSize();
    const left = this.#bytes.length - this.offset;
    if (count * itemBytes > left) throw nonsense(this.#block_hash, `${count} times ${itemBytes} bytes announced at ${this.offset}, ${left} left`);
    return count;
  }

  #compactSize(): number {
    const first = this.take(1)[0]!;
    if (first < 0xfd) return first;
    const at = this.offset;
    if (first === 0xfd) return this.take(2) && this.#view.getUint16(at, true);
    return first === 0xfe ? this.take(4) && this.#view.getUint32(at, true) : this.take(8) && Number(this.#view.getBigUint64(at, true));
  }

  skipSegwitMarker(): boolean {
    if (this.#bytes[this.offset] !== 0) return false;
    const flag = this.#bytes[this.offset + 1];
    if (flag !== 1) throw nonsense(this.#block_hash, `segwit flag ${flag}, expected 1${flag === 8 ? ' (start litecoind with -rpcserialversion=1)' : ''}`);
    this.take(2);
    return true;
  }

  end(): void {
    const left = this.#bytes.length - this.offset;
    if (left > 0) throw nonsense(this.#block_hash, `${left} bytes are left behind its last transaction`);
  }
}

const displayed = (hash: Uint8Array): Hex32 => toHex32(Uint8Array.from(hash).reverse());
const nonsense = (block_hash: Hex32, detail: string): ChainError => new ChainError('chain_nonsense', `what came as block ${block_hash} is not it: ${detail}`);
