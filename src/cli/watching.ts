/** Waiting for a channel, with a word about what is still missing: one changing line on a terminal, a line a change elsewhere. */
import type { Api } from './api-client.ts';
import type { ChannelJson } from './ask.ts';
import type { Io } from './output.ts';

export interface LiveChannel {
  readonly channel: ChannelJson;
  readonly usable: boolean;
  readonly peer_connected: boolean;
  readonly waiting?: {
    readonly for: string;
    readonly txid?: string;
    readonly confirmations?: number;
    readonly needed?: number;
    readonly blocks_left?: number;
  };
}

const EVERY_MS = 500;

/** Looks at a channel until `done` says so; answers its last state. */
export async function watchChannel(api: Api, name: string, io: Io, done: (live: LiveChannel) => boolean): Promise<LiveChannel> {
  const status = createStatus(io);
  try {
    for (;;) {
      const live = await api.get<LiveChannel>(`/v1/channels/${encodeURIComponent(name)}`);
      if (done(live)) return live;
      status.show(describeWaiting(live));
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  } finally {
    status.clear();
  }
}

/** Nothing changes any more. */
export const hasEnded = ({ channel: { phase } }: LiveChannel): boolean => phase === 'closed' || phase === 'abandoned';

export function describeWaiting({ waiting, channel: { phase, step } }: LiveChannel): string {
  const at = step === undefined ? phase : `${phase} (${step})`;
  const count = `${waiting?.confirmations ?? 0} of ${waiting?.needed ?? 0} confirmations`;
  switch (waiting?.for) {
    case 'funding_confirmations': return `${at}: ${count} of the funding transaction ${waiting.txid}`;
    case 'closing_confirmations': return waiting.txid === undefined ? `${at}: waiting for the closing transaction in a block` : `${at}: ${count} of the closing transaction ${waiting.txid}`;
    case 'to_self_delay': return `${at}: our money is free in ${waiting.blocks_left} blocks (to_self_delay)`;
    case 'sweep_confirmations': return `${at}: ${count} of the sweep ${waiting.txid}`;
    case 'peer_connection': return `${at}: the peer is not connected`;
    case 'peer_messages': return `${at}: waiting for the peer's messages`;
    default: return at;
  }
}

/** Says a thing once, until it changes. */
export function createStatus({ stderr }: Pick<Io, 'stderr'>): { show(text: string): void; clear(): void } {
  let shown = '';
  return {
    show(text) {
      if (text === shown) return;
      shown = text;
      stderr.write(stderr.isTTY === true ? `\r${text}\u001b[K` : `${text}\n`);
    },
    clear() {
      if (shown !== '' && stderr.isTTY === true) stderr.write('\r\u001b[K');
    },
  };
}
