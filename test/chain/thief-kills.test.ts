/** A thief, and a victim whose process is killed with SIGKILL again and again in the middle of the penalty: on a real chain it loses everything all the same. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSigner } from '../../src/adapters/signer/local-signer.ts';
import { loadOrCreateSeed } from '../../src/adapters/signer/seed.ts';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { createHdKeys } from '../../src/adapters/wallet/hd-keys.ts';
import { ANCHOR_SAT } from '../../src/bolt/03-transactions/fees.ts';
import { CHANNEL_TYPES } from '../../src/bolt/09-features/features.ts';
import { type Hex, msat, sat } from '../../src/bolt/primitives.ts';
import { isEstablished } from '../../src/domain/channel/state.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import { runNode, type RunningNode } from '../../src/main.ts';
import type { Fuse } from '../support/doomed-store.ts';
import { type NodeProcess, startNodeProcess } from '../support/node-processes.ts';
import { followers, unspentOf } from '../support/onchain/books.ts';
import { hasTaken } from '../support/onchain/channel.ts';
import { keyFor } from '../support/onchain/coins.ts';
import { until } from '../support/onchain/patience.ts';
import { oldCommitment, thiefSweep } from '../support/onchain/thief.ts';
import { startWorld, type View, type World } from '../support/onchain/world.ts';
import { seedOf } from '../support/simulation/identities.ts';
import { describeWithLitecoind } from './with-litecoind.ts';

const NETWORK = 'bitcoin-regtest';
const policy = { to_self_delay: 30, minimum_depth: 3 };
const LONG = 280_000;
/** Appends after which the power goes, one life after the other. */
const FUSES: readonly Fuse[] = [
  { appends: 1, point: 'before' }, { appends: 1, point: 'durable' }, { appends: 2, point: 'writing' }, { appends: 3, point: 'answered' }, { appends: 4, point: 'durable' },
];

describeWithLitecoind('a victim that is killed', () => {
  let world: World;
  let dataDir: string;
  let victim: NodeProcess | undefined;
  beforeAll(async () => {
    world = await startWorld();
    dataDir = await mkdtemp(join(tmpdir(), 'fulgurite-thief-'));
  });
  afterAll(async () => {
    await victim?.kill();
    await world?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  it.each(['anchors_zero_fee_htlc_tx', 'static_remotekey'] as const)(`has the thief's whole balance though it died ${FUSES.length} times on the way (%s)`, async (format) => {
    const name = `victim ${format}`;
    const birthday = world.height;
    const thiefSeed = seedOf(`thief of ${format}`);
    const thief: RunningNode = await runNode({ name: 'thief', network: NETWORK, chain: world.view('thief').chain, seed: thiefSeed, openStore: (identity) => openMemoryStore(identity), policy, fromHeight: birthday });
    let view: View | undefined;
    const live = async (fuse?: Fuse): Promise<NodeProcess | undefined> => {
      view?.close();
      view = world.view(name);
      victim = await startNodeProcess({ name, dataDir, network: NETWORK, policy, fromHeight: birthday, ...(fuse === undefined ? {} : { fuse }) }, view.chain).catch(() => undefined);
      if (victim !== undefined) void victim.exited.then(view.close);
      return victim;
    };

    // ---- a channel with a past
    let node = (await live())!;
    await world.daemon.payMany([{ script_pubkey: await node.fundingScript(), value: sat(11_000_000) }, { script_pubkey: keyFor('nobody').script, value: sat(50_000) }]);
    await world.mine(1);
    await node.connect({ node_id: thief.node_id, host: thief.host, port: thief.port });
    await node.openChannel({ peer_id: thief.node_id, funding_satoshis: sat(10_000_000), push_msat: msat(4_000_000_000), announce: false, channel_type: CHANNEL_TYPES[format] });
    // The thief is content before the victim has sent it: what comes after the blocks would wait for ever.
    const funded = () => thief.channels().some(({ state }) => isEstablished(state) && hasTaken(world, state.funding.txid));
    await until('the funding', () => (funded() ? [] : ['a funding transaction']));
    await world.mine(policy.minimum_depth);
    await until('a usable channel', async () => (thief.channels().some(({ usable }) => usable) && (await node.channels()).some(({ usable }) => usable) ? [] : ['both ends']));
    for (let i = 0; i < 4; i++) await payThere(node, thief);
    for (let i = 0; i < 3; i++) await thief.pay({ bolt11: (await node.invoices(1, msat(900_000_000)))[0]! });
    const { stream, state } = thief.channels()[0]!;
    const newest = isEstablished(state) ? state.commitments.local.number : 0n;
    const log = await readAll(thief, stream);
    await thief.stop();
    const before = (await node.walletBalance()).total_sat;

    // ---- the theft, and the kills
    const signer = createSigner(thiefSeed, { network: NETWORK });
    const old = oldCommitment(signer, log, newest - 6n);
    const commitment = await world.send(old.transaction);
    let deaths = 0;
    for (const [i, fuse] of FUSES.entries()) {
      if (i === 0) await node.light(fuse);
      else await live(fuse);
      // A block for each life, so that there is something to write; its end is not waited for longer than it takes.
      await world.daemon.mine(1);
      await world.settled();
      await died(victim);
      deaths++;
    }
    await expect(world.send(thiefSweep(signer, old, keyFor('the thief').script)!)).rejects.toThrow(/non-BIP68-final|missingorspent|conflict/);
    node = (await live())!;
    for (let i = 0; i < 20; i++) {
      await world.mine(1);
      if ((await node.channels()).every(({ phase }) => phase === 'closed')) break;
    }

    // ---- who has what
    expect(deaths).toBe(FUSES.length);
    expect((await node.channels()).map(({ phase }) => phase)).toEqual(['closed']);
    const scripts = scriptsOf(loadOrCreateSeed(join(dataDir, name, 'seed')).seed);
    const transactions = world.transactions();
    const found = followers(commitment, transactions, { ours: scripts, theirs: scriptsOf(thiefSeed) }, 'theirs');
    const worth = transactions.get(commitment)!.outputs.reduce((sum, { value }) => (value === ANCHOR_SAT ? sum : sum + value), 0n);
    const fees = found.reduce((sum, { fee, anchors }) => sum + fee - BigInt(anchors) * ANCHOR_SAT, 0n);
    expect(found.map(({ by }) => by)).toEqual(found.map(() => 'ours'));
    expect((await node.walletBalance()).total_sat - before).toBe(worth - fees);
    expect(unspentOf(scripts, transactions)).toBe((await node.walletBalance()).total_sat);
    await node.kill();
  }, LONG);

  async function payThere(node: NodeProcess, thief: RunningNode): Promise<void> {
    const invoice = await thief.createInvoice({ amount_msat: msat(300_000_000), description: 'a past' });
    if (invoice.status !== 'created') throw new Error(invoice.refusal.code);
    const result = await node.pay({ bolt11: invoice.bolt11 });
    if (result.status !== 'succeeded') throw new Error(`the payment ${result.status}`);
  }
});

/** Its fuse ends it within a block's work; what lives on is killed where it stands. */
async function died(victim: NodeProcess | undefined): Promise<void> {
  if (victim === undefined) return; // Before it was up.
  await Promise.race([victim.exited, new Promise((resolve) => setTimeout(resolve, 500))]);
  await victim.kill();
}

async function readAll(node: RunningNode, stream: string): Promise<readonly EventEnvelope[]> {
  const events: EventEnvelope[] = [];
  for await (const envelope of node.store.read(stream)) events.push(envelope);
  return events;
}

/** The first scripts of a wallet, of both branches. */
function scriptsOf(seed: Uint8Array): ReadonlySet<Hex> {
  const keys = createHdKeys(seed, NETWORK);
  return new Set(Array.from({ length: 60 }, (_, index) => [keys.script({ branch: 'receive', index }), keys.script({ branch: 'change', index })]).flat());
}

