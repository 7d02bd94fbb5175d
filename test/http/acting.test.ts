/** The routes that act: who may use them, what they understand, how a refusal reads, and that a wish sent twice is done once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../src/adapters/store/memory.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { point, sat, type Hex32 } from '../../src/bolt/primitives.ts';
import { ControlRefusal, type ControlledNode, type OpenWish, type PaymentWish, type SendWish } from '../../src/http/control.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import { logOptions, openPair } from '../support/audited-pair.ts';

const TOKEN = 'a-token-of-more-than-thirty-two-characters';
const peer_id = `02${'ab'.repeat(32)}`;
const payment_id = 'cd'.repeat(32) as Hex32;

let server: HttpServer;
let asked: { opens: OpenWish[]; payments: PaymentWish[]; closes: unknown[]; sends: SendWish[]; stops: number };
/** What the node answers next, where a test wants something else. */
let next: Partial<ControlledNode>;

const fake = (): ControlledNode => ({
  node_id: point(peer_id),
  info: async () => { throw new Error('a bug with the secret 1234 in it'); },
  peers: () => [{ node_id: point(peer_id), channels: ['channel-x-0'] }],
  connect: async () => { throw new ControlRefusal('unreachable', 'connect_failed', 'connect_failed: 127.0.0.1:1: refused'); },
  disconnect: () => undefined,
  openChannel: async (wish) => `channel-x-${asked.opens.push(wish)}`,
  closeChannel: async (...args) => void asked.closes.push(args),
  channel: async () => undefined,
  channelsNamed: (name) => (name === 'two' ? ['channel-x-0', 'channel-x-1'] : name === 'one' ? ['channel-x-0'] : []),
  createInvoice: async () => ({ bolt11: 'lnbcrt1', payment_hash: payment_id, expires_at: 1_800_000_000 }),
  startPayment: async (wish) => {
    asked.payments.push(wish);
    return { payment_id, payment_hash: payment_id };
  },
  paymentEnded: async () => undefined,
  decode: () => { throw new ControlRefusal('invalid', 'no_separator', 'no_separator: expected a 1, got none'); },
  newAddress: async () => 'bcrt1q',
  wallet: async () => { throw new ControlRefusal('unavailable', 'store_closed', 'the store is closed'); },
  sendCoins: async (wish) => {
    asked.sends.push(wish);
    return { txid: payment_id, amount_sat: wish.amount_sat, fee_satoshis: sat(141) };
  },
  stop: () => void asked.stops++,
});

beforeAll(async () => {
  await chooseCryptoBackend();
  const { alice } = openPair();
  const control = new Proxy(fake(), { get: (target, name) => Reflect.get(next, name) ?? Reflect.get(target, name) });
  asked = { opens: [], payments: [], closes: [], sends: [], stops: 0 };
  next = {};
  server = await createHttpServer({ nodes: [{ name: 'alice', node_id: alice.signer.nodeId, store: await openMemoryStore(logOptions(alice)) }], control, token: TOKEN });
});
afterAll(() => server.close());

async function call(method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object | string, headers: Record<string, string> = {}) {
  const response = await server.app.inject({ method, url, payload, headers: { authorization: `Bearer ${TOKEN}`, ...headers } });
  return { status: response.statusCode, type: response.headers['content-type'], body: response.json() };
}
const post = (url: string, payload: object | string = {}, headers?: Record<string, string>) => call('POST', url, payload, headers);

describe('the token', () => {
  it('is asked for, for everything but health', async () => {
    for (const url of ['/v1/channels', '/v1/info', '/openapi.json', '/docs', '/v1/nothing', '/healthz/x']) {
      const response = await server.app.inject(url);
      expect({ url, status: response.statusCode, code: response.json().code }).toEqual({ url, status: 401, code: 'token_required' });
      expect(response.headers['www-authenticate']).toBe('Bearer');
    }
    expect((await server.app.inject('/healthz')).statusCode).toBe(200);
    expect((await server.app.inject('/healthz?x=1')).statusCode).not.toBe(401);
  });

  it.each([`Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, TOKEN, 'Bearer', ''])('is not "%s"', async (authorization) => {
    const response = await server.app.inject({ url: '/v1/channels', headers: { authorization } });
    expect(response.statusCode).toBe(401);
    expect(response.body).not.toContain(TOKEN.slice(1));
  });

  it('opens what reads, too', async () => {
    expect((await call('GET', '/v1/channels')).status).toBe(200);
  });
});

describe('a body', () => {
  it('takes amounts as text and as numbers', async () => {
    for (const funding_satoshis of ['250000', 250_000]) expect((await post('/v1/channels', { peer_id, funding_satoshis, push_msat: '1' })).status).toBe(202);
    expect(asked.opens.map(({ funding_satoshis, push_msat }) => [funding_satoshis, push_msat])).toEqual([[250_000n, 1n], [250_000n, 1n]]);
  });

  it.each([
    ['/v1/channels', { peer_id, funding_satoshis: '1.5' }, 'funding_satoshis'],
    ['/v1/channels', { peer_id, funding_satoshis: -1 }, 'funding_satoshis'],
    ['/v1/channels', { peer_id, funding_satoshis: 2 ** 60 }, 'funding_satoshis'],
    ['/v1/channels', { peer_id: 'bob', funding_satoshis: '1' }, 'peer_id'],
    ['/v1/channels', { peer_id, funding_satoshis: '1', colour: 'red' }, 'colour'],
    ['/v1/channels', { peer_id, funding_satoshis: '1', channel_type: 'taproot' }, 'channel_type'],
    ['/v1/channels', [], 'body'],
    ['/v1/wallet/send', { address: 'bcrt1q', amount_sat: '1.5' }, 'amount_sat'],
    ['/v1/wallet/send', { address: 'bcrt1q', amount_sat: '1', feerate_per_kw: 252 }, 'feerate_per_kw'],
    ['/v1/payments', {}, 'bolt11'],
    ['/v1/payments', { bolt11: 'x', wait_seconds: 9999 }, 'wait_seconds'],
    ['/v1/invoices', { description: 7 }, 'description'],
    ['/v1/peers', { address: '' }, 'address'],
  ])('%s %j is refused, with the field that is wrong', async (url, payload, field) => {
    const { status, type, body } = await post(url, payload as object);
    expect({ status, code: body.code }).toEqual({ status: 400, code: 'invalid_body' });
    expect(type).toContain('application/problem+json');
    expect(body.detail).toContain(field);
    expect(body.detail).toContain('got');
  });

  it('that is no JSON, or too long, is refused', async () => {
    expect(await post('/v1/decode', '{"bolt11":', { 'content-type': 'application/json' })).toMatchObject({ status: 400 });
    expect(await post('/v1/decode', JSON.stringify({ bolt11: 'x'.repeat(20_000) }), { 'content-type': 'application/json' })).toMatchObject({ status: 413 });
    expect(await post('/v1/decode', 'x', { 'content-type': 'text/html' })).toMatchObject({ status: 415 });
  });

  it('is not needed where everything has a default', async () => {
    expect(await call('POST', '/v1/addresses', {})).toMatchObject({ status: 201, body: { address: 'bcrt1q' } });
    expect(await call('POST', '/v1/channels/one/close', {})).toMatchObject({ status: 202, body: { channel: 'channel-x-0' } });
    expect(asked.closes).toEqual([['channel-x-0', { force: false }]]);
  });

  it('of a close may name its feerate and where our part goes', async () => {
    const wish = { feerate_per_kw: 2_500, to: 'bcrt1qelsewhere' };
    expect(await call('POST', '/v1/channels/one/close', wish)).toMatchObject({ status: 202 });
    expect(asked.closes.at(-1)).toEqual(['channel-x-0', { force: false, ...wish }]);
  });

  it.each([
    [{ feerate_per_kw: 252 }, 'feerate_per_kw'], [{ feerate_per_kw: 'fast' }, 'feerate_per_kw'], [{ to: '' }, 'to'], [{ address: 'bcrt1q' }, 'address'],
    [{ force: true, feerate_per_kw: 2_500 }, 'without force'], [{ force: true, to: 'bcrt1q' }, 'without force'],
  ])('of a close as %j is refused', async (wish, named) => {
    const before = asked.closes.length;
    const { status, body } = await call('POST', '/v1/channels/one/close', wish);
    expect(status).toBe(400);
    expect(body.detail).toContain(named);
    expect(asked.closes).toHaveLength(before);
  });
});

describe('a refusal', () => {
  it.each([
    ['POST', '/v1/peers', { address: `${peer_id}@127.0.0.1:1` }, 502, 'connect_failed'],
    ['POST', '/v1/peers', { address: 'bob@127.0.0.1' }, 400, 'invalid_address'],
    ['POST', '/v1/peers', { address: `${peer_id}@127.0.0.1:99999` }, 400, 'invalid_address'],
    ['POST', '/v1/decode', { bolt11: 'x' }, 400, 'no_separator'],
    ['GET', '/v1/wallet', undefined, 503, 'store_closed'],
    ['POST', '/v1/channels/none/close', {}, 404, 'unknown_channel'],
    ['POST', '/v1/channels/two/close', {}, 409, 'ambiguous_channel'],
    ['GET', `/v1/payments/${payment_id}`, undefined, 404, 'unknown_payment'],
    ['GET', '/v1/payments/xyz', undefined, 400, 'invalid_parameter'],
    ['DELETE', '/v1/peers/xyz', undefined, 400, 'invalid_parameter'],
    ['DELETE', '/v1/channels', undefined, 404, 'not_found'],
    ['GET', '/v1/nothing', undefined, 404, 'not_found'],
  ] as const)('%s %s %j: %i %s', async (method, url, payload, status, code) => {
    const answer = await call(method, url, payload);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
    expect(answer.type).toContain('application/problem+json');
  });

  it('a bug of ours is not shown to the caller', async () => {
    const { status, body } = await call('GET', '/v1/info');
    expect({ status, code: body.code }).toEqual({ status: 500, code: 'internal_error' });
    expect(JSON.stringify(body)).not.toContain('1234');
  });
});

describe('Idempotency-Key', () => {
  it('makes of two wishes to send coins one command', async () => {
    const send = () => post('/v1/wallet/send', { address: 'bcrt1q', amount_sat: 25_000 }, { 'idempotency-key': 's' });
    expect(await send()).toMatchObject({ status: 202, body: { txid: payment_id, amount_sat: '25000', fee_satoshis: '141' } });
    await send();
    expect(asked.sends.map(({ amount_sat }) => amount_sat)).toEqual([25_000n, 25_000n]);
    expect(new Set(asked.sends.map(({ command_id }) => command_id)).size).toBe(1);
  });

  const open = (key: string, funding_satoshis: number) => post('/v1/channels', { peer_id, funding_satoshis }, { 'idempotency-key': key });

  it('gives the same request the same command id, and another one another', async () => {
    asked.opens.length = 0;
    await open('a', 1000);
    await open('a', 1000);
    await open('b', 1000);
    const [first, again, other] = asked.opens.map(({ command_id }) => command_id);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    expect((await post('/v1/channels', { peer_id, funding_satoshis: 1000 })).status).toBe(202);
    expect(asked.opens.at(-1)!.command_id).toBeUndefined();
  });

  it('is another one for another route', async () => {
    await post('/v1/payments', { bolt11: 'x', wait_seconds: 0 }, { 'idempotency-key': 'a' });
    expect(asked.payments.at(-1)!.command_id).not.toBe(asked.opens[0]!.command_id);
  });

  it('with another body is a mistake, and said to be one', async () => {
    await open('c', 1000);
    expect(await open('c', 2000)).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } });
  });

  it.each(['', 'with space', 'x'.repeat(129)])('is not %j', async (key) => {
    expect(await open(key, 1000)).toMatchObject({ status: 400, body: { code: 'invalid_idempotency_key' } });
  });
});

describe('a payment', () => {
  it('that is in flight answers 202 and where to ask; one that ended 200', async () => {
    next = { paymentEnded: () => new Promise(() => undefined) };
    expect(await post('/v1/payments', { bolt11: 'x', wait_seconds: 0 })).toMatchObject({ status: 202, body: { status: 'in_flight', payment_id } });
    next = { paymentEnded: async () => ({ status: 'failed', payment_id, payment_hash: payment_id, code: 'no_route', reason: 'there is no way', attempts: 2 }) };
    expect(await call('GET', `/v1/payments/${payment_id}`)).toMatchObject({ status: 200, body: { status: 'failed', code: 'no_route', attempts: 2 } });
    next = {};
  });
});

describe('the description', () => {
  it('names the routes that act, and the token', async () => {
    const { body } = await call('GET', '/openapi.json');
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(['/v1/info', '/v1/peers', '/v1/peers/{node_id}', '/v1/channels/{channel}', '/v1/channels/{channel}/close', '/v1/payments/{payment_id}', '/v1/decode', '/v1/addresses', '/v1/wallet', '/v1/wallet/send', '/v1/stop']));
    expect(Object.keys(body.paths['/v1/channels'])).toEqual(expect.arrayContaining(['get', 'post']));
    expect(body.components.securitySchemes.token).toEqual({ type: 'http', scheme: 'bearer' });
    expect(body.paths['/v1/payments'].post.requestBody.content['application/json'].schema.properties).toHaveProperty('bolt11');
  });

  it('stop is asked for once', async () => {
    expect(await post('/v1/stop')).toMatchObject({ status: 202, body: { stopping: true } });
    expect(asked.stops).toBe(1);
  });
});
