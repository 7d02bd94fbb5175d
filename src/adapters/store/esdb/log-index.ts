/**
 * The log in the order of $all, verified entry by entry as it grows: which of our positions (0, 1, 2 ...) stands where in
 * EventStoreDB, where each stream ends, and the root that checkpoints sign. 8 bytes an event and some hundred a stream.
 */
import type { Hex32 } from '../../../bolt/primitives.ts';
import { signCheckpoint } from '../../../events/checkpoint.ts';
import { registry, UnknownEventType } from '../../../events/registry.ts';
import { LogCorrupt, type StreamId } from '../../../events/store.ts';
import { createLogVerifier } from '../../../events/verify.ts';
import type { Row } from '../engine.ts';
import type { CheckpointKey } from '../writer.ts';
import { corruptRecord, textOf, type EsdbRecord, type Layout, type Place } from './layout.ts';

export interface StreamEnd {
  readonly revision: number;
  readonly hash: Hex32;
}

export interface LogIndex {
  /** Takes the next event of $all. Answers undefined for one it has already. Throws LogCorrupt or UnknownEventType, and is then of no more use. */
  add(record: EsdbRecord): Row | undefined;
  size(): number;
  last(): { readonly place: Place; readonly id: string } | undefined;
  endOf(stream: StreamId): StreamEnd | undefined;
  /** Where the event with that position stands. */
  placeOf(position: number): Place;
  /** The position of the event at that place; undefined when it is not known (yet). */
  positionOf(place: Place): number | undefined;
  /** A signed note over all events so far. Throws LogCorrupt when a note given at the start covers more. */
  sign(): string;
}

export interface LogIndexOptions {
  readonly layout: Layout;
  readonly key: CheckpointKey;
  /** Signed notes that the log must fit. */
  readonly checkpoints: readonly string[];
}

export function createLogIndex({ layout, key, checkpoints }: LogIndexOptions): LogIndex {
  const verifier = createLogVerifier({ checkpoints, key, allowUnsignedTail: true });
  const ends = new Map<StreamId, StreamEnd>();
  const places = createPlaces();
  let lastId = '';

  return {
    add(record) {
      const previous = places.last();
      if (previous !== undefined && record.place.commit <= previous.commit) return undefined;
      const [position, entry] = [places.size(), textOf(record)];
      const stream = layout.streamId(record.stream);
      const { hash, id, type } = verifier.add({
        position: BigInt(position),
        stream,
        revision: record.revision,
        entry,
        // An event without a hash beside it fits none.
        hash: record.hash ?? '',
      });
      if (id !== record.id) throw corruptRecord(record, "an event's id does not fit its entry", id, record.id);
      if (!registry.knows(type)) throw new UnknownEventType(type);
      places.push(record.place);
      ends.set(stream, { revision: Number(record.revision), hash });
      lastId = id;
      return [position, entry, hash];
    },
    size: places.size,
    last() {
      const place = places.last();
      return place === undefined ? undefined : { place, id: lastId };
    },
    endOf: (stream) => ends.get(stream),
    placeOf: places.at,
    positionOf: places.find,
    sign() {
      const { size, root } = verifier.finish();
      return signCheckpoint({ origin: key.origin, size, root }, key);
    },
  };
}

interface Places {
  size(): number;
  push(place: Place): void;
  at(index: number): Place;
  last(): Place | undefined;
  find(place: Place): number | undefined;
}

/** A sorted list of places. A commit position is a number of bytes, below 2^53 for 9 petabytes. */
function createPlaces(): Places {
  let [commits, size] = [new Float64Array(1024), 0];
  /** Prepare positions where they are not the commit position. */
  const prepares = new Map<number, bigint>();
  const at = (index: number): Place => {
    const commit = BigInt(commits[index]!);
    return { commit, prepare: prepares.get(index) ?? commit };
  };
  return {
    size: () => size,
    push({ commit, prepare }) {
      if (commit > BigInt(Number.MAX_SAFE_INTEGER))
        throw new LogCorrupt(`a position is below 2^53, got ${commit}`, { expected: '< 2^53', got: String(commit) });
      if (size === commits.length) {
        const wider = new Float64Array(2 * size);
        wider.set(commits);
        commits = wider;
      }
      if (prepare !== commit) prepares.set(size, prepare);
      commits[size] = Number(commit);
      size += 1;
    },
    at,
    last: () => (size === 0 ? undefined : at(size - 1)),
    find({ commit }) {
      let [low, high] = [0, size];
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (commits[middle]! < Number(commit)) low = middle + 1;
        else high = middle;
      }
      return low < size && commits[low] === Number(commit) ? low : undefined;
    },
  };
}
