/** Nodes that cannot see the chain take no payment whose deadline they could miss: none of theirs, none for them, none through them. */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { msat, sat } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { confirmAll, propose } from '../../support/onchain/channel.ts';
import { type LocalWorld, startLocalWorld } from '../../support/onchain/local-world.ts';
import { type Resident, startResident } from '../../support/onchain/resident.ts';

/** Any answer is too long ago. */
const BLIND = { chainLimits: { silent_seconds: -1 } };

let world: LocalWorld;
let residents: Resident[];

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  world = startLocalWorld();
});
afterEach(async () => {
  for (const resident of residents) await resident.stop();
  await world.stop();
});

/** a - b - c, one of them blind. */
async function line(blind: number): Promise<void> {
  residents = await Promise.all(['a', 'b', 'c'].map((name, i) => startResident(world, name, i === blind ? BLIND : {})));
  const [a, b, c] = residents as [Resident, Resident, Resident];
  for (const resident of [a, b]) await world.give(resident, sat(11_000_000));
  await confirmAll(world, [await propose(world, a, b, 'static_remotekey'), await propose(world, b, c, 'static_remotekey')]);
}

async function pay(): Promise<PaymentResult> {
  const [a, , c] = residents as [Resident, Resident, Resident];
  const invoice = await c.node.createInvoice({ amount_msat: msat(50_000_000), description: 'test' });
  if (invoice.status !== 'created') throw new Error(invoice.refusal.code);
  c.release(invoice.payment_hash);
  return a.node.pay({ bolt11: invoice.bolt11, max_attempts: 2 });
}

it('the payer is told so at once', async () => {
  await line(0);
  expect(await pay()).toMatchObject({ status: 'refused', refusal: { code: 'chain_silent', detail: { limit_seconds: -1 } } });
});

it.each([['the payee', 2], ['the node in between', 1]] as const)('%s sends it back', async (_who, blind) => {
  await line(blind);
  expect(await pay()).toMatchObject({ status: 'failed', failure_name: 'temporary_node_failure' });
  for (const resident of residents) for (const { state } of resident.node.channels()) expect('commitments' in state && state.commitments.htlcs).toEqual([]);
});

it('with all eyes open it is paid', async () => {
  await line(-1);
  expect(await pay()).toMatchObject({ status: 'succeeded' });
});
