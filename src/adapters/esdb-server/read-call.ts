/** The call of one reader: what it is written to, and how it tells that it is full. */
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js';

export type ReadCall = ServerWritableStream<ReadReq, ReadResp>;

/** Resolves when the reader took what was sent, or has gone. */
export function drained(call: ReadCall): Promise<void> {
  if (call.cancelled || call.destroyed) throw new Error('the reader has gone');
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ENOUGH) call.off(event, done);
      resolve();
    };
    for (const event of ENOUGH) call.once(event, done);
  });
}

const ENOUGH = ['drain', 'cancelled', 'close'] as const;
