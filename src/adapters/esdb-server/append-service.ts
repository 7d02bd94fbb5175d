/** `BatchAppend` and `Append` of EventStoreDB's streams service: many appends over one call, each answered by its correlation id. */
import { status, type handleBidiStreamingCall, type handleClientStreamingCall } from '@grpc/grpc-js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { AppendReq, AppendResp, BatchAppendReq, BatchAppendResp } from '@eventstore/db-client/generated/streams_pb.js';
import { StoreFull } from '../../events/store.ts';
import type { Faults } from './faults.ts';
import type { AppendOutcome, EmbeddedLog, Expected, ProposedEvent } from './log.ts';
import { batchAnswer, expectedOf, InvalidRequest, proposedEvent, streamOf, timedOut, uuidOf } from './messages.ts';

/** An append on its way: its events may come in several messages. */
interface Incoming {
  readonly correlation: string;
  readonly stream: string;
  readonly expected: Expected;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  readonly events: ProposedEvent[];
  bytes: number;
}

/** Bytes of one append beyond which the call ends; what is between this and the append limit gets a proper answer. */
const MAX_INCOMING_BYTES = 16 << 20;
/** Appends of one call whose last message has not come yet. */
const MAX_INCOMING = 1024;

export function batchAppendHandler(
  log: EmbeddedLog,
  faults: Faults,
): handleBidiStreamingCall<BatchAppendReq, BatchAppendResp> {
  return (call) => {
    const incoming = new Map<string, Incoming>();
    const queue: BatchAppendReq[] = [];
    let [draining, ended] = [false, false];

    const fail = (code: number, details: string): void => {
      if (ended) return;
      ended = true;
      call.emit('error', Object.assign(new Error(details), { code, details }));
    };
    const answer = (message: BatchAppendResp): void => {
      if (ended || call.cancelled || call.destroyed) return;
      if (call.write(message)) return;
      call.pause();
      call.once('drain', () => call.resume());
    };

    async function execute({ correlation, stream, expected, deadline, events }: Incoming): Promise<void> {
      if (deadline < Date.now()) return answer(timedOut(correlation, stream));
      const fate = faults.fate(stream);
      if (fate === 'lost_request') return fail(status.UNAVAILABLE, 'the connection broke');
      const outcome = await log.append(stream, expected, events).catch(fullOutcome);
      if (fate === 'lost_answer') return fail(status.UNAVAILABLE, 'the connection broke');
      if (faults.frozen) await faults.gate();
      answer(batchAnswer(correlation, stream, expected, outcome));
    }

    function take(message: BatchAppendReq): void {
      const one = collect(incoming, message);
      if (one.bytes > MAX_INCOMING_BYTES || incoming.size > MAX_INCOMING)
        return fail(status.RESOURCE_EXHAUSTED, `an append of ${one.bytes} bytes, ${incoming.size} appends unfinished`);
      if (!message.getIsFinal()) return;
      incoming.delete(one.correlation);
      execute(one).catch((error: unknown) => fail(status.UNKNOWN, (error as Error).message));
    }

    async function drain(): Promise<void> {
      draining = true;
      for (let message = queue.shift(); message !== undefined; message = queue.shift()) {
        if (faults.frozen) await faults.gate();
        if (ended) return;
        try {
          take(message);
        } catch (error) {
          fail(error instanceof InvalidRequest ? status.INVALID_ARGUMENT : status.UNKNOWN, (error as Error).message);
        }
      }
      draining = false;
    }

    call.on('data', (message: BatchAppendReq) => {
      queue.push(message);
      if (!draining) void drain();
    });
    call.on('end', () => call.end());
    call.on('error', () => (ended = true));
  };
}

/** A full disk refuses one append; anything else ends the call. */
function fullOutcome(error: unknown): AppendOutcome {
  if (error instanceof StoreFull) return { kind: 'full', message: error.message };
  throw error;
}

function collect(incoming: Map<string, Incoming>, message: BatchAppendReq): Incoming {
  const correlation = uuidOf(message.getCorrelationId());
  const one = incoming.get(correlation) ?? begin(correlation, message);
  incoming.set(correlation, one);
  for (const proposed of message.getProposedMessagesList()) {
    const event = proposedEvent(proposed);
    one.events.push(event);
    one.bytes += event.data.length + event.metadata.length;
  }
  return one;
}

function begin(correlation: string, message: BatchAppendReq): Incoming {
  const options = message.getOptions();
  if (options === undefined) throw new InvalidRequest('an append opens with its options');
  return {
    correlation,
    stream: streamOf(options.getStreamIdentifier()),
    expected: expectedOf(options, options.getStreamPosition()),
    deadline: options.getDeadline()?.toDate().getTime() ?? Infinity,
    events: [],
    bytes: 0,
  };
}

export function appendHandler(log: EmbeddedLog, faults: Faults): handleClientStreamingCall<AppendReq, AppendResp> {
  return (call, respond) => {
    const events: ProposedEvent[] = [];
    let options: AppendReq.Options | undefined;
    let refusal: InvalidRequest | undefined;
    call.on('data', (message: AppendReq) => {
      options ??= message.getOptions();
      const proposed = message.getProposedMessage();
      try {
        if (proposed !== undefined) events.push(proposedEvent(proposed));
      } catch (error) {
        refusal = error as InvalidRequest;
      }
    });
    call.on('end', () => {
      finish().catch((error: unknown) => {
        const code = error instanceof InvalidRequest ? status.INVALID_ARGUMENT : status.UNKNOWN;
        respond({ code, details: (error as Error).message });
      });
    });

    async function finish(): Promise<void> {
      await faults.gate();
      if (refusal !== undefined) throw refusal;
      if (options === undefined) throw new InvalidRequest('an append opens with its options');
      const stream = streamOf(options.getStreamIdentifier());
      const expected = expectedOf(options, options.getRevision());
      respond(null, classicAnswer(expected, await log.append(stream, expected, events).catch(fullOutcome)));
    }
  };
}

function classicAnswer(expected: Expected, outcome: AppendOutcome): AppendResp {
  const answer = new streams.AppendResp();
  switch (outcome.kind) {
    case 'success': {
      const position = String(outcome.position);
      const place = new streams.AppendResp.Position().setCommitPosition(position).setPreparePosition(position);
      const success = new streams.AppendResp.Success().setCurrentRevision(String(Math.max(0, outcome.revision)));
      return answer.setSuccess(outcome.position < 0 ? success : success.setPosition(place));
    }
    case 'wrong_expected_version': {
      const wrong = new streams.AppendResp.WrongExpectedVersion();
      if (typeof expected === 'number') wrong.setExpectedRevision(String(expected));
      if (outcome.actual >= 0) wrong.setCurrentRevision(String(outcome.actual));
      return answer.setWrongExpectedVersion(wrong);
    }
    case 'too_large':
      throw new InvalidRequest(`an append has at most ${outcome.limit} bytes`);
    case 'full':
      throw new Error(outcome.message);
  }
}
