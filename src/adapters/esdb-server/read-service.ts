/** `Read` of EventStoreDB's streams service: streams and $all, both ways, and the door to subscriptions. */
import { randomUUID } from 'node:crypto';
import { status, type handleServerStreamingCall } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js';
import type { Faults } from './faults.ts';
import type { StoredRecord } from './journal.ts';
import type { EmbeddedLog } from './log.ts';
import { eventMessage, filterOf, InvalidRequest, streamNotFound, streamOf } from './messages.ts';
import { drained, type ReadCall } from './read-call.ts';
import { serveSubscription } from './subscription.ts';

const BACKWARDS = 1;

export function readHandler(log: EmbeddedLog, faults: Faults): handleServerStreamingCall<ReadReq, ReadResp> {
  return (call) => {
    serve(call, log, faults).catch((error: unknown) => {
      const code = error instanceof InvalidRequest ? status.INVALID_ARGUMENT : status.UNKNOWN;
      call.emit('error', Object.assign(new Error((error as Error).message), { code, details: (error as Error).message }));
    });
  };
}

async function serve(call: ReadCall, log: EmbeddedLog, faults: Faults): Promise<void> {
  await faults.gate();
  const options = call.request.getOptions();
  if (options === undefined) throw new InvalidRequest('a read has options');
  if (options.hasSubscription()) return serveSubscription(call, log, faults, subscriptionOf(log, options));
  if (options.getCount() === '0') throw new Error('a read has a count of at least 1');
  const stream = options.getStream();
  const name = stream === undefined ? undefined : streamOf(stream.getStreamIdentifier());
  if (name !== undefined && log.stream(name) === undefined) call.write(streamNotFound(name));
  else for (const record of records(log, options, name)) await send(call, faults, record);
  call.end();
}

async function send(call: ReadCall, faults: Faults, record: StoredRecord): Promise<void> {
  if (faults.frozen) await faults.gate();
  if (!call.write(eventMessage(record))) await drained(call);
}

function* records(log: EmbeddedLog, options: ReadReq.Options, stream: string | undefined): Generator<StoredRecord> {
  const backwards = options.getReadDirection() === BACKWARDS;
  const filter = filterOf(options);
  const list = stream === undefined ? log.all : log.stream(stream)!;
  const [first, end] = [stream === undefined ? 0 : log.firstVisible(stream), list.length];
  const start = stream === undefined ? allStart(log, options, backwards) : streamStart(options, end, backwards);
  let left = Number(options.getCount());
  const step = backwards ? -1 : 1;
  for (let index = backwards ? Math.min(start, end - 1) : Math.max(start, first); index >= first && index < end; index += step) {
    const record = list[index]!;
    if (!filter.fits(record)) continue;
    if (left === 0) return;
    left -= 1;
    yield record;
  }
}

/** Inclusive both ways. */
function streamStart(options: ReadReq.Options, length: number, backwards: boolean): number {
  const stream = options.getStream()!;
  if (stream.hasStart()) return 0;
  if (stream.hasEnd()) return backwards ? length - 1 : length;
  return Number(stream.getRevision());
}

/** Inclusive forwards, exclusive backwards. */
function allStart(log: EmbeddedLog, options: ReadReq.Options, backwards: boolean): number {
  const all = options.getAll()!;
  if (all.hasStart()) return 0;
  if (all.hasEnd()) return backwards ? log.all.length - 1 : log.all.length;
  const index = indexOf(log.all, Number(all.getPosition()!.getCommitPosition()));
  return backwards ? index - 1 : index;
}

/** Where a record with this position stands. Throws InvalidRequest for a position between records; beyond the end is the end. */
function indexOf(all: readonly StoredRecord[], position: number): number {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (all[middle]!.position < position) low = middle + 1;
    else high = middle;
  }
  if (low < all.length && all[low]!.position !== position)
    throw new InvalidRequest(`no record starts at position ${position}`);
  return low;
}

function subscriptionOf(log: EmbeddedLog, options: ReadReq.Options): Parameters<typeof serveSubscription>[3] {
  const id = randomUUID();
  const filter = filterOf(options);
  const stream = options.getStream();
  if (stream === undefined) return { id, filter, stream: undefined, next: afterAll(log, options) };
  const name = streamOf(stream.getStreamIdentifier());
  const length = log.stream(name)?.length ?? 0;
  const next = stream.hasStart() ? 0 : stream.hasEnd() ? length : Number(stream.getRevision()) + 1;
  return { id, filter, stream: name, next };
}

/** Exclusive. */
function afterAll(log: EmbeddedLog, options: ReadReq.Options): number {
  const all = options.getAll()!;
  if (all.hasStart()) return 0;
  if (all.hasEnd()) return log.all.length;
  return indexOf(log.all, Number(all.getPosition()!.getCommitPosition())) + 1;
}
