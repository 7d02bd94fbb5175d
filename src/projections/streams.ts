/** Which story a stream tells, read off its name (events/store.ts). */
import type { StreamId } from '../events/store.ts';

export const isChannelStream = (stream: StreamId): boolean => stream.startsWith('channel-');
