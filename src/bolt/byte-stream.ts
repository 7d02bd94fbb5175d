/** A bounds-checked reader and a growing writer over bytes; big-endian, as BOLT 1 asks ("All data fields are unsigned big-endian"). */
import type { Hex } from './primitives.ts';
import { fromHex, toHex } from './primitives.ts';

/** Why bytes from outside could not be understood. */
export type CodecErrorCode =
  | 'truncated'
  | 'trailing_bytes'
  | 'not_minimal'
  | 'too_long'
  | 'out_of_range'
  | 'not_increasing'
  | 'unknown_even_type'
  | 'unknown_encoding'
  | 'invalid_point'
  | 'invalid_utf8'
  | 'invalid_address';

/** The bytes are wrong, and the sender is to blame. Encoding a wrong value is our own bug and throws a RangeError instead. */
export class CodecError extends Error {
  override readonly name = 'CodecError';
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Reads forward through bytes that it does not copy. Every read past the end is a CodecError `truncated`. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /** The next `length` bytes, as a view. */
  take(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  hex(length: number): Hex {
    return toHex(this.take(length));
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  /** CodecError `trailing_bytes` unless everything was read. */
  finish(): void {
    if (this.remaining > 0) {
      throw new CodecError('trailing_bytes', `${this.remaining} bytes too many after offset ${this.#offset}`);
    }
  }

  #advance(length: number): number {
    if (length > this.remaining) {
      throw new CodecError('truncated', `needs ${length} bytes at offset ${this.#offset}, ${this.remaining} left`);
    }
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}

/** Appends to a buffer that doubles when full. A value out of its field's range throws a RangeError. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written, as a view: use it before writing on. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  put(bytes: Uint8Array): void {
    const start = this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
  }

  hex(hex: Hex): void {
    this.put(fromHex(hex));
  }

  u8(value: number): void {
    assertUnsigned(value, 0xff);
    const start = this.#grow(1);
    this.#view.setUint8(start, value);
  }

  u16(value: number): void {
    assertUnsigned(value, 0xffff);
    const start = this.#grow(2);
    this.#view.setUint16(start, value);
  }

  u32(value: number): void {
    assertUnsigned(value, 0xffff_ffff);
    const start = this.#grow(4);
    this.#view.setUint32(start, value);
  }

  u64(value: bigint): void {
    if (value < 0n || value > MAX_U64) throw new RangeError(`not a u64: ${value}`);
    const start = this.#grow(8);
    this.#view.setBigUint64(start, value);
  }

  /** Where the next `extra` bytes start. The buffer may move: only then look at #bytes or #view. */
  #grow(extra: number): number {
    const start = this.#length;
    this.#length += extra;
    if (this.#length > this.#bytes.length) this.#reallocate();
    return start;
  }

  #reallocate(): void {
    const bytes = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

export const MAX_U64 = 0xffff_ffff_ffff_ffffn;

function assertUnsigned(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) throw new RangeError(`not an integer of 0..${max}: ${value}`);
}
