/** `fulgurite node`, without its terminal: a configuration becomes a running node with its API, and ends in good order. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { Logger } from '../adapters/logger.ts';
import { openBitcoindChain } from '../adapters/chain/bitcoind/chain.ts';
import { openAddressBook } from '../adapters/peer/address-book.ts';
import { createSigner } from '../adapters/signer/local-signer.ts';
import { loadSeed, seedFileKind } from '../adapters/signer/seed.ts';
import { openEventStoreDb } from '../adapters/store/eventstoredb.ts';
import type { LogStore } from '../adapters/store/log-store.ts';
import { openSqliteStore } from '../adapters/store/sqlite.ts';
import { chooseCryptoBackend } from '../bolt/crypto-native.ts';
import { NETWORKS } from '../bolt/networks.ts';
import { msat, point, sat, type BlockHeight, type NodeId } from '../bolt/primitives.ts';
import type { Config } from '../config.ts';
import type { ChannelPolicy } from '../domain/channel/commands.ts';
import type { Chain } from '../domain/ports.ts';
import { createHttpServer, type HttpServer } from '../http/server.ts';
import { runNode, type RecoveryWish, type RunningNode, type StoreIdentity } from '../main.ts';
import { controlNode } from './controlled-node.ts';
import { DaemonError } from './daemon-error.ts';
import { announceApi, checkIdentity, dataFolderAt, loadOrCreateToken, lockFolder, readIdentity, writeIdentity, type DataFolder } from './data-folder.ts';

export interface DaemonParts {
  readonly config: Config;
  readonly logger: Logger;
  /** Asked only where the seed is sealed. */
  readonly passphrase: () => Promise<string>;
  /** Hears what the log must never hold, before anything could say it. */
  readonly keepSecret?: (secret: string) => void;
  /** Recovery, whatever the marks say: an older log is started so, and never goes on as if nothing had happened. */
  readonly recovery?: boolean;
  /** The signer's marks are missing, and the user knows that the log is the newest. */
  readonly adoptLog?: boolean;
  /** Another chain than the configured one: for tests on a chain in their own process. */
  readonly openChain?: (config: Config) => Promise<Chain>;
}

export interface Daemon {
  readonly node: RunningNode;
  /** As `http://127.0.0.1:8750`. */
  readonly api: string;
  /** Resolves when somebody asks for the end over the API. */
  readonly stopAsked: Promise<void>;
  /** Lets nobody in any more, finishes what is under way, closes everything. */
  stop(): Promise<void>;
}

/** Throws an error with a `code` and a sentence that says what to do; then nothing is left open behind it. */
export async function startDaemon(parts: DaemonParts): Promise<Daemon> {
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    const failed: unknown[] = [];
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
      // What cannot be closed must not keep the rest open.
      try {
        await step();
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 0) throw failed[0];
  };
  try {
    return await start(parts, undo, stop);
  } catch (error) {
    await stop().catch((problem: Error) => parts.logger.error(`while closing again: ${problem.message}`));
    throw error;
  }
}

async function start(parts: DaemonParts, undo: (() => unknown)[], stop: () => Promise<void>): Promise<Daemon> {
  const { config, logger, keepSecret = () => undefined } = parts;
  const folder = dataFolderAt(config.data);
  mustHaveSeed(folder);
  undo.push(lockFolder(folder));
  const { seed, node_id } = await openSeed(parts, folder);
  const token = loadOrCreateToken(folder);
  for (const secret of [token, ...passwordsIn(config)]) keepSecret(secret);
  const say = (line: string): void => logger.info(line);

  const chain = await (parts.openChain ?? openChain(say))(config);
  undo.push(() => chain.close());
  const fromHeight = await birthdayOf(folder, config, node_id, chain);
  say(`node ${node_id} on ${config.network}, following the chain from block ${fromHeight}`);
  const { alias: name, network, forwarding } = config;
  const peers = openAddressBook(folder.peers, (line) => logger.warn(line));
  const recovery = wishOf(parts, folder);
  const node = await runNode({
    recovery, keep: { folder: folder.path, addresses: () => peers.all() },
    name, network, chain, seed, fromHeight, policy: policyOf(config), fees: config.fees, limits: config.limits, onLog: say,
    anchor_reserve_sat: sat(config.wallet.anchor_reserve_sat), chainLimits: { silent_seconds: config.chain.silent_seconds, behind_blocks: config.chain.behind_blocks },
    trusted_peers: config.trusted_peers?.map((node_id) => point(node_id)),
    forwarding: { ...forwarding, htlc_minimum_msat: msat(forwarding.htlc_minimum_msat) },
    host: config.listen.host,
    port: config.listen.port ?? NETWORKS[network].lightning_port,
    openStore: storeOf(config, folder, recovery.forced === true, say),
  }).catch((error: unknown) => {
    throw portTaken(error, `listen.port: ${config.listen.host}:${config.listen.port ?? NETWORKS[network].lightning_port}`, '--listen-port');
  });
  undo.push(() => node.stop());
  // Its channels have it in the log from here on.
  if (recovery.forced === true) rmSync(folder.recovery, { force: true });

  for (const peer of peers.all()) void node.connect(peer).catch((error: Error) => say(`${peer.node_id}: ${error.message}; it is called again`));

  let askedToStop = (): void => undefined;
  const stopAsked = new Promise<void>((resolve) => (askedToStop = resolve));
  const control = controlNode(node, { chain, peers, started_at: new Date(), onStop: () => setImmediate(askedToStop) });
  const server = await createHttpServer({ nodes: [{ name, node_id: node.node_id, store: node.store }], control, token, logger: quieter(logger) });
  undo.push(() => server.close());
  const api = await listen(server, config);
  undo.push(announceApi(folder, api));
  say(`ready: peers at ${node.host}:${node.port}, API at ${api}`);
  return { node, api, stopAsked, stop };
}

/** An old log is expected in recovery, and only there: the checkpoint that would tell it is set aside. */
function wishOf({ recovery = false, adoptLog = false }: DaemonParts, folder: DataFolder): RecoveryWish {
  const forced = recovery || existsSync(folder.recovery);
  if (forced && existsSync(folder.checkpoint)) renameSync(folder.checkpoint, `${folder.checkpoint}.before-recovery`);
  return { forced, adopt: adoptLog, restored_seed: readIdentity(folder)?.restored === true };
}

/** Of the chain daemon and the event database. */
function passwordsIn({ chain, store }: Config): readonly string[] {
  return [chain.password, /:\/\/[^/@]*:([^/@]*)@/.exec(store)?.[1]].filter((password): password is string => password !== undefined && password !== '');
}

function mustHaveSeed({ seed, path }: DataFolder): void {
  if (seedFileKind(seed) === 'missing') throw new DaemonError('no_node', `${path} has no node yet: make one with: fulgurite init --data ${path}`);
}

async function openSeed({ config, passphrase, keepSecret = () => undefined }: DaemonParts, folder: DataFolder): Promise<{ readonly seed: Uint8Array; readonly node_id: NodeId }> {
  const identity = readIdentity(folder);
  if (identity !== undefined) checkIdentity(folder, identity, identity.node_id, config.network);
  const words = seedFileKind(folder.seed) === 'sealed' ? await passphrase() : undefined;
  if (words !== undefined) keepSecret(words);
  await chooseCryptoBackend();
  const seed = loadSeed(folder.seed, words);
  const { nodeId: node_id } = createSigner(seed, { network: config.network });
  checkIdentity(folder, identity, node_id, config.network);
  return { seed, node_id };
}

/** The first block that can concern the node; a new one begins at the tip, and remembers. */
async function birthdayOf(folder: DataFolder, { network }: Config, node_id: NodeId, chain: Chain): Promise<BlockHeight> {
  const identity = readIdentity(folder) ?? { node_id, network, birthday: 0 };
  const birthday = identity.birthday === 'tip' ? (await chain.tip()).height : identity.birthday;
  if (identity.birthday !== birthday || readIdentity(folder) === undefined) writeIdentity(folder, { ...identity, birthday });
  return birthday;
}

const openChain = (onLog: (line: string) => void) => ({ network, chain }: Config): Promise<Chain> =>
  openBitcoindChain({
    network, onLog,
    url: chain.url ?? `http://127.0.0.1:${NETWORKS[network].rpc_port}`,
    cookieFile: chain.cookie_file, user: chain.user, password: chain.password,
    genesis: chain.stand_in_genesis ? 'stand-in' : 'own',
    pollMs: chain.poll_ms,
    fallbackFeerate: chain.fallback_feerate_per_kw,
  });

function storeOf({ store }: Config, folder: DataFolder, setAsideTail: boolean, say: (line: string) => void): (identity: StoreIdentity) => Promise<LogStore> {
  const onProgress = ({ verified, total }: { readonly verified: number; readonly total: number }): void => say(`verifying the log: ${verified} of ${total} events`);
  if (store === 'sqlite') return (identity) => openSqliteStore({ file: folder.log, setAsideTail, ...identity, onProgress });
  return (identity) => openEventStoreDb({ url: store, checkpointFile: folder.checkpoint, ...identity, onProgress });
}

function policyOf({ channel }: Config): ChannelPolicy {
  const { dust_limit_satoshis, min_funding_satoshis, max_funding_satoshis, htlc_minimum_msat, max_htlc_value_in_flight_msat, max_dust_exposure_msat, ...rest } = channel;
  return {
    ...rest,
    dust_limit_satoshis: sat(dust_limit_satoshis), min_funding_satoshis: sat(min_funding_satoshis), max_funding_satoshis: sat(max_funding_satoshis),
    htlc_minimum_msat: msat(htlc_minimum_msat), max_htlc_value_in_flight_msat: msat(max_htlc_value_in_flight_msat), max_dust_exposure_msat: msat(max_dust_exposure_msat),
  };
}

/** Requests are said from `debug` on; what fails always. */
const quieter = (logger: Logger): Logger => (logger.isLevelEnabled('debug') || !logger.isLevelEnabled('warn') ? logger : logger.child({}, { level: 'warn' }));

async function listen(server: HttpServer, { http: { host, port } }: Config): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    throw portTaken(error, `http.port: ${host}:${port}`, '--http-port');
  }
}

function portTaken(error: unknown, what: string, flag: string): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return new DaemonError('port_taken', `${what} is taken by another program (another node?): choose another with ${flag}`);
}
