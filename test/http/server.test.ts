/** The HTTP API over two nodes' logs: now and in the past, page by page, event by event, and every refusal with a reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import { forceClose, named, openPair, pay, writeLog, type ChannelPair } from '../support/audited-pair.ts';

let pair: ChannelPair;
let stores: Record<'alice' | 'bob', LogStore>;
let server: HttpServer;

beforeAll(async () => {
  await chooseCryptoBackend();
  pair = openPair();
  pay(pair, pair.alice, 20_000_000n, 'first');
  pay(pair, pair.bob, 5_000_000n, 'second');
  pay(pair, pair.alice, 1_000_000n, 'refused', 'failed');
  stores = { alice: await writeLog(pair.alice), bob: await writeLog(pair.bob) };
  server = await createHttpServer({
    nodes: [
      { name: 'alice', node_id: pair.alice.signer.nodeId, store: stores.alice },
      { name: 'bob', node_id: pair.bob.signer.nodeId, store: stores.bob },
    ],
  });
});

afterAll(async () => {
  await server.close();
  await Promise.all([stores.alice.close(), stores.bob.close()]);
});

async function get(url: string, headers: Record<string, string> = {}) {
  const response = await server.app.inject({ url, headers });
  return { status: response.statusCode, type: response.headers['content-type'], body: response.json() };
}

describe('GET /healthz', () => {
  it('answers ok, with each node\'s place in its log', async () => {
    const { status, body } = await get('/healthz');
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'ok', nodes: [{ node: 'alice', store: 'memory' }, { node: 'bob' }] });
  });
});

describe('GET /v1/channels', () => {
  it('gives one row per channel and node, amounts as decimal strings that sum to the capacity', async () => {
    const { body } = await get('/v1/channels');
    expect(body.channels).toHaveLength(2);
    for (const row of body.channels) {
      const parts = [row.local_msat, row.remote_msat, row.offered_msat, row.received_msat].map(BigInt);
      expect(parts.reduce((sum, part) => sum + part, 0n)).toBe(BigInt(row.capacity_sat) * 1000n);
    }
    expect(body.channels[0]).toMatchObject({ node: 'alice', phase: 'normal', role: 'opener', channel_type: 'anchors_zero_fee_htlc_tx', local_msat: '885000000', remote_msat: '115000000', htlcs: [] });
    expect(body.channels[1]).toMatchObject({ node: 'bob', role: 'accepter', local_msat: '115000000' });
  });

  it('takes one node by name or node_id', async () => {
    expect((await get('/v1/channels?node=bob')).body.channels).toHaveLength(1);
    expect((await get(`/v1/channels?node=${pair.bob.signer.nodeId}`)).body.channels[0].node).toBe('bob');
  });

  it('answers for a position of the past, with the HTLC that was in flight then', async () => {
    const added = await positionOf(stores.alice, 'UpdateAddHtlcSent');
    const { body } = await get(`/v1/channels?node=alice&as_of=${added}`);
    expect(body.as_of).toMatchObject([{ node: 'alice', position: String(added) }]);
    expect(body.channels[0]).toMatchObject({ local_msat: '880000000', offered_msat: '20000000', htlcs: [{ direction: 'offered', id: '0', amount_msat: '20000000', state: 'SENT_ADD_HTLC' }] });
  });

  it('answers for a time, of all nodes', async () => {
    const { body } = await get('/v1/channels?as_of=2025-12-31T00:00:00Z');
    expect(body.channels).toEqual([]);
    expect((await get('/v1/channels?as_of=2026-02-01')).body.channels).toHaveLength(2);
  });

  it('takes a position of each log for itself', async () => {
    expect((await get('/v1/channels?as_of=1')).body.as_of).toMatchObject([{ node: 'alice', position: '1' }, { node: 'bob', position: '1' }]);
  });

  it('gives pages', async () => {
    const first = (await get('/v1/channels?limit=1')).body;
    expect(first.channels).toHaveLength(1);
    const second = (await get(`/v1/channels?limit=1&after=${encodeURIComponent(first.next)}`)).body;
    expect(second.channels[0].node).toBe('bob');
    expect(second.next).toBeUndefined();
  });
});

describe('GET /v1/balances', () => {
  it('sums what each node owns', async () => {
    const { body } = await get('/v1/balances');
    expect(body.balances[0]).toMatchObject({ node: 'alice', totals: { local_msat: '885000000', owned_msat: '885000000', wallet_sat: '0' } });
    expect(body.balances[1]).toMatchObject({ node: 'bob', totals: { local_msat: '115000000' } });
  });

  it('knows every balance of the past: an amount offered is still ours', async () => {
    const added = await positionOf(stores.alice, 'UpdateAddHtlcSent');
    const { body } = await get(`/v1/balances?node=alice&as_of=${added}`);
    expect(body.balances[0].totals).toMatchObject({ local_msat: '880000000', offered_msat: '20000000', owned_msat: '900000000' });
  });
});

describe('GET /v1/payments', () => {
  it('gives the newest first, each with its attempts, and why one failed', async () => {
    const { body } = await get('/v1/payments?node=alice');
    expect(body.payments).toHaveLength(2);
    expect(body.payments[0]).toMatchObject({ status: 'failed', failure: { failure_code: 0x400f, failure_name: 'incorrect_or_unknown_payment_details' }, attempts: [{ status: 'failed' }] });
    expect(body.payments[1]).toMatchObject({ status: 'succeeded', amount_msat: '20000000', fee_msat: '0', attempts: [{ status: 'succeeded' }] });
    expect(body.totals[0]).toEqual({ node: 'alice', payments_succeeded: 1, payments_failed: 1, sent_msat: '20000000', fees_paid_msat: '0' });
  });

  it('knows a payment as it was in flight', async () => {
    const planned = await positionOf(stores.alice, 'AttemptPlanned');
    const { body } = await get(`/v1/payments?node=alice&as_of=${planned}`);
    expect(body.payments).toMatchObject([{ status: 'in_flight', attempts: [{ status: 'in_flight' }] }]);
  });

  it('invoices and relays have lists of their own', async () => {
    expect((await get('/v1/invoices?node=bob')).body).toMatchObject({ totals: [{ invoices_settled: 1, received_msat: '20000000' }] });
    expect((await get('/v1/relays')).body).toMatchObject({ relays: [], totals: [{ relays_fulfilled: 0 }, {}] });
  });
});

describe('GET /v1/events', () => {
  it('gives the whole log without gap, whatever the page size', async () => {
    const seen: string[] = [];
    let after = '';
    for (let more = true; more; ) {
      const { body } = await get(`/v1/events?node=alice&limit=7${after === '' ? '' : `&after=${after}`}`);
      seen.push(...body.events.map((event: { position: string }) => event.position));
      ({ next: after, more } = body);
    }
    const head = (await stores.alice.head())!;
    expect(seen).toEqual(Array.from({ length: Number(head) + 1 }, (_, position) => String(position)));
  });

  it('gives the logs of all nodes under one cursor', async () => {
    const { body } = await get('/v1/events?limit=1000');
    expect(new Set(body.events.map((event: { node: string }) => event.node))).toEqual(new Set(['alice', 'bob']));
    expect(body.next).toBe(`alice:${await stores.alice.head()},bob:${await stores.bob.head()}`);
    expect((await get(`/v1/events?after=${body.next}`)).body).toMatchObject({ events: [], more: false, next: body.next });
  });

  it('filters by type and by stream, and moves on all the same', async () => {
    const { body } = await get('/v1/events?node=bob&type=InvoiceSettled,FundingConfirmed');
    expect(body.events.map((event: { type: string }) => event.type)).toEqual(['FundingConfirmed', 'InvoiceSettled']);
    expect(body.next).toBe(String(await stores.bob.head()));
    expect((await get('/v1/events?node=bob&stream=node')).body.events).toHaveLength(1);
  });

  it('is a stream of events for who accepts one, from Last-Event-ID on, and goes on with the log', async () => {
    const url = await server.listen({ port: 0 });
    const abort = new AbortController();
    const head = (await stores.bob.head())!;
    const response = await fetch(`${url}/v1/events?node=bob`, { headers: { accept: 'text/event-stream', 'last-event-id': String(head - 1n) }, signal: abort.signal });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const until = async (pattern: RegExp) => {
      while (!pattern.test(text)) text += (await reader.read()).value ?? '';
    };
    await until(new RegExp(`id: ${head}\n`));
    const command_id = named('a later fact');
    await stores.bob.append('node', 0n, [{ type: 'NodeStarted', version: '0', crypto_backend: 'none' }], { command_id, correlation_id: command_id });
    await until(new RegExp(`id: ${head + 1n}\nevent: NodeStarted\ndata: {`));
    expect(text.match(/^id: /gm)).toHaveLength(2);
    abort.abort();
  });
});

describe('a request that cannot be answered', () => {
  it.each([
    ['/v1/channels?node=mallory', 404, 'unknown_node'],
    ['/v1/channels?as_of=yesterday', 400, 'invalid_parameter'],
    ['/v1/balances?as_of=99999', 400, 'position_out_of_range'],
    ['/v1/channels?node=alice&as_of=99999', 400, 'position_out_of_range'],
    ['/v1/channels?limit=1001', 400, 'invalid_parameter'],
    ['/v1/channels?limit=0', 400, 'invalid_parameter'],
    ['/v1/channels?colour=red', 400, 'invalid_parameter'],
    ['/v1/channels?after=nobody', 400, 'unknown_cursor'],
    ['/v1/events?type=Nonsense', 400, 'invalid_parameter'],
    ['/v1/events?after=carol:5', 400, 'invalid_cursor'],
    ['/v1/events?node=alice&after=x', 400, 'invalid_cursor'],
    ['/v1/nothing', 404, 'not_found'],
  ])('%s: %i %s, as a problem with its values', async (url, expected, code) => {
    const { status, type, body } = await get(url);
    expect({ status, code: body.code }).toEqual({ status: expected, code });
    expect(type).toContain('application/problem+json');
    expect(body).toMatchObject({ type: `urn:fulgurite:problem:${code}`, status: expected });
    expect(body.detail).toContain('got');
  });

  it('is told that the API only reads', async () => {
    const response = await server.app.inject({ method: 'POST', url: '/v1/channels', payload: {} });
    expect(response.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
  });

  it('is refused under a foreign host name', async () => {
    expect((await get('/v1/channels', { host: 'evil.example:8750' })).body).toMatchObject({ status: 403, code: 'host_not_allowed' });
    expect((await get('/v1/channels', { host: '127.0.0.1:8750' })).status).toBe(200);
  });
});

describe('a channel that ended', () => {
  it('keeps its whole story, its reason, and what is left to sweep', async () => {
    const other = openPair();
    pay(other, other.alice, 20_000_000n, 'first');
    forceClose(other, other.alice);
    const store = await writeLog(other.alice);
    const own = await createHttpServer({ nodes: [{ name: 'alice', node_id: other.alice.signer.nodeId, store }] });
    const closed = (await own.app.inject('/v1/channels')).json();
    expect(closed.channels[0]).toMatchObject({ phase: 'closed', local_msat: '0', to_sweep_sat: '0', close: { by: 'user', code: 'force_closed_by_user', kind: 'local', block_height: 130 } });
    const spent = await positionOf(store, 'FundingSpent');
    const then = (await own.app.inject(`/v1/balances?as_of=${spent}`)).json();
    expect(BigInt(then.balances[0].totals.to_sweep_sat)).toBeGreaterThan(870_000n);
    await own.close();
    await store.close();
  });
});

describe('the description', () => {
  it('is OpenAPI 3.1, names every route, and is shown at /docs', async () => {
    const { body } = await get('/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths).toSorted()).toEqual(['/healthz', '/v1/balances', '/v1/channels', '/v1/events', '/v1/fees', '/v1/invoices', '/v1/payments', '/v1/relays']);
    expect(body.components.schemas).toHaveProperty('Channel');
    expect((await server.app.inject('/docs')).statusCode).toBe(200);
  });
});

async function positionOf(store: LogStore, type: string): Promise<bigint> {
  for await (const { event, position } of store.readAll()) if (event.type === type) return position;
  throw new Error(`no ${type} in the log`);
}
