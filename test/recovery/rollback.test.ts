/** Safety 29: a log that was put back, or lost, never signs; the peers close, and the money comes back on chain. Whole nodes, real files, an in-process chain. */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import type { Message } from '../../src/bolt/messages.ts';
import { parseTx } from '../../src/bolt/03-transactions/tx-parse.ts';
import { msat } from '../../src/bolt/primitives.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import { startNode, type NodeOptions, type RunningNode } from '../../src/main.ts';
import { openChannelBetween, payMany, startPair, until } from '../support/node-pair.ts';

let folder: string;
let chain: RegtestChain;
let nodes: RunningNode[];
let said: { readonly way: 'sent' | 'received'; readonly message: Message }[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulgurite-rollback-'));
  chain = createRegtestChain();
  nodes = [];
  said = [];
});

afterEach(async () => {
  for (const node of nodes) await node.stop().catch(() => undefined);
  await chain.close();
  rmSync(folder, { recursive: true, force: true });
});

/** sat. */
const ANCHOR = 330n;
const LOG = ['log.sqlite', 'log.sqlite-wal', 'log.sqlite-shm', 'log.sqlite-tail', 'checkpoint'];
const alices = (file: string): string => join(folder, 'alice', file);

function copyLog(to: string): void {
  for (const file of LOG) if (existsSync(alices(file))) cpSync(alices(file), join(folder, to, file), { recursive: true });
}

function putBack(from: string): void {
  for (const file of LOG) {
    rmSync(alices(file), { force: true });
    if (existsSync(join(folder, from, file))) cpSync(join(folder, from, file), alices(file));
  }
}

const start = async (name: string, options: Partial<NodeOptions> = {}): Promise<RunningNode> => {
  const node = await startNode({ name, dataDir: folder, network: 'bitcoin-regtest', chain, onMessage: (way, _peer, message) => said.push({ way, message }), ...options });
  nodes.push(node);
  return node;
};

/** A channel that both have paid over: alice has `sent` out of 2,000,000 sat less. */
async function payingPair(): Promise<{ alice: RunningNode; bob: RunningNode }> {
  const { alice, bob } = await startPair(chain, folder);
  nodes.push(alice, bob);
  await openChannelBetween(chain, alice, bob);
  await payMany(alice, bob, 1, 1, msat(5_000_000_000n));
  await payMany(alice, bob, 2, 1);
  return { alice, bob };
}

const balanceOf = (node: RunningNode): bigint => {
  const { state } = node.channels()[0]!;
  if (!isEstablished(state)) throw new Error(state.phase);
  return state.commitments.local_msat / 1000n;
};

const htlcsOf = (node: RunningNode): number => node.channels().flatMap(({ state }) => (isEstablished(state) ? state.commitments.htlcs : [])).length;

const stopped = async (node: RunningNode): Promise<void> => {
  await node.stop();
  nodes.splice(nodes.indexOf(node), 1);
};

async function mineUntil(what: string, condition: () => boolean): Promise<void> {
  for (let blocks = 0; blocks < 400 && !condition(); blocks++) {
    chain.mineBlocks(1);
    await chain.settled();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  if (!condition()) throw new Error(`within 400 blocks: ${what}`);
}

describe('a log that is older than what the node did', () => {
  it('safety 29: a stale log is put back: nothing is signed, the peer closes, and alice sweeps to_remote', async () => {
    const { alice, bob } = await payingPair();
    await stopped(alice);
    copyLog('old');
    const again = await start('alice');
    await again.connect(bob);
    await until('the channel is usable', () => again.channels()[0]!.usable && bob.channels()[0]!.usable);
    await payMany(again, bob, 5, 1);
    await payMany(bob, again, 1, 1);
    await until('no payment is on its way', () => [again, bob].every((node) => htlcsOf(node) === 0));
    const owed = balanceOf(again);
    await stopped(again);
    putBack('old');

    said.length = 0;
    const stale = await start('alice');
    expect(stale.recovery()).toMatchObject({ code: 'log_behind_marks', left: [{ peer_id: bob.node_id, waits_for: 'peer_to_close' }] });
    expect(balanceOf(stale), 'what the old log believes').not.toBe(owed);
    await expect(stale.pay({ bolt11: 'lnbcrt1' })).rejects.toMatchObject({ code: 'recovery_only' });
    await expect(stale.createInvoice({ description: 'no' })).rejects.toMatchObject({ code: 'recovery_only' });
    await expect(stale.openChannel({ peer_id: bob.node_id, funding_satoshis: 100_000n as never })).rejects.toMatchObject({ code: 'recovery_only' });

    await stale.connect(bob);
    await until('bob publishes his commitment', () => chain.mempool().length > 0);
    const { state } = bob.channels()[0]!;
    expect(state).toMatchObject({ phase: 'resolving' });
    const sentByAlice = said.filter(({ way }) => way === 'sent').map(({ message }) => message.type);
    expect(sentByAlice).toContain('channel_reestablish');
    expect(sentByAlice).toContain('error');
    for (const signed of ['commitment_signed', 'revoke_and_ack', 'update_add_htlc']) expect(sentByAlice).not.toContain(signed);

    const before = (await stale.wallet.balance()).total_sat;
    await mineUntil('alice has nothing left to wait for', () => stale.recovery()!.left.length === 0);
    const spend = stale.channels()[0]!.state;
    expect(spend).toMatchObject({ phase: 'closed', spend: { kind: 'future' } });
    const outputs = parseTx((spend as { spend: { transaction: string } }).spend.transaction).outputs.map(({ value }) => value);
    // She opened: the commitment's fee and both anchors are hers.
    const costs = 200_000_000n - outputs.reduce((sum, value) => sum + value, 0n) + 2n * ANCHOR;
    expect(outputs, "alice's part of bob's newest commitment, not of the one that her log knows").toContain(owed - costs);
    const gained = (await stale.wallet.balance()).total_sat - before;
    expect(owed - costs - gained, 'the fee of her sweep').toBeLessThan(1_000n);
    expect(gained).toBeLessThan(owed - costs);
  }, 60_000);
});
