/** BOLT 8, "Lightning Message Specification": messages in encrypted frames, with keys that rotate every 1000 uses. */
import { crypto } from '../crypto.ts';
import { concatBytes } from '../primitives.ts';
import { hkdf, nonceBytes } from './noise.ts';

const TAG_BYTES = 16;
const HEADER_BYTES = 2 + TAG_BYTES;
const KEY_USES = 1000;
/** The largest frame: length, tag, message, tag. */
export const MAX_FRAME_BYTES = HEADER_BYTES + 65535 + TAG_BYTES;

/** The stream is broken or forged: nothing after this can be trusted. */
export class CipherError extends Error {
  override readonly name = 'CipherError';
  readonly code: 'bad_length_tag' | 'bad_message_tag';

  constructor(code: 'bad_length_tag' | 'bad_message_tag', detail: string) {
    super(`${code}: ${detail}`);
    this.code = code;
  }
}

/** One direction's key. Each use counts up the nonce; after the thousandth the key is replaced ("Key Rotation"). */
class RotatingKey {
  #key: Uint8Array;
  #chainingKey: Uint8Array;
  #uses = 0;

  constructor(key: Uint8Array, chainingKey: Uint8Array) {
    this.#key = key;
    this.#chainingKey = chainingKey;
  }

  use<T>(action: (key: Uint8Array, nonce: Uint8Array) => T): T {
    const result = action(this.#key, nonceBytes(this.#uses));
    this.#uses += 1;
    if (this.#uses === KEY_USES) this.#rotate();
    return result;
  }

  #rotate(): void {
    [this.#chainingKey, this.#key] = hkdf(this.#chainingKey, this.#key);
    this.#uses = 0;
  }
}

const NO_AD = new Uint8Array(0);

/** Turns messages into frames, in the order in which they are to be sent. */
export class FrameEncoder {
  readonly #key: RotatingKey;

  constructor(sendingKey: Uint8Array, chainingKey: Uint8Array) {
    this.#key = new RotatingKey(sendingKey, chainingKey);
  }

  /** Throws a RangeError over 65535 bytes. */
  encrypt(message: Uint8Array): Uint8Array {
    if (message.length > 65535) throw new RangeError(`a message has at most 65535 bytes, got ${message.length}`);
    const length = new Uint8Array([message.length >> 8, message.length & 0xff]);
    const header = this.#seal(length);
    return concatBytes(header, this.#seal(message));
  }

  #seal(plaintext: Uint8Array): Uint8Array {
    return this.#key.use((key, nonce) => crypto().chacha20poly1305Encrypt(key, nonce, NO_AD, plaintext));
  }
}

/**
 * Turns a stream of chunks, cut anywhere, into messages. It holds what was pushed and not yet read: read until `next`
 * answers undefined before pushing more, and that is at most one frame and one chunk.
 */
export class FrameDecoder {
  readonly #key: RotatingKey;
  readonly #buffer = new ByteQueue();
  #messageBytes: number | undefined;

  constructor(receivingKey: Uint8Array, chainingKey: Uint8Array) {
    this.#key = new RotatingKey(receivingKey, chainingKey);
  }

  /** Bytes held. */
  get buffered(): number {
    return this.#buffer.length;
  }

  push(chunk: Uint8Array): void {
    this.#buffer.push(chunk);
  }

  /** The next whole message, a copy; undefined when more bytes are needed. Throws CipherError, after which it is useless. */
  next(): Uint8Array | undefined {
    this.#messageBytes ??= this.#readLength();
    if (this.#messageBytes === undefined) return undefined;
    const sealed = this.#buffer.take(this.#messageBytes + TAG_BYTES);
    if (sealed === undefined) return undefined;
    this.#messageBytes = undefined;
    return this.#open(sealed, 'bad_message_tag');
  }

  #readLength(): number | undefined {
    const sealed = this.#buffer.take(HEADER_BYTES);
    if (sealed === undefined) return undefined;
    const [high = 0, low = 0] = this.#open(sealed, 'bad_length_tag');
    return (high << 8) | low;
  }

  #open(sealed: Uint8Array, code: CipherError['code']): Uint8Array {
    const plaintext = this.#key.use((key, nonce) => crypto().chacha20poly1305Decrypt(key, nonce, NO_AD, sealed));
    if (plaintext === undefined) throw new CipherError(code, `a frame part of ${sealed.length} bytes does not decrypt`);
    return plaintext;
  }
}

/** Bytes in, bytes out, first in first out; each byte is copied a bounded number of times however small the chunks. */
class ByteQueue {
  #bytes = new Uint8Array(4096);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(chunk: Uint8Array): void {
    if (this.length === 0) this.#start = this.#end = 0;
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** Exactly `length` bytes, as a view that is good until the next push. */
  take(length: number): Uint8Array | undefined {
    if (length > this.length) return undefined;
    const start = this.#start;
    this.#start += length;
    return this.#bytes.subarray(start, this.#start);
  }

  #makeRoom(extra: number): void {
    const needed = this.length + extra;
    const target = needed * 2 > this.#bytes.length ? new Uint8Array(needed * 2) : this.#bytes;
    target.set(this.#bytes.subarray(this.#start, this.#end));
    this.#end = this.length;
    this.#start = 0;
    this.#bytes = target;
  }
}
