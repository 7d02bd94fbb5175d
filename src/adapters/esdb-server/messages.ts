/** EventStoreDB's protobuf messages from and to our records, with the classes that its client generated. */
import shared from '@eventstore/db-client/generated/shared_pb.js';
import statusPb from '@eventstore/db-client/generated/status_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb.js';
import type { Status } from '@eventstore/db-client/generated/status_pb.js';
import type { AppendReq, BatchAppendReq, BatchAppendResp, ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js';
import type { StoredRecord } from './journal.ts';
import type { AppendOutcome, Expected, ProposedEvent } from './log.ts';

/** A request that no server would take; EventStoreDB ends the whole call then. */
export class InvalidRequest extends Error {}

const NIL_UUID = '00000000-0000-0000-0000-000000000000';
const UUID_FORM = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** .NET counts time in 100 ns since the year 1; the client of EventStoreDB divides since 1970. */
const TICKS_PER_MILLISECOND = 10_000n;

export function streamOf(identifier: StreamIdentifier | undefined): string {
  const name = Buffer.from(identifier?.getStreamName_asU8() ?? []).toString();
  if (name === '') throw new InvalidRequest('a stream has a name');
  return name;
}

/** Throws InvalidRequest unless it is a UUID other than the nil one. */
export function uuidOf(uuid: UUID | undefined): string {
  const structured = uuid?.getStructured();
  const text = structured === undefined ? (uuid?.getString() ?? '').toLowerCase() : fromHalves(structured);
  if (!UUID_FORM.test(text) || text === NIL_UUID) throw new InvalidRequest(`an id is a UUID, got "${text}"`);
  return text;
}

function fromHalves(halves: UUID.Structured): string {
  const half = (value: string): string => BigInt.asUintN(64, BigInt(value)).toString(16).padStart(16, '0');
  const hex = half(halves.getMostSignificantBits()) + half(halves.getLeastSignificantBits());
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export function proposedEvent(message: BatchAppendReq.ProposedMessage | AppendReq.ProposedMessage): ProposedEvent {
  const type = message.getMetadataMap().get('type') ?? '';
  if (type === '') throw new InvalidRequest('an event has a type');
  return {
    id: uuidOf(message.getId()),
    type,
    contentType: message.getMetadataMap().get('content-type') ?? 'application/octet-stream',
    data: message.getData_asU8(),
    metadata: message.getCustomMetadata_asU8(),
  };
}

/** What both kinds of append call their options. */
interface ExpectedOptions {
  hasNoStream(): boolean;
  hasAny(): boolean;
  hasStreamExists(): boolean;
}

export function expectedOf(options: ExpectedOptions, revision: string): Expected {
  if (options.hasNoStream()) return 'no_stream';
  if (options.hasAny()) return 'any';
  if (options.hasStreamExists()) return 'stream_exists';
  return Number(revision);
}

function uuid(id: string): UUID {
  return new shared.UUID().setString(id);
}

function identifier(stream: string): StreamIdentifier {
  return new shared.StreamIdentifier().setStreamName(Buffer.from(stream));
}

export function eventMessage(record: StoredRecord): ReadResp {
  const position = String(record.position);
  const event = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(uuid(record.id))
    .setStreamIdentifier(identifier(record.stream))
    .setStreamRevision(String(record.revision))
    .setPreparePosition(position)
    .setCommitPosition(position)
    .setCustomMetadata(record.metadata)
    .setData(record.data);
  const metadata = event.getMetadataMap();
  metadata.set('type', record.type);
  metadata.set('content-type', record.contentType);
  metadata.set('created', String(BigInt(record.created) * TICKS_PER_MILLISECOND));
  return new streams.ReadResp().setEvent(new streams.ReadResp.ReadEvent().setEvent(event).setCommitPosition(position));
}

export function streamNotFound(stream: string): ReadResp {
  return new streams.ReadResp().setStreamNotFound(new streams.ReadResp.StreamNotFound().setStreamIdentifier(identifier(stream)));
}

export function confirmation(id: string): ReadResp {
  return new streams.ReadResp().setConfirmation(new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(id));
}

export const caughtUp = (): ReadResp => new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp());

export function checkpoint(position: number): ReadResp {
  const place = new streams.ReadResp.Checkpoint().setCommitPosition(String(position)).setPreparePosition(String(position));
  return new streams.ReadResp().setCheckpoint(place);
}

/** The answer to one append of a batch stream. */
export function batchAnswer(correlation: string, stream: string, expected: Expected, outcome: AppendOutcome): BatchAppendResp {
  const answer = new streams.BatchAppendResp().setCorrelationId(uuid(correlation)).setStreamIdentifier(identifier(stream));
  if (typeof expected === 'number') answer.setStreamPosition(String(expected));
  switch (outcome.kind) {
    case 'success':
      return answer.setSuccess(batchSuccess(outcome.revision, outcome.position));
    case 'wrong_expected_version':
      return answer.setError(wrongExpectedVersion(expected, outcome.actual));
    case 'too_large':
      return answer.setError(tooLarge(outcome.limit));
    case 'full':
      // The client shows the message of a detail that it does not know.
      return answer.setError(status(RESOURCE_EXHAUSTED, 'BadRequest', outcome.message, new Uint8Array(0)));
  }
}

function batchSuccess(revision: number, position: number): BatchAppendResp.Success {
  const success = new streams.BatchAppendResp.Success().setCurrentRevision(String(Math.max(0, revision)));
  if (position < 0) return success;
  const place = new shared.AllStreamPosition().setCommitPosition(String(position)).setPreparePosition(String(position));
  return success.setPosition(place);
}

const FAILED_PRECONDITION = 9;
const ALREADY_EXISTS = 6;
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
const DEADLINE_EXCEEDED = 4;
/** Field numbers of `google.protobuf.Empty` members in WrongExpectedVersion. */
const EXPECTED_EMPTY = { any: 4, stream_exists: 5, no_stream: 6 } as const;
const CURRENT_NO_STREAM = 2;

function wrongExpectedVersion(expected: Expected, actual: number): Status {
  const detail = new shared.WrongExpectedVersion();
  if (typeof expected === 'number') detail.setExpectedStreamPosition(String(expected));
  if (actual >= 0) detail.setCurrentStreamRevision(String(actual));
  const empties = [...(actual < 0 ? [CURRENT_NO_STREAM] : []), ...(typeof expected === 'number' ? [] : [EXPECTED_EMPTY[expected]])];
  const bytes = Buffer.concat([detail.serializeBinary(), ...empties.map((field) => bytesField(field, Buffer.alloc(0)))]);
  return status(actual < 0 ? FAILED_PRECONDITION : ALREADY_EXISTS, 'WrongExpectedVersion', 'WrongExpectedVersion', bytes);
}

function tooLarge(limit: number): Status {
  const detail = new shared.MaximumAppendSizeExceeded().setMaxappendsize(limit);
  return status(INVALID_ARGUMENT, 'MaximumAppendSizeExceeded', 'Maximum Append Size Exceeded', detail.serializeBinary());
}

/** The server gave up before the deadline that the client named. */
export function timedOut(correlation: string, stream: string): BatchAppendResp {
  const detail = status(DEADLINE_EXCEEDED, 'Timeout', 'Timeout', new shared.Timeout().serializeBinary());
  return new streams.BatchAppendResp().setCorrelationId(uuid(correlation)).setStreamIdentifier(identifier(stream)).setError(detail);
}

/** A `google.rpc.Status` whose `google.protobuf.Any` holds the detail. Written field by field: the Any's class belongs to another package. */
function status(code: number, name: string, message: string, detail: Uint8Array): Status {
  const url = Buffer.from(`type.googleapis.com/event_store.client.${name}`);
  const any = Buffer.concat([bytesField(1, url), bytesField(2, detail)]);
  return statusPb.Status.deserializeBinary(
    Buffer.concat([Buffer.from([1 << 3, code]), bytesField(2, Buffer.from(message)), bytesField(3, any)]),
  );
}

/** Protobuf: a length-delimited field. */
function bytesField(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** Which records a subscription or a read asks for. */
export interface Filter {
  readonly fits: (record: StoredRecord) => boolean;
  /** Records looked at between two checkpoints. */
  readonly checkpointEvery: number;
}

export function filterOf(options: ReadReq.Options): Filter {
  const filter = options.getFilter();
  if (filter === undefined) return { fits: () => true, checkpointEvery: Infinity };
  const expression = filter.getStreamIdentifier() ?? filter.getEventType();
  const field = filter.hasStreamIdentifier() ? 'stream' : 'type';
  const window = filter.hasMax() ? filter.getMax() : 32;
  return {
    fits: matcher(field, expression?.getPrefixList() ?? [], expression?.getRegex() ?? ''),
    checkpointEvery: window * Math.max(1, filter.getCheckpointintervalmultiplier()),
  };
}

function matcher(field: 'stream' | 'type', prefixes: readonly string[], regex: string): Filter['fits'] {
  if (prefixes.length > 0) return (record) => prefixes.some((prefix) => record[field].startsWith(prefix));
  const pattern = new RegExp(regex);
  return (record) => pattern.test(record[field]);
}
