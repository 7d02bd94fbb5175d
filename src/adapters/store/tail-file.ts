/** The tail of a log: its newest appends in a file beside the database, durable before the database has them. Each frame bears a digest, and a code that only the node's key can make. */
import { closeSync, existsSync, fdatasync, fdatasyncSync, fsyncSync, ftruncateSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { dirname } from 'node:path';
import { LogCorrupt } from '../../events/store.ts';
import { syncFolder } from '../sync-folder.ts';
import { eventsIn, type AppendRequest } from './engine.ts';

export const tailFileOf = (databaseFile: string): string => `${databaseFile}-tail`;

/** Appends that became durable together. `first`: the position of their first event. */
export interface TailFrame {
  readonly first: number;
  readonly requests: readonly AppendRequest[];
}

/** Laid out once, so that a flush never has to lengthen the file. It is begun anew whenever the database has all of it. */
const CAPACITY = 8 << 20;
/** A flush that takes less is quick, in ms. */
const QUICK_MS = 2;
/** Frames begin on disk sectors: writing one leaves those before it untouched. */
const SECTOR = 512;
const MAGIC = 0x46_54_30_31;
/** Magic, length of the body, first position. */
const HEAD_BYTES = 16;
const DIGEST_BYTES = 32;
const BODY_AT = HEAD_BYTES + 2 * DIGEST_BYTES;

export interface TailFile {
  /** A frame of so many bytes of text has room behind the last one. */
  fits(bytes: number): boolean;
  /** Resolves when the frame survives a power loss; one at a time. A rejection leaves it unknown whether it does. */
  write(frame: TailFrame): Promise<void>;
  /** Nothing of it is needed any more. */
  rewind(): void;
  close(how: 'keep' | 'remove'): void;
}

/** Begins an empty tail. Throws when there is no room for it. */
export function createTailFile(file: string, seed: Uint8Array): TailFile {
  const key = tailKey(seed);
  const fd = openSync(file, 'w', 0o600);
  try {
    const zeros = Buffer.alloc(1 << 20);
    for (let at = 0; at < CAPACITY; at += zeros.length) writeSync(fd, zeros, 0, zeros.length, at);
    fsyncSync(fd);
    syncFolder(dirname(file));
  } catch (error) {
    closeSync(fd);
    unlinkSync(file);
    throw error;
  }
  let [end, quick] = [0, true];

  /** A quick disk is waited for in place: a change of thread would cost more than the flush. A slow one holds up nobody. */
  function flush(resolve: () => void, reject: (error: Error) => void): void {
    const started = performance.now();
    const done = (): void => {
      quick = performance.now() - started < QUICK_MS;
      resolve();
    };
    if (!quick) return fdatasync(fd, (error) => (error === null ? done() : reject(error)));
    fdatasyncSync(fd);
    done();
  }

  const put = (bytes: Buffer, from: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const written = writeSync(fd, bytes, 0, bytes.length, from);
      if (written < bytes.length) throw new Error(`the disk took ${written} bytes of ${bytes.length}`);
      flush(resolve, reject);
    });

  /** A frame that failed is refused by its caller or written elsewhere: it should not be found. */
  function takeBack(from: number): void {
    try {
      ftruncateSync(fd, from);
    } catch {
      // The disk is past helping.
    }
  }

  return {
    // Text in JSON grows by its escapes, quotes mostly, far less than doubling; a character has at most three bytes.
    fits: (bytes) => end + sectors(BODY_AT + 3 * bytes) <= CAPACITY,
    write(frame) {
      const bytes = encodeFrame(frame, key);
      if (end + bytes.length > CAPACITY) return Promise.reject(new Error(`the tail has ${CAPACITY - end} bytes left, a frame has ${bytes.length}`));
      const from = end;
      end += bytes.length;
      return put(bytes, from).catch((error: unknown) => {
        takeBack(from);
        throw error;
      });
    },
    rewind: () => void (end = 0),
    close(how) {
      closeSync(fd);
      if (how === 'remove') unlinkSync(file);
    },
  };
}

/**
 * The frames that continue a log of `size` events, in order; those that the database has already are left out. A frame torn
 * by a power loss was never answered and ends the tail. Throws LogCorrupt when a frame was answered and is gone, or is not ours.
 */
export const readTail = (file: string, size: number, seed: Uint8Array): readonly TailFrame[] => framesOf(file, readTailBytes(file), size, seed);

/** Empty where there is no tail. */
export const readTailBytes = (file: string): Buffer => (existsSync(file) ? readFileSync(file) : Buffer.alloc(0));

/** As readTail, from its bytes. Without a seed the digests are checked, not who wrote them. */
export function framesOf(file: string, bytes: Buffer, size: number, seed?: Uint8Array): readonly TailFrame[] {
  const frames: TailFrame[] = [];
  const key = seed === undefined ? undefined : tailKey(seed);
  let next = size;
  for (let at = 0; at < bytes.length; ) {
    const found = frameAt(bytes, at);
    at += found?.length ?? SECTOR;
    if (found === undefined) continue;
    const { first, body, mac, digest } = found;
    if (key !== undefined && !timingSafeEqual(mac, macOf(digest, key))) throw notOurs(file, first);
    // It was written when those before it had been answered.
    if (first > next) throw missing(file, next, first);
    // What the database has already is passed over, and what an earlier round left behind.
    if (first < next) continue;
    const frame = { first, requests: JSON.parse(body.toString()) as readonly AppendRequest[] };
    frames.push(frame);
    next += eventsIn(frame.requests);
  }
  return frames;
}

function encodeFrame({ first, requests }: TailFrame, key: Uint8Array): Buffer {
  const text = JSON.stringify(requests);
  const length = Buffer.byteLength(text);
  const bytes = Buffer.alloc(sectors(BODY_AT + length));
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(length, 4);
  bytes.writeBigUInt64BE(BigInt(first), 8);
  bytes.write(text, BODY_AT);
  const digest = digestOf(bytes, length);
  digest.copy(bytes, HEAD_BYTES);
  macOf(digest, key).copy(bytes, HEAD_BYTES + DIGEST_BYTES);
  return bytes;
}

interface Found {
  readonly first: number;
  /** Appends as JSON: of our own making where the code fits. */
  readonly body: Buffer;
  readonly digest: Buffer;
  readonly mac: Buffer;
  /** Bytes, padding included. */
  readonly length: number;
}

/** Undefined where no whole frame stands. */
function frameAt(bytes: Buffer, at: number): Found | undefined {
  if (at + BODY_AT > bytes.length || bytes.readUInt32BE(at) !== MAGIC) return undefined;
  const length = bytes.readUInt32BE(at + 4);
  if (at + BODY_AT + length > bytes.length) return undefined;
  const whole = bytes.subarray(at, at + BODY_AT + length);
  const digest = whole.subarray(HEAD_BYTES, HEAD_BYTES + DIGEST_BYTES);
  if (!digestOf(whole, length).equals(digest)) return undefined;
  return { first: Number(whole.readBigUInt64BE(8)), body: whole.subarray(BODY_AT), digest, mac: whole.subarray(HEAD_BYTES + DIGEST_BYTES, BODY_AT), length: sectors(BODY_AT + length) };
}

const digestOf = (frame: Buffer, length: number): Buffer =>
  createHash('sha256').update(frame.subarray(0, HEAD_BYTES)).update(frame.subarray(BODY_AT, BODY_AT + length)).digest();
const macOf = (digest: Uint8Array, key: Uint8Array): Buffer => createHmac('sha256', key).update(digest).digest();
const tailKey = (seed: Uint8Array): Buffer => createHash('sha256').update('fulgurite tail').update(seed).digest();
const sectors = (bytes: number): number => Math.ceil(bytes / SECTOR) * SECTOR;

const missing = (file: string, expected: number, got: number): LogCorrupt =>
  new LogCorrupt(`${file} has a hole: the log has ${expected} events, the file goes on at position ${got}`, { position: BigInt(expected), expected: `${expected}`, got: `${got}` });

const notOurs = (file: string, position: number): LogCorrupt =>
  new LogCorrupt(`${file} was not written by this node: expected its code at position ${position}, got another`, { position: BigInt(position), expected: 'a code made with the log key', got: 'another' });
