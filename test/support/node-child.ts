/** The child's side of node-processes.ts: one real node, asked over IPC. Started by fork, never imported. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadOrCreateSeed } from '../../src/adapters/signer/seed.ts';
import { openEventStoreDb } from '../../src/adapters/store/eventstoredb.ts';
import type { LogStore } from '../../src/adapters/store/log-store.ts';
import { openSqliteStore } from '../../src/adapters/store/sqlite.ts';
import type { Hex32, Msat } from '../../src/bolt/primitives.ts';
import { compileEarly } from '../../src/daemon/runtime.ts';
import { balances } from '../../src/domain/channel/commitment-spec.ts';
import { isEstablished, type ChannelState } from '../../src/domain/channel/state.ts';
import { runNode, type RunningNode, type StoreIdentity } from '../../src/main.ts';
import { linkedChain } from './chain-link.ts';
import { createDoomedStore, createLyingStore, type DoomedStore } from './doomed-store.ts';
import { holdInvoices, type Hold } from './held-invoices.ts';
import { factOf, readPast, type Past } from './node-past.ts';
import type { Call, ChildMethods, ChildNews, ProcessOptions, StartMessage } from './node-processes.ts';
import { openWireRecorder } from './wire-record.ts';

/** Invoices held open. */
interface Held {
  letGo(payment_hash: Hex32): void;
  end(): void;
}

/** What a child does beyond the node's own verbs: loops that would drown in IPC. */
function methodsOf(node: RunningNode, doomed: DoomedStore, held: Held): ChildMethods {
  return {
    about: async () => ({ node_id: node.node_id, host: node.host, port: node.port }),
    connect: (peer) => node.connect(peer),
    fundingScript: async () => (await node.wallet.address('test')).script_pubkey,
    walletBalance: () => node.wallet.balance(),
    openChannel: (request) => node.openChannel(request),
    closeChannel: (stream, options) => node.closeChannel(stream, options),
    channels: async () => node.channels().map(({ stream, state, usable }) => ({ stream, phase: state.phase, usable, ...movesOf(state) })),
    edges: async () => node.graph().channels.size,
    reached: (height) => node.reached(height),
    settled: () => node.settled(),
    stop() {
      held.end();
      return node.stop();
    },
    pay: (request) => node.pay(request),
    invoices: async (count, amount_msat) => Promise.all(Array.from({ length: count }, () => invoice(node, amount_msat))),
    payAll: (bolt11s, inFlight) => payAll(node, bolt11s, inFlight),
    letGo: async (payment_hash) => held.letGo(payment_hash),
    light: async (fuse) => doomed.light(fuse),
  };
}

function movesOf(state: ChannelState): { readonly pending: number; readonly committed: number; readonly local_msat: bigint } {
  if (!isEstablished(state)) return { pending: 0, committed: 0, local_msat: 0n };
  const { htlcs, remote } = state.commitments;
  return { pending: htlcs.length + (remote.awaiting_revocation ? 1 : 0), committed: htlcs.filter((htlc) => BEYOND_RECALL.has(htlc.state)).length, local_msat: balances(state).local_msat };
}

/** In both commitments, the older ones of which are revoked. */
const BEYOND_RECALL: ReadonlySet<string> = new Set(['SENT_ADD_ACK_REVOCATION', 'RCVD_ADD_ACK_REVOCATION']);

async function invoice(node: RunningNode, amount_msat: Msat): Promise<string> {
  const made = await node.createInvoice({ amount_msat, description: 'test', expiry: 86_400 });
  if (made.status !== 'created') throw new Error(`no invoice: ${made.refusal.code}`);
  return made.bolt11;
}

/** Latencies in ms, and how each failed payment failed. */
async function payAll(node: RunningNode, bolt11s: readonly string[], inFlight: number): Promise<Awaited<ReturnType<ChildMethods['payAll']>>> {
  const latencies: number[] = [];
  const failures: string[] = [];
  let next = 0;
  const started = performance.now();
  const worker = async (): Promise<void> => {
    for (let bolt11 = bolt11s[next++]; bolt11 !== undefined; bolt11 = bolt11s[next++]) {
      const from = performance.now();
      const result = await node.pay({ bolt11 });
      latencies.push(performance.now() - from);
      if (result.status === 'failed') failures.push(`${result.code}: ${result.reason}`);
      if (result.status === 'refused') failures.push(result.refusal.code);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { milliseconds: performance.now() - started, latencies, failures };
}

compileEarly();
process.once('message', (message: StartMessage) => {
  void start(message).catch((error: Error) => process.send!({ ready: false, error: error.message }));
});
// Whoever started us is gone: so is our chain.
process.once('disconnect', () => process.exit(1));

async function start({ options: { dataDir, esdb, records = false, lies = false, fuse, holds, ...options }, chain, verbose }: StartMessage): Promise<void> {
  const folder = join(dataDir, options.name);
  mkdirSync(folder, { recursive: true });
  const { seed } = loadOrCreateSeed(join(folder, 'seed'));
  const wire = records ? openWireRecorder(join(folder, 'wire.jsonl')) : undefined;
  const onLog = (line: string): void => {
    if (verbose) console.error(`${options.name}: ${line}`);
    if (records) appendFileSync(join(folder, 'node.log'), `${process.pid} ${new Date().toISOString()} ${line}\n`);
  };
  let [doomed, past, hold] = [undefined as DoomedStore | undefined, undefined as Past | undefined, undefined as Hold | undefined];
  const letGo = new Set(holds);
  const openStore = async (identity: StoreIdentity): Promise<LogStore> => {
    const store = await open(folder, esdb, identity);
    doomed = createDoomedStore(lies ? createLyingStore(store) : store);
    if (records) past = await readPast(doomed.store);
    if (fuse !== undefined) doomed.light(fuse);
    if (holds !== undefined) hold = holdInvoices(doomed.store, letGo);
    return hold?.store ?? doomed.store;
  };
  const node = await runNode({ ...options, chain: linkedChain(chain), seed, keep: { folder }, recovery: { adopt: true }, openStore, onLog, onMessage: (way, _peer, message) => wire?.take(way, message) });
  if (records) tellFacts(node.store, past!);
  const held: Held = {
    letGo(payment_hash) {
      letGo.add(payment_hash);
      hold?.release();
    },
    end: () => hold?.end(),
  };
  serve(methodsOf(node, doomed!, held), past);
}

const open = (folder: string, esdb: ProcessOptions['esdb'], identity: StoreIdentity): Promise<LogStore> =>
  esdb === undefined ? openSqliteStore({ file: join(folder, 'log.sqlite'), ...identity }) : openEventStoreDb({ url: esdb, checkpointFile: join(folder, 'checkpoint'), ...identity });

/** What the log says from now on is known outside. */
function tellFacts(store: LogStore, { events }: Past): void {
  store.subscribe(events === 0 ? undefined : BigInt(events - 1)).subscribe((envelope) => {
    const fact = factOf(envelope);
    if (fact !== undefined) process.send!({ fact } satisfies ChildNews);
  });
}

function serve(methods: ChildMethods, past: Past | undefined): void {
  process.on('message', (message: Call) => {
    if (!('call' in message)) return;
    const method = methods[message.call] as (...args: readonly unknown[]) => Promise<unknown>;
    void method(...message.args).then(
      (value) => process.send!({ id: message.id, value }),
      (error: Error) => process.send!({ id: message.id, error: error.message }),
    );
  });
  process.send!({ ready: true, past });
}
