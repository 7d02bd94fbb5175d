/** A chain backend that is down, behind, pruned, on another network, or answers nonsense: a clear word, and the node holds on. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BitcoindChain, type BitcoindOptions, openBitcoindChain } from '../../../../src/adapters/chain/bitcoind/chain.ts';
import { createRegtestChain, type RegtestChain } from '../../../../src/adapters/chain/regtest.ts';
import { chooseCryptoBackend } from '../../../../src/bolt/crypto-native.ts';
import { until } from '../../../../src/playground/waiting.ts';
import { type Answer, type FakeBackend, startFakeBackend } from '../../../support/fake-backend.ts';

let world: RegtestChain;
let backend: FakeBackend;
let chain: BitcoindChain | undefined;
const log: string[] = [];

beforeAll(() => chooseCryptoBackend());
beforeEach(async () => {
  world = createRegtestChain({ initial_blocks: 5 });
  backend = await startFakeBackend(world);
  log.length = 0;
});
afterEach(async () => {
  await chain?.close();
  chain = undefined;
  await backend.stop();
  await world.close();
});

const SECRET = 'correct-horse';

async function open(options: Partial<BitcoindOptions> = {}): Promise<BitcoindChain> {
  chain = await openBitcoindChain({
    url: backend.url, user: 'me', password: SECRET, network: 'bitcoin-regtest', pollMs: 20, patienceMs: 0, timeoutMs: 300, onLog: (line) => log.push(line), ...options,
  });
  return chain;
}

const failure = (options?: Partial<BitcoindOptions>) => open(options).then(() => undefined, (error: { code: string; message: string }) => error);

/** Heights heard from a follower. */
function listen(from: number): number[] {
  const heard: number[] = [];
  chain!.follow(from, (event) => void (event.type === 'block_connected' && heard.push(event.block.height)));
  return heard;
}

const info = (change: object) => () => ({
  result: { chain: 'main', blocks: 100, headers: 100, bestblockhash: '00'.repeat(32), initialblockdownload: false, pruned: false, ...change },
});
const MAINNET_GENESIS = '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f';
const mainnet = (change: object): FakeBackend['script'] => ({ getblockchaininfo: info(change), getblockhash: () => ({ result: MAINNET_GENESIS }) });

describe('at the start', () => {
  it('settings that contradict each other are refused before anything is asked', async () => {
    expect(await failure({ genesis: 'stand-in', network: 'bitcoin-mainnet' })).toMatchObject({ code: 'chain_settings', message: expect.stringMatching(/expected "own" on bitcoin-mainnet, got "stand-in"/) });
    expect(await failure({ genesis: 'stand-in', network: 'bitcoin-signet' })).toMatchObject({ code: 'chain_settings' });
    expect(await failure({ password: undefined })).toMatchObject({ code: 'chain_settings', message: expect.stringMatching(/got user$/) });
    expect(await failure({ user: undefined, password: undefined })).toMatchObject({ code: 'chain_settings', message: expect.stringMatching(/got neither$/) });
    expect(await failure({ cookieFile: 'x' })).toMatchObject({ code: 'chain_settings' });
    expect(await failure({ url: 'localhost:18443' })).toMatchObject({ code: 'chain_settings' });
    expect(backend.calls.size).toBe(0);
  });

  it('no word says a password, not even one in the address', async () => {
    const error = await failure({ url: backend.url.replace('//', `//me:${SECRET}@`) });
    expect(error).toMatchObject({ code: 'chain_settings' });
    backend.allowed = 'Basic other';
    const refused = await failure();
    expect(refused).toMatchObject({ code: 'chain_unauthorized', message: expect.stringMatching(/HTTP 401/) });
    for (const text of [error!.message, refused!.message, ...log]) expect(text).not.toContain(SECRET);
  });

  it('another network is named with both genesis blocks, at once', async () => {
    const error = await failure({ network: 'bitcoin-testnet', patienceMs: 60_000 });
    expect(error).toMatchObject({ code: 'chain_wrong_network' });
    expect(error!.message).toMatch(/expected the genesis block 000000000933ea01.* of bitcoin-testnet, got 0f9188f13cb7b2c7.*"regtest"/);
  });

  it('a stand-in has to be a regtest too', async () => {
    backend.script = mainnet({});
    expect(await failure({ genesis: 'stand-in' })).toMatchObject({ code: 'chain_wrong_network', message: expect.stringMatching(/expected "regtest", got "main"/) });
  });

  it('a backend that is behind is told with both heights', async () => {
    backend.script = mainnet({ blocks: 100, headers: 800_000 });
    expect(await failure({ network: 'bitcoin-mainnet' })).toMatchObject({ code: 'chain_behind', message: expect.stringMatching(/100 blocks of 800000/) });
    backend.script = mainnet({ initialblockdownload: true });
    expect(await failure({ network: 'bitcoin-mainnet' })).toMatchObject({ code: 'chain_behind', message: expect.stringMatching(/initial block download/) });
  });

  it('a backend that is starting is waited for', async () => {
    const ready = performance.now() + 400;
    backend.script = { getblockchaininfo: () => (performance.now() < ready ? { error: { code: -28, message: 'Loading block index...' } } : undefined) };
    await open({ patienceMs: 10_000 });
    expect(log.join()).toMatch(/the daemon is starting: Loading block index/);
  });

  it('a backend that is not there is an error when patience ends', async () => {
    await backend.stop();
    expect(await failure()).toMatchObject({ code: 'chain_unreachable', message: expect.stringMatching(/127\.0\.0\.1:\d+ cannot be reached: ECONNREFUSED/) });
  });

  const nonsense: readonly (readonly [string, Answer, string, RegExp])[] = [
    ['no JSON', { status: 200, body: '<html>hello</html>' }, 'chain_nonsense', /expected JSON from .*, HTTP 200, got "<html>hello/],
    ['JSON of another kind', { status: 200, body: '[1, 2]' }, 'chain_nonsense', /getblockchaininfo/],
    ['a wrong type', { result: { chain: 'regtest', blocks: '5' } }, 'chain_nonsense', /blocks/],
    ['a negative height', { result: { chain: 'regtest', blocks: -1, headers: 0, bestblockhash: '00'.repeat(32), initialblockdownload: false, pruned: false } }, 'chain_nonsense', /blocks/],
    ['a full queue', { status: 503, body: 'Work queue depth exceeded' }, 'chain_busy', /Work queue depth exceeded/],
    ['nothing', 'silence', 'chain_timeout', /no answer within 300 ms/],
  ];
  it.each(nonsense)('%s is an error with what was got', async (_name, answer, code, message) => {
    backend.script = { getblockchaininfo: () => answer };
    expect(await failure()).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

it('an answer far too long is not read to its end', async () => {
  const body = ' '.repeat(33 * 1024 * 1024);
  backend.script = { getblockchaininfo: () => ({ status: 200, body }) };
  expect(await failure({ timeoutMs: 20_000 })).toMatchObject({ code: 'chain_nonsense', message: expect.stringMatching(/longer than 33554432 bytes/) });
});

describe('a cookie', () => {
  it('is waited for, and read again when the daemon has written a new one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fulgurite-cookie-'));
    const cookieFile = join(folder, '.cookie');
    const bearer = (cookie: string) => `Basic ${Buffer.from(cookie).toString('base64')}`;
    expect(await failure({ cookieFile, user: undefined, password: undefined })).toMatchObject({ code: 'chain_no_cookie', message: expect.stringMatching(/ENOENT/) });
    await writeFile(cookieFile, '__cookie__:one\n');
    backend.allowed = bearer('__cookie__:one');
    await open({ cookieFile, user: undefined, password: undefined });
    await writeFile(cookieFile, '__cookie__:two\n');
    backend.allowed = bearer('__cookie__:two');
    expect(await chain!.tip()).toMatchObject({ height: 5 });
    await rm(folder, { recursive: true });
  });
});

describe('once it runs', () => {
  it('a backend that fails is told of once, asked again, and nothing is lost', async () => {
    await open();
    const heard = listen(5);
    await until('the first block', () => (heard.length === 1 ? [] : ['5']));
    backend.script = { getblockchaininfo: () => ({ status: 502, body: 'Bad Gateway' }) };
    await until('a word', () => (log.length > 0 ? [] : ['a log line']));
    world.mineBlocks(3);
    await chain!.refresh();
    expect(heard).toEqual([5]);
    backend.script = {};
    await until('the blocks', () => (heard.length === 4 ? [] : [`got ${heard.join()}`]));
    expect(heard).toEqual([5, 6, 7, 8]);
    expect(log.filter((line) => line.includes('fails'))).toHaveLength(1);
    expect(log.at(-1)).toMatch(/is back, at block 8/);
  });

  it('a backend that comes back on another network delivers nothing', async () => {
    await open();
    const heard = listen(6);
    backend.script = { getblockchaininfo: () => ({ status: 502, body: '' }) };
    await until('a word', () => (log.length > 0 ? [] : ['a log line']));
    world.mineBlocks(1);
    backend.script = { getblockhash: ([height]) => (height === 0 ? { result: MAINNET_GENESIS } : undefined) };
    await until('a word about the network', () => (log.some((line) => line.includes('on another chain')) ? [] : ['a log line']));
    expect(heard).toEqual([]);
    await expect(chain!.tip()).rejects.toMatchObject({ code: 'chain_wrong_network' });
  });

  it('a block that is not what was asked for is not delivered, and asked for again', async () => {
    await open();
    const heard = listen(6);
    let lies = 3;
    const other = world.blockAt(4)!;
    backend.script = {
      getblock: () => (lies-- > 0 ? { result: `${other.header}01${other.transactions[0]!.transaction}` } : undefined),
    };
    world.mineBlocks(1);
    await until('the block', () => (heard.length === 1 ? [] : ['6']));
    expect(lies).toBeLessThan(0);
    expect(log.join()).toMatch(/what came as block .* is not it: the header hashes to/);
  });

  it('a mempool that cannot be watched holds up no block', async () => {
    await open();
    chain!.onMempoolTransaction(() => undefined);
    const heard = listen(6);
    backend.script = { getrawmempool: () => ({ result: ['not a txid'] }) };
    world.mineBlocks(1);
    await until('the block', () => (heard.length === 1 ? [] : ['6']));
    await until('a word', () => (log.some((line) => line.includes('the mempool cannot be watched')) ? [] : ['a log line']));
  });

  it('a pruned block is named with the oldest there is', async () => {
    const { height, block_hash } = await world.tip();
    backend.script = {
      getblockchaininfo: () => ({ result: { chain: 'regtest', blocks: height, headers: height, bestblockhash: block_hash, initialblockdownload: false, pruned: true, pruneheight: 4 } }),
      getblock: () => ({ error: { code: -1, message: 'Block not available (pruned data)' } }),
    };
    await open();
    const heard = listen(2);
    await until('a word', () => (log.some((line) => /block 2 is wanted, 4 is the oldest/.test(line)) ? [] : [`got ${log.join()}`]));
    expect(heard).toEqual([]);
  });

  it('a history that the backend does not know any more is no reorganisation', async () => {
    await open();
    const events: string[] = [];
    chain!.follow(5, (event) => void events.push(event.type));
    await until('the block', () => (events.length === 1 ? [] : ['5']));
    const strange = 'ab'.repeat(32);
    backend.script = {
      getblockchaininfo: () => ({ result: { chain: 'regtest', blocks: 5, headers: 5, bestblockhash: strange, initialblockdownload: false, pruned: false } }),
      getblockhash: ([at]) => (at === 0 ? undefined : { result: strange }),
      getblockheader: () => ({ error: { code: -5, message: 'Block not found' } }),
    };
    await until('a word', () => (log.some((line) => line.includes('it is not the chain it was')) ? [] : [`got ${log.join()}`]));
    expect(events).toEqual(['block_connected']);
  });

  it('a broadcast that cannot be answered is not refused for ever', async () => {
    await open();
    backend.script = { sendrawtransaction: () => ({ status: 500, body: 'oops' }) };
    expect(await chain!.broadcast('00')).toMatchObject({ ok: false, code: 'chain_nonsense', permanent: false });
  });

  it('safety 26: words of refusal that nobody has read before are for now, and shown', async () => {
    await open();
    backend.script = { sendrawtransaction: () => ({ error: { code: -26, message: 'the moon is full, come back later' } }) };
    expect(await chain!.broadcast('00')).toEqual({ ok: false, code: 'the moon is full', reason: 'the moon is full, come back later', permanent: false });
  });

  it('an estimate is kept within bounds; without one the last is used, or the fallback', async () => {
    await open({ network: 'bitcoin-regtest', fallbackFeerate: 777 });
    const estimates: object[] = [{ errors: ['Insufficient data'], blocks: 0 }, { feerate: 0.0001 }, { errors: ['Insufficient data'] }, { feerate: 12 }, { feerate: 0.000001 }];
    let mempoolminfee = 0.00001;
    backend.script = { estimatesmartfee: () => ({ result: estimates.shift() ?? {} }), getmempoolinfo: () => ({ result: { mempoolminfee } }) };
    expect(await chain!.estimateFeerate(6)).toBe(777);
    expect(await chain!.estimateFeerate(6)).toBe(2500);
    expect(await chain!.estimateFeerate(6)).toBe(2500);
    expect(await chain!.estimateFeerate(6)).toBe(250_000);
    expect(await chain!.estimateFeerate(6)).toBe(253);
    mempoolminfee = 0.0005;
    expect(await chain!.estimateFeerate(6), 'a full mempool takes nothing cheaper').toBe(12_500);
  });

  it('where there is no estimate and no fallback, the reason is told', async () => {
    backend.script = { ...mainnet({}), estimatesmartfee: () => ({ result: { errors: ['Insufficient data or no feerate found'] } }), getmempoolinfo: () => ({ result: { mempoolminfee: 0.00001 } }) };
    await open({ network: 'bitcoin-mainnet' });
    await expect(chain!.estimateFeerate(6)).rejects.toMatchObject({ code: 'chain_no_estimate', message: expect.stringMatching(/6 blocks: Insufficient data/) });
  });
});
