/** Payments across a network of four: invoices, onions, relays, failures and retries, with pretended channels between. */
import { afterEach, describe, expect, it } from 'vitest';
import { createFaultyStore, type AppendFault } from '../../src/adapters/store/faulty.ts';
import { failureCode } from '../../src/bolt/04-onion-routing/failure-codes.ts';
import { startInvoiceTimeouts } from '../../src/commands/invoice-timeouts.ts';
import type { PaymentResult } from '../../src/commands/pay.ts';
import { link, POLICY, quietness, startTestNode, type TestNode, type World } from '../support/payment-network.ts';
import { amount, hash, paymentHashOf } from '../support/words.ts';

const NAMES = ['alice', 'bob', 'carol', 'dave'] as const;
type Network = Record<(typeof NAMES)[number], TestNode> & { readonly world: World; readonly nodes: readonly TestNode[] };

const running: TestNode[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.runner.stop()));
});

/** alice - bob - carol, and alice - dave - carol. */
async function square(faults: () => AppendFault = () => 'none'): Promise<Network> {
  const world: World = { height: 1_000, now: 1_700_000_000 };
  const wrap = (store: TestNode['store']) => createFaultyStore(store, { append: faults });
  const nodes = await Promise.all(NAMES.map((name) => startTestNode(name, world, { wrap })));
  running.push(...nodes);
  const [alice, bob, carol, dave] = nodes as [TestNode, TestNode, TestNode, TestNode];
  link(alice, bob, '1x1x0', nodes);
  link(bob, carol, '2x1x0', nodes);
  link(alice, dave, '1x2x0', nodes);
  link(dave, carol, '2x2x0', nodes);
  return { alice, bob, carol, dave, world, nodes };
}

async function invoiceOf(node: TestNode, value: number | undefined, more: { expiry?: number } = {}): Promise<string> {
  const result = await node.createInvoice({ description: 'tea', ...(value === undefined ? {} : { amount_msat: amount(value) }), ...more });
  if (result.status !== 'created') throw new Error('no invoice');
  return result.bolt11;
}

const endOf = (node: TestNode, peer: TestNode) => [...node.ends.values()].find((end) => end.stream.includes(peer.node_id))!;
const count = async (node: TestNode, type: string): Promise<number> => (await node.events()).filter((event) => event.type === type).length;
const succeeded = (result: PaymentResult) => {
  if (result.status !== 'succeeded') throw new Error(`expected success, got ${JSON.stringify(result, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`);
  return result;
};

describe('a payment that goes well', () => {
  it('reaches a peer without a fee', async () => {
    const { alice, bob, nodes } = await square();
    const result = succeeded(await alice.payments.pay({ bolt11: await invoiceOf(bob, 50_000) }));
    expect(result).toMatchObject({ amount_msat: 50_000n, fee_msat: 0n, attempts: 1 });
    await quietness(nodes);
    expect(await count(bob, 'InvoiceSettled')).toBe(1);
    for (const node of nodes) expect([node.runner.counters().parked, node.runner.counters().refused]).toEqual([0, 0]);
  });

  it('is relayed for a fee, and the relay earns it', async () => {
    const { alice, bob, carol, dave, nodes } = await square();
    const result = succeeded(await alice.payments.pay({ bolt11: await invoiceOf(carol, 1_000_000) }));
    expect(result.fee_msat).toBe(BigInt(POLICY.fee_base_msat) + 100n);
    await quietness(nodes);
    const relayed = (await Promise.all([bob, dave].map((node) => count(node, 'RelayFulfilled')))).reduce((a, b) => a + b);
    expect(relayed).toBe(1);
  });

  it('many at once, each of them once', async () => {
    const { alice, carol, nodes } = await square();
    const invoices = await Promise.all(Array.from({ length: 40 }, () => invoiceOf(carol, 10_000)));
    const results = await Promise.all(invoices.map((bolt11) => alice.payments.pay({ bolt11 })));
    expect(results.map(succeeded)).toHaveLength(40);
    await quietness(nodes);
    expect(await count(carol, 'InvoiceSettled')).toBe(40);
    expect(await count(alice, 'UpdateAddHtlcSent')).toBe(40);
  });

  it('of an open amount needs one', async () => {
    const { alice, bob } = await square();
    const bolt11 = await invoiceOf(bob, undefined);
    expect(await alice.payments.pay({ bolt11 })).toMatchObject({ status: 'refused', refusal: { code: 'amount_missing' } });
    succeeded(await alice.payments.pay({ bolt11, amount_msat: amount(7) }));
  });
});

describe('a payment that is not made', () => {
  it('of an invoice that is paid already', async () => {
    const { alice, bob } = await square();
    const bolt11 = await invoiceOf(bob, 5_000);
    succeeded(await alice.payments.pay({ bolt11 }));
    expect(await alice.payments.pay({ bolt11 })).toMatchObject({ status: 'refused', refusal: { code: 'already_paid' } });
    expect(await count(alice, 'UpdateAddHtlcSent')).toBe(1);
  });

  it('twice by the same command', async () => {
    const { alice, bob } = await square();
    const request = { bolt11: await invoiceOf(bob, 5_000), command_id: hash('the user pressed twice') };
    const [one, two] = await Promise.all([alice.payments.pay(request), alice.payments.pay(request)]);
    expect(succeeded(one)).toEqual(succeeded(two));
    expect(await count(alice, 'PaymentStarted')).toBe(1);
  });

  it('by two at once', async () => {
    const { alice, bob } = await square();
    const bolt11 = await invoiceOf(bob, 5_000);
    const results = await Promise.all([alice.payments.pay({ bolt11 }), alice.payments.pay({ bolt11 })]);
    expect(results.map((result) => result.status).sort()).toEqual(['refused', 'succeeded']);
  });

  it.each([
    ['gibberish', 'lnbcrt1nonsense'],
    ['an invoice of another chain', 'lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql'],
  ])('of %s, and the reason is told', async (_, bolt11) => {
    const { alice } = await square();
    const result = await alice.payments.pay({ bolt11 });
    expect(result).toMatchObject({ status: 'refused', refusal: { detail: { reason: expect.any(String) } } });
  });

  it('of our own invoice', async () => {
    const { alice } = await square();
    expect(await alice.payments.pay({ bolt11: await invoiceOf(alice, 5_000) })).toMatchObject({ status: 'failed', code: 'no_route', reason: 'the invoice is our own' });
  });

  it('of another amount than asked', async () => {
    const { alice, bob } = await square();
    const result = await alice.payments.pay({ bolt11: await invoiceOf(bob, 5_000), amount_msat: amount(4_000) });
    expect(result).toMatchObject({ status: 'refused', refusal: { code: 'amount_differs', detail: { asked_msat: 5_000n, given_msat: 4_000n } } });
  });
});

describe('a payment that meets a failure', () => {
  it('goes round by another way', async () => {
    const { alice, bob, carol, dave, nodes } = await square();
    for (const relay of [bob, dave]) endOf(relay, carol).usable = relay === dave;
    const result = succeeded(await alice.payments.pay({ bolt11: await invoiceOf(carol, 20_000) }));
    await quietness(nodes);
    expect(result.attempts).toBe(1 + (await count(alice, 'AttemptFailed')));
    expect(await count(dave, 'RelayFulfilled')).toBe(1);
  });

  it('ends, and names the node and the failure, when there is none', async () => {
    const { alice, bob, carol, dave } = await square();
    for (const relay of [bob, dave]) endOf(relay, carol).usable = false;
    const result = await alice.payments.pay({ bolt11: await invoiceOf(carol, 20_000) });
    expect(result).toMatchObject({ status: 'failed', code: 'no_route', failure_name: 'temporary_channel_failure', failure_code: failureCode('temporary_channel_failure'), attempts: 2 });
    expect([bob.node_id, dave.node_id]).toContain((result as { erring_node: string }).erring_node);
  });

  it('ends when the payee does not know it', async () => {
    const { alice, carol, world } = await square();
    const bolt11 = await invoiceOf(carol, 20_000, { expiry: 60 });
    // Carol's clock runs ahead: for her the invoice has expired when the HTLC comes.
    const paying = alice.payments.start({ bolt11 });
    await paying;
    world.now += 3_600;
    const started = await paying;
    const result = await alice.payments.ended((started as { payment_id: ReturnType<typeof hash> }).payment_id);
    expect(result).toMatchObject({ status: 'failed', code: 'refused_by_payee', failure_name: 'incorrect_or_unknown_payment_details', erring_node: carol.node_id });
  });

  it('may be tried again by the user', async () => {
    const { alice, bob, carol, dave } = await square();
    const ends = [bob, dave].map((relay) => endOf(relay, carol));
    for (const end of ends) end.usable = false;
    const bolt11 = await invoiceOf(carol, 20_000);
    expect((await alice.payments.pay({ bolt11 })).status).toBe('failed');
    for (const end of ends) end.usable = true;
    expect(succeeded(await alice.payments.pay({ bolt11 })).attempts).toBe(1);
  });

  it('takes another channel when our own declines', async () => {
    const { alice, bob, dave, carol } = await square();
    for (const peer of [bob, dave]) endOf(alice, peer).decline = { code: 'too_many_htlcs', failure_code: failureCode('temporary_channel_failure') };
    const result = await alice.payments.pay({ bolt11: await invoiceOf(carol, 20_000) });
    expect(result).toMatchObject({ status: 'failed', attempts: 2, reason: expect.stringContaining('too_many_htlcs') });
    endOf(alice, dave).decline = undefined;
    succeeded(await alice.payments.pay({ bolt11: await invoiceOf(carol, 20_000) }));
  });

  it('ends though the answer cannot be read', async () => {
    const { alice, bob, carol, dave } = await square();
    for (const relay of [bob, dave]) {
      endOf(relay, carol).usable = false;
      endOf(alice, relay).garble = true;
    }
    const result = await alice.payments.pay({ bolt11: await invoiceOf(carol, 20_000) });
    expect(result).toMatchObject({ status: 'failed', failure_name: 'unreadable', attempts: 2 });
  });

  it('does not wait for a channel that is no longer there', async () => {
    const { alice, bob, carol, dave } = await square();
    const bolt11 = await invoiceOf(carol, 20_000);
    const vanished = [bob, dave].map((relay) => endOf(relay, carol).stream);
    // The relay finds the channel when it decides, and misses it when it offers.
    for (const [index, relay] of [bob, dave].entries()) {
      const end = relay.ends.get(vanished[index]!)!;
      relay.ends.set(vanished[index]!, end);
      relay.ends.get = (stream) => (stream === vanished[index] ? undefined : Map.prototype.get.call(relay.ends, stream) as typeof end | undefined);
    }
    expect(await alice.payments.pay({ bolt11 })).toMatchObject({ status: 'failed', failure_name: 'unknown_next_peer', attempts: 2 });
  });
});

describe('a set of HTLCs that stays incomplete', () => {
  it('is given back after a minute', async () => {
    const { alice, bob, world, nodes } = await square();
    const created = await bob.createInvoice({ amount_msat: amount(10_000), description: 'two parts' });
    if (created.status !== 'created') throw new Error('no invoice');
    const { payment_hash } = created;
    const half = {
      channel: endOf(bob, alice).stream, htlc_id: 77n, amount_msat: amount(5_000), cltv_expiry: 1_100, amt_to_forward: amount(5_000), outgoing_cltv_value: 1_100, total_msat: amount(10_000),
      payment_secret_hash: ((await bob.quiet.invoices.state(`invoice-${payment_hash}`)) as { terms: { payment_secret_hash: ReturnType<typeof hash> } }).terms.payment_secret_hash,
    };
    const cause = { command_id: hash('half'), correlation_id: hash('half') };
    await bob.dispatch(`invoice-${payment_hash}`, { type: 'AcceptInvoiceHtlc', htlc: half }, cause);
    const timeouts = startInvoiceTimeouts({ store: bob.store, quiet: bob.quiet, now: () => world.now, entropy: () => new Uint8Array(32).fill(world.now & 0xff), every_ms: 1e9 });
    await bob.runner.settled();
    world.now += 59;
    await timeouts.tick();
    expect(await count(bob, 'InvoiceHtlcRefused')).toBe(0);
    world.now += 1;
    await timeouts.tick();
    await timeouts.tick();
    expect(await count(bob, 'InvoiceHtlcRefused')).toBe(1);
    timeouts.stop();
    await quietness(nodes);
  });
});

describe('a store that fails now and then', () => {
  it('delays, and neither doubles nor loses', async () => {
    let asked = 0;
    const faults: readonly AppendFault[] = ['none', 'lost_answer', 'none', 'lost_request', 'conflict', 'late', 'none', 'full'];
    // Channels and payments alike meet every kind of fault; the pretended channel itself does not retry, so its appends are spared.
    const { alice, carol, nodes } = await square(() => (isQuiet() ? faults[asked++ % faults.length]! : 'none'));
    const invoices = [];
    for (let n = 0; n < 12; n++) invoices.push(await retried(() => invoiceOf(carol, 10_000)));
    enabled = true;
    const results = await Promise.all(invoices.map((bolt11, n) => retried(() => alice.payments.pay({ bolt11, command_id: hash(`payment ${n}`) }))));
    await quietness(nodes);
    enabled = false;
    expect(results.map(succeeded)).toHaveLength(12);
    expect(await count(carol, 'InvoiceSettled')).toBe(12);
    expect(await count(alice, 'PaymentSucceeded')).toBe(12);
    expect(asked).toBeGreaterThan(30);
  });

  let enabled = false;
  /** Whether the append comes from the executor: the pretended channel has no retries of its own. */
  const isQuiet = (): boolean => enabled && (new Error('who asks?').stack ?? '').includes('execute.ts');

  async function retried<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (tries === 20) throw error;
      }
    }
  }
});

describe('names', () => {
  it('a payment is found again by its id', async () => {
    const { alice } = await square();
    expect(await alice.payments.ended(paymentHashOf('never paid'))).toBeUndefined();
  });
});
