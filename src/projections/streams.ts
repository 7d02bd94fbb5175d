/** Which story a stream tells, read off its name (events/store.ts). */
import type { StreamId } from '../events/store.ts';

export type StreamKind = 'channel' | 'payment' | 'invoice' | 'relay' | 'node' | 'wallet' | 'gossip';

const kinds: readonly StreamKind[] = ['channel', 'payment', 'invoice', 'relay', 'node', 'wallet', 'gossip'];

/** Undefined for a name that none of our streams has. */
export function streamKind(stream: StreamId): StreamKind | undefined {
  return kinds.find((kind) => stream === kind || stream.startsWith(`${kind}-`));
}

export const isChannelStream = (stream: StreamId): boolean => stream.startsWith('channel-');
