/** Nodes as `fulgurite node` runs them, with data folders, APIs and tokens, in this process on one chain; and the command line that talks to them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '../../src/adapters/logger.ts';
import { createRegtestChain, type RegtestChain } from '../../src/adapters/chain/regtest.ts';
import { main } from '../../src/cli/fulgurite.ts';
import { loadConfig, type Config } from '../../src/config.ts';
import { createNode, generateSeedWords } from '../../src/daemon/create-node.ts';
import { startDaemon, type Daemon } from '../../src/daemon/start.ts';
import type { Chain } from '../../src/domain/ports.ts';

export const PASSPHRASE = 'seldom does a heron whistle';
/** Tests guess no passphrases: a guess may be cheap. */
export const CHEAP = { N: 16, r: 8, p: 1 };

export interface Daemons {
  readonly folder: string;
  readonly chain: RegtestChain;
  readonly names: readonly string[];
  data(name: string): string;
  words(name: string): string;
  daemon(name: string): Daemon;
  /** Lines that a node wrote for people. */
  log(name: string): string;
  start(name: string, wish?: { readonly recovery?: boolean; readonly adoptLog?: boolean }): Promise<Daemon>;
  halt(name: string): Promise<void>;
  /** Mines, and waits until every node has taken the blocks in. */
  mine(blocks: number): Promise<void>;
  /** One command of the command line; `--data` is that of `name`. */
  run(name: string, ...argv: readonly string[]): Promise<Ran>;
  /** The same, read as JSON; throws what the command said on standard error. */
  json<T = any>(name: string, ...argv: readonly string[]): Promise<T>; // oxlint-disable-line typescript/no-explicit-any -- tests look at what is there
  stop(): Promise<void>;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function runCli(...argv: readonly string[]): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await main(argv, {
    stdout: { write: (text) => ((out += text), true) },
    stderr: { write: (text) => ((err += text), true) },
  });
  return { code, out, err };
}

/** The same chain, which its borrower cannot close. */
export function lend(chain: RegtestChain): Chain {
  return new Proxy(chain, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (name === 'close') return async () => undefined;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

export const settings = (data: string, alias: string, flags: Readonly<Record<string, string>> = {}): Config =>
  loadConfig({ flags: { data, alias, ...flags, network: 'bitcoin-regtest', 'listen.port': '0', 'http.port': '0', 'channel.to_self_delay': '6', 'log.format': 'json', 'log.level': 'debug' }, env: {} });

/** Makes and starts a node for each name. */
export const startDaemons = (...names: readonly string[]): Promise<Daemons> => startDaemonsWith({}, ...names);

/** The same with settings of their own for some: `{ bob: { store: 'esdb://...' } }`. */
export async function startDaemonsWith(own: Readonly<Record<string, Readonly<Record<string, string>>>>, ...names: readonly string[]): Promise<Daemons> {
  const folder = await mkdtemp(join(tmpdir(), 'fulgurite-daemons-'));
  const chain = createRegtestChain();
  const running = new Map<string, Daemon>();
  const words = new Map<string, string>();
  const logs = new Map<string, string>();
  const data = (name: string): string => join(folder, name);

  async function start(name: string, wish: Parameters<Daemons['start']>[1] = {}): Promise<Daemon> {
    const out = { write: (text: string) => void logs.set(name, (logs.get(name) ?? '') + text) };
    const secrets: string[] = [];
    const daemon = await startDaemon({
      ...wish,
      config: settings(data(name), name, own[name]),
      logger: createLogger({ level: 'debug', format: 'json', out, secrets: () => secrets }),
      passphrase: async () => PASSPHRASE,
      keepSecret: (secret) => secrets.push(secret),
      openChain: async () => lend(chain),
    });
    running.set(name, daemon);
    return daemon;
  }

  const run = (name: string, ...argv: readonly string[]): Promise<Ran> => runCli(...argv, '--data', data(name));
  const daemons: Daemons = {
    folder, chain, names, data, start, run,
    words: (name) => words.get(name)!,
    daemon: (name) => running.get(name)!,
    log: (name) => logs.get(name) ?? '',
    async halt(name) {
      await running.get(name)?.stop();
      running.delete(name);
    },
    async mine(blocks) {
      const { height } = chain.mineBlocks(blocks).at(-1)!;
      await Promise.all([...running.values()].map(({ node }) => node.reached(height)));
      await Promise.all([...running.values()].map(({ node }) => node.settled()));
    },
    async json(name, ...argv) {
      const { out, err } = await run(name, ...argv, '--json');
      if (out === '') throw new Error(err);
      return JSON.parse(out) as never;
    },
    async stop() {
      for (const daemon of running.values()) await daemon.stop();
      await chain.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    for (const name of names) {
      words.set(name, generateSeedWords());
      await createNode({ data: data(name), network: 'bitcoin-regtest', words: words.get(name)!, passphrase: PASSPHRASE, cost: CHEAP });
      await start(name);
    }
  } catch (error) {
    await daemons.stop();
    throw error;
  }
  return daemons;
}

/** Gives a node's wallet a confirmed coin. */
export async function fund(daemons: Daemons, name: string, amount = 10_000_000n): Promise<void> {
  const { script_pubkey } = await daemons.daemon(name).node.wallet.address('from outside');
  daemons.chain.fund(script_pubkey, amount as never);
  await daemons.mine(1);
}

/** Connects, opens and confirms through the command line; answers the channel's stream. */
export async function openThroughCli(daemons: Daemons, from: string, to: string, amount: string, ...options: readonly string[]): Promise<string> {
  const { address } = await daemons.json(to, 'getinfo');
  const { channel } = await daemons.json(from, 'open', address, amount, ...options);
  await daemons.mine(3);
  for (const name of [from, to]) await untilUsable(daemons, name);
  return channel.stream;
}

async function untilUsable({ daemon }: Daemons, name: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const alive = daemon(name).node.channels().filter(({ state }) => state.phase !== 'closed' && state.phase !== 'abandoned');
    if (alive.length > 0 && alive.every(({ usable }) => usable)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`within 10 s: usable channels at ${name}`);
}
