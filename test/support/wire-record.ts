/** What a node said and heard about commitments, on a file that outlives it: written before each message leaves, so that nothing is said unrecorded. */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Message } from '../../src/bolt/messages.ts';
import type { Hex32, Signature } from '../../src/bolt/primitives.ts';

export type Way = 'sent' | 'received';

/** One message on one channel. */
export type WireWord =
  | { readonly way: Way; readonly channel_id: Hex32; readonly type: 'commitment_signed'; readonly signature: Signature }
  | { readonly way: Way; readonly channel_id: Hex32; readonly type: 'revoke_and_ack'; readonly per_commitment_secret: Hex32 };

export interface WireRecorder {
  take(way: Way, message: Message): void;
  close(): void;
}

/** Adds to the file. The kernel keeps what was written when the process is killed. */
export function openWireRecorder(file: string): WireRecorder {
  const fd = openSync(file, 'a');
  return {
    take(way, message) {
      const word = wordOf(way, message);
      if (word !== undefined) writeSync(fd, `${JSON.stringify(word)}\n`);
    },
    close: () => closeSync(fd),
  };
}

function wordOf(way: Way, message: Message): WireWord | undefined {
  switch (message.type) {
    case 'commitment_signed':
      return { way, channel_id: message.channel_id, type: message.type, signature: message.signature };
    case 'revoke_and_ack':
      return { way, channel_id: message.channel_id, type: message.type, per_commitment_secret: message.per_commitment_secret };
    default:
      return undefined;
  }
}

/** Everything on the file, in order. */
export function readWireRecord(file: string): readonly WireWord[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as WireWord);
}
