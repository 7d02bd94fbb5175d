/** What the chain says is taken in order and never passed over, though the store or the chain fails in between. */
import { beforeAll, expect, it } from 'vitest';
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { ChainInbox } from '../../src/commands/chain-inbox.ts';
import { createFeerates } from '../../src/commands/feerates.ts';
import type { Channels } from '../../src/commands/channels.ts';
import type { ChannelState } from '../../src/domain/channel/state.ts';
import type { ChainEvent } from '../../src/domain/ports.ts';
import { opened } from '../support/channel-pair.ts';
import { hash } from '../support/words.ts';

beforeAll(() => chooseCryptoBackend());

const named = (event: ChainEvent) => (event.type === 'block_connected' ? `+${event.block.height}` : `back to ${event.tip.height}`);

function inboxOn(chain: ReturnType<typeof createRegtestChain>, onEvent: (event: ChainEvent) => Promise<void>, loops: readonly unknown[] = []) {
  const log: string[] = [];
  const inbox = new ChainInbox({
    chain, onEvent, log: (line) => log.push(line),
    channels: { all: () => loops } as unknown as Channels,
    signer: { perCommitmentPoint: () => { throw new Error('nobody asks'); } },
    revokedSpec: async () => undefined,
    claims: { plan: async () => undefined, giveBack: async () => undefined },
    feerates: createFeerates({ chain, ceiling_per_kw: 250_000, log: (line) => log.push(line) }),
  });
  return { inbox, log };
}

it('an event that could not be taken is taken again before the next', async () => {
  const chain = createRegtestChain({ initial_blocks: 3 });
  const taken: string[] = [];
  let failures = 2;
  const { inbox, log } = inboxOn(chain, async (event) => {
    if (named(event) === '+2' && failures-- > 0) throw new Error('the disk is full');
    taken.push(named(event));
  });
  await inbox.start(1);
  expect(taken).toEqual(['+1', '+2', '+3']);
  expect(log).toEqual(['block 2 could not be taken: the disk is full; again in 50 ms', 'block 2 could not be taken: the disk is full; again in 200 ms']);
  chain.reorg(1);
  chain.mineBlocks(2);
  await inbox.reached(4);
  expect(taken.slice(3)).toEqual(['back to 2', '+3', '+4']);
  inbox.stop();
});

it('a channel that has stopped holds up nobody, though the chain contradicts what it knows', async () => {
  const chain = createRegtestChain({ initial_blocks: 3 });
  const { alice } = opened();
  alice.decide({ type: 'ForceClose', reason: 'a test' });
  if (alice.state.phase !== 'resolving') throw new Error(alice.state.phase);
  const state: ChannelState = { ...alice.state, spend: { kind: 'local', commitment_number: 0n, txid: hash('a block that is gone'), block_height: 2, transaction: '' } };
  const stopped = { stream: 'channel-a', state, run: () => Promise.reject(new Error('channel-a: stopped')), rebroadcast: () => undefined };
  const { inbox, log } = inboxOn(chain, async () => undefined, [stopped]);
  await inbox.start(1);
  expect(inbox.height).toBe(3);
  expect(log.filter((line) => line.includes('RollBack went wrong: channel-a: stopped'))).toHaveLength(3);
  inbox.stop();
}, 30_000);

it('nothing is tried again once the inbox has stopped', async () => {
  const chain = createRegtestChain({ initial_blocks: 1 });
  let tries = 0;
  const { inbox } = inboxOn(chain, async () => {
    tries++;
    inbox.stop();
    throw new Error('the store is closed');
  });
  void inbox.start(1);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(tries).toBe(1);
});
