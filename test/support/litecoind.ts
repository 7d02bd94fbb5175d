/**
 * A litecoind of one's own: a relative of Bitcoin Core 0.21 on a regtest in a temporary folder, without peers, on loopback. Its
 * flags make its blocks and its relay policy Bitcoin's: no extension blocks, the same dust limit and fees, replacement by fee.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createRpc, type Rpc } from '../../src/adapters/chain/bitcoind/rpc.ts';
import { encodeAddress } from '../../src/bolt/address.ts';
import type { Hex, Hex32, Sat } from '../../src/bolt/primitives.ts';

export interface Litecoind {
  readonly url: string;
  readonly cookieFile: string;
  readonly rpc: Rpc;
  /** Mines now; what waits in the mempool is in the first block. Answers the blocks' hashes. */
  mine(count: number): Promise<readonly Hex32[]>;
  /** Mines a block that takes nothing of what waits. */
  mineEmpty(): Promise<void>;
  /** Mines a block of just these raw transactions, each of which must be valid; relay policy is not asked. */
  mineThese(transactions: readonly Hex[]): Promise<void>;
  /** Pays many segwit scripts with one transaction, into the mempool. */
  payMany(payments: readonly { readonly script_pubkey: Hex; readonly value: Sat }[]): Promise<Hex32>;
  /** Pays a segwit script from the daemon's own wallet, into the mempool. */
  pay(script_pubkey: Hex, value: Sat): Promise<Hex32>;
  /** Takes a block and all above off the best chain, as if they were invalid; `reconsider` lets them come back. */
  invalidate(block_hash: Hex32): Promise<void>;
  reconsider(block_hash: Hex32): Promise<void>;
  /** What waits is forgotten, as by daemons that never heard of it. */
  forgetMempool(): Promise<void>;
  height(): Promise<number>;
  hashAt(height: number): Promise<Hex32>;
  /** Ends the daemon and starts it again on its folder and its port. */
  restart(extraFlags?: readonly string[]): Promise<void>;
  /** Ends it, as an operator would; the folder stays until `stop`. */
  halt(): Promise<void>;
  stop(): Promise<void>;
}

export interface LitecoindOptions {
  readonly flags?: readonly string[];
  /** Mined at once: BIP 65, the last of the rules that we need, begins at 1351. */
  readonly blocks?: number;
}

/** Why there is none here, or undefined. */
export function whyNoLitecoind(): string | undefined {
  const found = spawnSync('litecoind', ['--version'], { encoding: 'utf8' });
  return found.status === 0 ? undefined : `litecoind cannot be run (${found.error?.message ?? `status ${found.status}`}): on Debian, apt-get install litecoind`;
}

const FLAGS = [
  '-regtest', '-vbparams=mweb:-2:0', '-acceptnonstdtxn=0', '-dustrelayfee=0.00003', '-minrelaytxfee=0.00001', '-mempoolreplacement=1',
  '-fallbackfee=0.0001', '-listen=0', '-dnsseed=0', '-connect=0', '-rpcbind=127.0.0.1', '-rpcallowip=127.0.0.1', '-printtoconsole=0', '-dbcache=16',
];
const INITIAL_BLOCKS = 1400;

const text = z.string();
const hashes = z.array(z.string().transform((hash) => hash as Hex32));

/** Starts one and mines its first blocks. Rejects with the daemon's last words when it does not come up. */
export async function startLitecoind({ flags = ['-txindex=1'], blocks = INITIAL_BLOCKS }: LitecoindOptions = {}): Promise<Litecoind> {
  const folder = await mkdtemp(join(tmpdir(), 'fulgurite-litecoind-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const cookieFile = join(folder, 'regtest', '.cookie');
  const rpc = createRpc({ url, cookieFile, attempts: 1, timeoutMs: 120_000 });
  let daemon: ChildProcess;

  async function launch(extraFlags: readonly string[]): Promise<void> {
    daemon = spawn('litecoind', [...FLAGS, `-datadir=${folder}`, `-rpcport=${port}`, ...extraFlags], { stdio: ['ignore', 'ignore', 'pipe'] });
    const words: string[] = [];
    daemon.stderr!.setEncoding('utf8').on('data', (line: string) => words.push(line));
    for (let ready = false; !ready; await sleep(50)) {
      if (daemon.exitCode !== null) throw new Error(`litecoind ended with status ${daemon.exitCode}: ${words.join('').slice(-500)}`);
      ready = await rpc.call('getblockcount', [], z.number()).then(() => true, () => false);
    }
  }

  async function halt(): Promise<void> {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    daemon.kill('SIGTERM');
    // It waits for idle connections; a call on each is refused and closes it.
    while (daemon.exitCode === null && daemon.signalCode === null) await Promise.allSettled([sleep(50), rpc.call('getblockcount', [], z.number())]);
  }

  /** Whoever forgets to stop it takes it along. */
  const takeAlong = (): void => void daemon.kill('SIGKILL');
  process.once('exit', takeAlong);

  await launch(flags);
  await rpc.call('createwallet', ['faucet'], z.object({}));
  /** To a new address each time: the same block mined again would be the one that was invalidated. */
  const newAddress = () => rpc.call('getnewaddress', ['', 'bech32'], text);
  const mine = async (count: number) => rpc.call('generatetoaddress', [count, await newAddress()], hashes);
  const height = () => rpc.call('getblockcount', [], z.number());
  if (blocks > 0) await mine(blocks);

  return {
    url, cookieFile, rpc, mine, height, halt,
    mineEmpty: async () => void (await rpc.call('generateblock', [await newAddress(), []], z.object({ hash: text }))),
    mineThese: async (transactions) => void (await rpc.call('generateblock', [await newAddress(), transactions], z.object({ hash: text }))),
    async payMany(payments) {
      const amounts = Object.fromEntries(payments.map(({ script_pubkey, value }) => [encodeAddress(script_pubkey, 'litecoin-regtest'), coins(value)]));
      const txid = await rpc.call('sendmany', ['', amounts], text);
      const { hex } = await rpc.call('gettransaction', [txid], z.object({ hex: text }));
      return (await rpc.call('sendrawtransaction', [hex], text)) as Hex32;
    },
    async pay(script_pubkey, value) {
      const txid = await rpc.call('sendtoaddress', [encodeAddress(script_pubkey, 'litecoin-regtest'), coins(value)], text);
      // After forgetMempool the wallet sends nothing of its own.
      const { hex } = await rpc.call('gettransaction', [txid], z.object({ hex: text }));
      return (await rpc.call('sendrawtransaction', [hex], text)) as Hex32;
    },
    invalidate: async (block_hash) => void (await rpc.call('invalidateblock', [block_hash], z.null())),
    reconsider: async (block_hash) => void (await rpc.call('reconsiderblock', [block_hash], z.null())),
    hashAt: async (at) => (await rpc.call('getblockhash', [at], text)) as Hex32,
    async forgetMempool() {
      await halt();
      await rm(join(folder, 'regtest', 'mempool.dat'), { force: true });
      // The wallet would send its own again.
      await launch([...flags, '-walletbroadcast=0']);
      await rpc.call('loadwallet', ['faucet'], z.object({})).catch(() => undefined);
    },
    async restart(extraFlags = flags) {
      await halt();
      await launch(extraFlags);
      await rpc.call('loadwallet', ['faucet'], z.object({})).catch(() => undefined);
    },
    async stop() {
      await halt();
      rpc.close();
      process.off('exit', takeAlong);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Decimal coins, exact: the daemon reads amounts as text too. */
function coins(value: Sat): string {
  const digits = value.toString().padStart(9, '0');
  return `${digits.slice(0, -8)}.${digits.slice(-8)}`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
