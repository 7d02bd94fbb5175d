/**
 * The signer's marks on the disk, apart from the log: what was signed and revoked per channel, so that an older log put in
 * place of the newest is noticed (BOLT 2, "Message Retransmission").
 *
 * A mark is written once the log has what raises it, and before it leaves: a file newer than its log is therefore proof that
 * the log was put back. Writing reaches the system at once and the disk within SYNC_MS, so nothing waits for a second flush:
 * the end of our process loses no mark, and a power cut only such as the log, flushed before them, still has.
 */
import { closeSync, existsSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crypto } from '../../bolt/crypto.ts';
import type { NodeId } from '../../bolt/primitives.ts';
import type { HighWater } from './high-water.ts';

export type MarksFileCode = 'marks_permissions' | 'marks_unreadable' | 'marks_of_another_node';

/** What is wrong with the file of marks; without it nothing may be signed. */
export class MarksError extends Error {
  readonly code: MarksFileCode;
  constructor(code: MarksFileCode, message: string) {
    super(message);
    this.name = 'MarksError';
    this.code = code;
  }
}

export interface MarksFile {
  /** By key_index. */
  all(): ReadonlyMap<number, HighWater>;
  /** Raises a channel's marks, never lowers them. Written when it returns; throws when it cannot be. */
  keep(key_index: number, marks: HighWater): void;
  /** Has everything on the disk when it returns. */
  sync(): void;
  close(): void;
}

/** At most so long a mark is known to the system alone. */
const SYNC_MS = 50;
/** Of a slot. A channel has two, written in turn: a torn write leaves the other one whole. */
const SLOT = 64;
const HEADER = 2 * SLOT;
const CHECKED = SLOT - 8;
/** The file grows by so many channels at a time: a write never has to wait for room. */
const GROW = 32;
const OTHERS = 0o077;

interface Place {
  readonly number: number;
  readonly slot: 0 | 1;
  readonly sequence: bigint;
  readonly marks: HighWater;
}

/** Opens the marks of a node, or begins them. Throws MarksError. */
export function openMarksFile(file: string, node_id: NodeId): MarksFile {
  const fresh = !existsSync(file);
  const fd = fresh ? create(file, node_id) : openSync(file, 'r+');
  const places = fresh ? new Map<number, Place>() : read(file, node_id);
  let [room, ends, waiting, syncing] = [(fstatSync(fd).size - HEADER) / (2 * SLOT), 0, undefined as NodeJS.Timeout | undefined, false];
  for (const { number } of places.values()) ends = Math.max(ends, number + 1);
  let closed = false;

  function nextPlace(): Pick<Place, 'number' | 'slot' | 'sequence'> {
    if (ends >= room) {
      room += GROW;
      ftruncateSync(fd, HEADER + room * 2 * SLOT);
      // The new length, too, must outlive a power cut.
      fdatasyncSync(fd);
    }
    return { number: ends++, slot: 1, sequence: 0n };
  }

  function syncSoon(): void {
    if (waiting !== undefined || syncing) return;
    waiting = setTimeout(() => {
      [waiting, syncing] = [undefined, true];
      if (closed) return;
      // A disk that fails here fails the log's own flush, which stops the node: nothing hangs on this answer.
      fdatasync(fd, () => (syncing = false));
    }, SYNC_MS).unref();
  }

  return {
    all: () => new Map([...places].map(([key_index, { marks }]) => [key_index, marks])),
    keep(key_index, wanted) {
      if (closed) throw new Error(`${file} is closed: no mark can be kept any more`);
      const before = places.get(key_index);
      const marks = higher(before?.marks, wanted);
      if (before !== undefined && marks.signed === before.marks.signed && marks.revoked === before.marks.revoked) return;
      const { number, slot, sequence } = before ?? nextPlace();
      const place: Place = { number, slot: slot === 0 ? 1 : 0, sequence: sequence + 1n, marks };
      writeSync(fd, slotBytes(key_index, place, node_id), 0, SLOT, HEADER + number * 2 * SLOT + place.slot * SLOT);
      places.set(key_index, place);
      // A channel's first marks wait for the disk: a channel without any is one that an earlier life made.
      if (before === undefined) fdatasyncSync(fd);
      else syncSoon();
    },
    sync() {
      if (!closed) fdatasyncSync(fd);
    },
    close() {
      if (closed) return;
      closed = true;
      clearTimeout(waiting);
      fdatasyncSync(fd);
      closeSync(fd);
    },
  };
}

const higher = (a: HighWater | undefined, b: HighWater): HighWater =>
  a === undefined ? b : { signed: a.signed > b.signed ? a.signed : b.signed, revoked: a.revoked > b.revoked ? a.revoked : b.revoked };

function create(file: string, node_id: NodeId): number {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fd = openSync(file, 'wx+', 0o600);
  writeSync(fd, headerOf(node_id));
  ftruncateSync(fd, HEADER + GROW * 2 * SLOT);
  fdatasyncSync(fd);
  const folder = openSync(dirname(file), 'r');
  fdatasyncSync(folder);
  closeSync(folder);
  return fd;
}

const headerOf = (node_id: NodeId): Uint8Array => Buffer.alloc(HEADER, '\n').fill(`fulgurite-marks 1 ${node_id}\n`, 0, `fulgurite-marks 1 ${node_id}\n`.length);

function read(file: string, node_id: NodeId): Map<number, Place> {
  const mode = statSync(file).mode & 0o777;
  if ((mode & OTHERS) !== 0 && process.platform !== 'win32') throw new MarksError('marks_permissions', `${file} has mode ${mode.toString(8)}, expected 600: others could have changed what the signer remembers`);
  const bytes = readFileSync(file);
  const [, version, owner] = /^fulgurite-marks (\d+) ([0-9a-f]{66})\n/.exec(bytes.subarray(0, HEADER).toString('latin1')) ?? [];
  if (version !== '1') throw new MarksError('marks_unreadable', `${file}: expected the signer's marks, version 1, got ${version === undefined ? 'something else' : `version ${version}`}`);
  if (owner !== node_id) throw new MarksError('marks_of_another_node', `${file}: expected the marks of ${node_id}, got those of ${owner}`);
  const places = new Map<number, Place>();
  for (let number = 0; HEADER + (number + 1) * 2 * SLOT <= bytes.length; number++) take(file, bytes, number, node_id, places);
  return places;
}

/** One channel's two slots. One that is torn leaves the other; both torn were never whole, or the disk is failing. */
function take(file: string, bytes: Uint8Array, number: number, node_id: NodeId, places: Map<number, Place>): void {
  const from = HEADER + number * 2 * SLOT;
  const slots = ([0, 1] as const).map((slot) => readSlot(bytes.subarray(from + slot * SLOT, from + (slot + 1) * SLOT), number, slot, node_id));
  const whole = slots.filter((slot) => slot !== 'empty' && slot !== 'torn').toSorted((a, b) => Number(b.place.sequence - a.place.sequence));
  if (whole[0] !== undefined) return void places.set(whole[0].key_index, whole[0].place);
  if (slots.every((slot) => slot === 'torn')) throw new MarksError('marks_unreadable', `${file}: expected the marks of channel place ${number} in one of two slots, got none whose checksum fits`);
}

function readSlot(slot: Uint8Array, number: number, index: 0 | 1, node_id: NodeId): { key_index: number; place: Place } | 'empty' | 'torn' {
  if (slot.every((byte) => byte === 0)) return 'empty';
  if (Buffer.compare(slot.subarray(CHECKED), checksum(slot.subarray(0, CHECKED), node_id)) !== 0) return 'torn';
  const view = new DataView(slot.buffer, slot.byteOffset, SLOT);
  const marks = { signed: view.getBigInt64(16), revoked: view.getBigInt64(24) };
  return { key_index: view.getUint32(0), place: { number, slot: index, sequence: view.getBigUint64(8), marks } };
}

function slotBytes(key_index: number, { sequence, marks }: Place, node_id: NodeId): Uint8Array {
  const slot = new Uint8Array(SLOT);
  const view = new DataView(slot.buffer);
  view.setUint32(0, key_index);
  view.setBigUint64(8, sequence);
  view.setBigInt64(16, marks.signed);
  view.setBigInt64(24, marks.revoked);
  slot.set(checksum(slot.subarray(0, CHECKED), node_id), CHECKED);
  return slot;
}

/** Binds a slot to its node: another node's marks are no marks. */
function checksum(content: Uint8Array, node_id: NodeId): Uint8Array {
  return crypto().sha256(Buffer.concat([Buffer.from(node_id, 'hex'), content])).subarray(0, 8);
}
