/** What is made ready while the append is under way may fail before anybody waits for it: the channel hears of it, the process lives on. */
import { afterEach, expect, it } from 'vitest';
import type { Session } from '../../src/commands/channel-context.ts';
import type { ChannelContext } from '../../src/commands/channel-context.ts';
import { prepare } from '../../src/commands/outgoing.ts';
import type { Effect } from '../../src/domain/channel/effects.ts';
import { HEIGHT, opened } from '../support/channel-pair.ts';
import { hash } from '../support/words.ts';

const unheard: unknown[] = [];
const listen = (error: unknown) => void unheard.push(error);
afterEach(() => void process.off('unhandledRejection', listen));

it('an attachment that the store cannot read now fails its message, and nothing else', async () => {
  process.on('unhandledRejection', listen);
  const { state } = opened().alice;
  const context = { store: { attachment: () => Promise.reject(new Error('the disk is away')) } } as unknown as ChannelContext;
  const session: Session = { peer_id: opened().bob.signer.nodeId, send: () => true, close: () => undefined };
  const effect = { kind: 'send_add', message: { type: 'update_add_htlc' }, onion_hash: hash(`onion ${HEIGHT}`) } as unknown as Effect;
  const { ready } = prepare({ effect, state }, { session, open: true }, 'channel-x', context);
  // The disk takes its time with the append.
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(unheard).toEqual([]);
  await expect(ready).rejects.toThrow('the disk is away');
});
