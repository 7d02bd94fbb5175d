/** Safety 29: entering recovery reaches every channel, also over a store that fails for a moment. */
import { expect, it } from 'vitest';
import type { Channels } from '../../src/commands/channels.ts';
import { createRecovery, type RecoveryOptions } from '../../src/commands/recovery.ts';
import type { ChannelState } from '../../src/domain/channel/state.ts';
import type { EventStore } from '../../src/events/store.ts';
import { opened } from '../support/channel-pair.ts';
import { hash } from '../support/words.ts';

/** A log of nothing, and a channel: each fails so often before it works. */
function stage(failures: { readonly store: number; readonly channel: number }, state: ChannelState = opened().alice.state) {
  const left = { ...failures };
  const [written, ended, lines] = [[] as string[], [] as string[], [] as string[]];
  const store = {
    async *read() {},
    append: async (_stream: string, _revision: unknown, [event]: readonly { readonly type: string }[]) => {
      if (left.store-- > 0) throw new Error('the store is busy');
      written.push(event!.type);
      return 0n;
    },
  } as unknown as EventStore;
  const loop = {
    stream: 'channel-a', state,
    run: async ({ type }: { readonly type: string }) => {
      if (left.channel-- > 0) throw new Error('the store is busy');
      ended.push(type);
    },
  };
  const channels = { all: () => [loop], nextKeyIndex: 8 } as unknown as Channels;
  const options: RecoveryOptions = {
    store, channels, node_id: opened().alice.signer.nodeId, log: { log_id: hash('log'), epoch: 0, size: 9n }, entered: undefined, keeping: undefined,
    session: () => undefined, log_line: (line) => void lines.push(line),
  };
  return { recovery: createRecovery(options), written, ended, lines };
}

it('a store that is busy twice delays it, and no more', async () => {
  const { recovery, written, ended, lines } = stage({ store: 2, channel: 1 });
  await recovery.enter({ code: 'recovery_forced', reason: 'a test' });
  expect([written, ended]).toEqual([['RecoveryEntered'], ['EnterRecovery']]);
  expect(lines.filter((line) => line.endsWith('the store is busy'))).toHaveLength(3);
});

it('a note that never comes into the log keeps no channel from ending, and is told', async () => {
  const { recovery, ended } = stage({ store: Number.POSITIVE_INFINITY, channel: 0 });
  await expect(recovery.enter({ code: 'recovery_forced', reason: 'a test' })).rejects.toThrow('the store is busy');
  expect(ended).toEqual(['EnterRecovery']);
  expect(recovery.status()).toMatchObject({ code: 'recovery_forced' });
});

it('a peer cannot word its error so that its proof is overlooked', () => {
  const { alice } = opened();
  alice.decide({ type: 'ReceiveError', data: 'restored from nowhere' });
  if (alice.state.phase !== 'resolving') throw new Error(alice.state.phase);
  const state: ChannelState = { ...alice.state, spend: { kind: 'future', commitment_number: 9n, txid: hash('theirs'), block_height: 1, transaction: '' } };
  const { recovery } = stage({ store: 0, channel: 0 });
  recovery.onTurn('channel-a', state);
  return expect.poll(() => recovery.status()).toMatchObject({ code: 'data_loss' });
});
