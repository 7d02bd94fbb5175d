/** BOLT 2, "Message Retransmission": an opening whose connection breaks, at every step: it is over for both, or goes on for both. */
import { describe, expect, it } from 'vitest';
import { createRegtestChain } from '../../src/adapters/chain/regtest.ts';
import type { Message } from '../../src/bolt/messages.ts';
import { msat, sat, type Msat } from '../../src/bolt/primitives.ts';
import { audited, Wire, Wired } from '../support/wired-nodes.ts';

const OPENING: ReadonlySet<Message['type']> = new Set<Message['type']>(['open_channel', 'accept_channel', 'funding_created', 'funding_signed', 'channel_ready', 'announcement_signatures']);

const phaseOf = ({ node }: Wired) => node.channels().at(-1)?.state.phase;
const usable = ({ node }: Wired) => node.channels().at(-1)?.usable === true;

interface Story {
  readonly zero_conf: boolean;
  readonly push_msat: Msat;
}

async function story({ zero_conf, push_msat }: Story) {
  const chain = createRegtestChain();
  const alice = await new Wired('alice', chain).start();
  const bob = await new Wired('bob', chain, { trusted_peers: [alice.node.node_id] }).start();
  await alice.fund();
  const wire = new Wire(alice, bob).connect();
  const open = () => alice.node.openChannel({ peer_id: bob.node.node_id, funding_satoshis: sat(200_000), push_msat, zero_conf });
  const mine = async (blocks: number) => {
    chain.mineBlocks(blocks);
    await chain.settled();
  };
  /** Until nothing moves, with the blocks that are waited for. */
  const finish = async (stop?: (message: Message) => boolean) => {
    for (let round = 0; round < 3; round++) {
      await wire.settle(stop);
      if (wire.next !== undefined) return;
      await mine(3);
    }
    await wire.settle(stop);
  };
  const end = async () => {
    await Promise.all([alice.stop(), bob.stop()]);
    await chain.close();
  };
  return { chain, alice, bob, wire, open, mine, finish, end };
}

const openingMessages = ({ messages }: Wire): number => messages.filter(({ type }) => OPENING.has(type)).length;

describe.each([
  ['announced after six blocks', { zero_conf: false, push_msat: msat(0) }, 7, ['nobody', 'alice', 'bob']],
  ['with money pushed', { zero_conf: false, push_msat: msat(50_000_000) }, 4, ['nobody']],
  ['used before its funding is in a block', { zero_conf: true, push_msat: msat(0) }, 7, ['nobody', 'alice', 'bob']],
] as const)('safety 20: an opening %s', (_kind, kind: Story, messages: number, who: readonly ('nobody' | 'alice' | 'bob')[]) => {
  const cuts = Array.from({ length: messages + 1 }, (_, count) => count);

  it.each(cuts.flatMap((count) => who.map((restarts) => [count, restarts] as const)))('whose connection breaks after %i messages, and %s starts again', async (count, restarts) => {
    const { alice, bob, wire, open, mine, finish, end } = await story(kind);
    await open();
    // The next one is on its way, and will be lost.
    await finish(({ type }) => OPENING.has(type) && openingMessages(wire) === count);
    expect(openingMessages(wire)).toBe(count);
    await wire.cut();
    if (restarts !== 'nobody') await { alice, bob }[restarts].restart();
    wire.connect();
    await finish();
    if (phaseOf(alice) !== 'normal') {
      // Before funding_signed has come nothing is broadcast: the coins are free, and both may begin again.
      expect(count).toBeLessThan(4);
      expect(await alice.node.wallet.balance()).toMatchObject({ reserved_sat: 0n });
      expect(alice.node.channels().map(({ state }) => state.phase).filter((phase) => phase !== 'abandoned')).toEqual([]);
      expect(['abandoned', undefined, 'resolving']).toContain(phaseOf(bob));
      await open();
      await finish();
    }
    await mine(3);
    await finish();
    expect([phaseOf(alice), phaseOf(bob), usable(alice), usable(bob)]).toEqual(['normal', 'normal', true, true]);
    expect([...alice.log, ...bob.log].filter((line) => line.includes('stopped'))).toEqual([]);
    await audited(alice, bob);
    await end();
  });
});
