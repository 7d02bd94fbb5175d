/** EventStoreDB's errors in the port's words. */
import {
  AccessDeniedError,
  convertToCommandError,
  MaxAppendSizeExceededError,
  StreamDeletedError,
} from '@eventstore/db-client';
import { InvalidAppend, LogCorrupt, StoreError, StoreFull } from '../../../events/store.ts';

/** No answer, or one that says nothing about the outcome: it may have happened or not. Ask the same again. */
export class Unreachable extends StoreError {
  constructor(url: string, reason: string) {
    super('store_unreachable', `the event database ${url} does not answer: ${reason}`, { url, reason });
  }
}

/** What is no clear refusal is Unreachable: the client answers some of these raw, so all are converted here. */
export function translate(url: string, cause: unknown): Error {
  if (cause instanceof StoreError) return cause;
  const error = convertToCommandError(cause as Error) as Error;
  if (error instanceof MaxAppendSizeExceededError)
    return new InvalidAppend(`the event database takes at most ${error.maxAppendSize} bytes in one append`, {
      expected: error.maxAppendSize,
    });
  if (error instanceof AccessDeniedError)
    return new StoreError(
      'access_denied',
      `the event database ${url} denies access: check the credentials in its address`,
      { url },
    );
  if (error instanceof StreamDeletedError)
    return new LogCorrupt(`a stream of the log was deleted: ${error.streamName}`, {
      stream: error.streamName,
      expected: 'a stream',
      got: 'deleted',
    });
  if (error.message.includes(NO_ROOM)) return new StoreFull(error.message);
  return new Unreachable(url, error.message || error.constructor.name);
}

/** How our own server says that an append was refused because its disk is full. */
const NO_ROOM = 'the store has no room left';

/** `esdb://user:password@host` without what must not be shown. */
export const withoutCredentials = (url: string): string => url.replace(/\/\/[^/@]*@/, '//');
