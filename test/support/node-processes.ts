/** Real nodes in processes of their own on one chain: what is killed here is really killed. */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { PeerAddress } from '../../src/adapters/peer/dialer.ts';
import type { Hex, Hex32, Msat } from '../../src/bolt/primitives.ts';
import type { PaymentResult, PayRequest } from '../../src/commands/pay.ts';
import type { Chain } from '../../src/domain/ports.ts';
import type { WalletBalance } from '../../src/domain/wallet/state.ts';
import type { StreamId } from '../../src/events/store.ts';
import type { NodeOptions, OpenChannelRequest } from '../../src/main.ts';
import { serveChain } from './chain-link.ts';
import type { Fuse } from './doomed-store.ts';
import type { Fact, Past } from './node-past.ts';

export interface ChildMethods {
  about(): Promise<PeerAddress>;
  connect(peer: PeerAddress): Promise<void>;
  fundingScript(): Promise<Hex>;
  walletBalance(): Promise<WalletBalance>;
  openChannel(request: OpenChannelRequest): Promise<StreamId>;
  closeChannel(stream: StreamId, options?: { force?: boolean; reason?: string }): Promise<void>;
  /** `pending`: HTLCs and signatures under way; `committed`: HTLCs beyond recall. */
  channels(): Promise<readonly { stream: StreamId; phase: string; usable: boolean; pending: number; committed: number; local_msat: bigint }[]>;
  /** Channels in the node's routing graph. */
  edges(): Promise<number>;
  reached(height: number): Promise<void>;
  settled(): Promise<void>;
  stop(): Promise<void>;
  pay(request: PayRequest): Promise<PaymentResult>;
  invoices(count: number, amount_msat: Msat): Promise<readonly string[]>;
  payAll(bolt11s: readonly string[], inFlight: number): Promise<{ milliseconds: number; latencies: readonly number[]; failures: readonly string[] }>;
  /** The invoice is held open no longer. */
  letGo(payment_hash: Hex32): Promise<void>;
  /** The process will kill itself. */
  light(fuse: Fuse): Promise<void>;
}

/** Options that another process can be given. */
export interface ProcessOptions extends Omit<NodeOptions, 'chain' | 'onLog' | 'onMessage' | 'now'> {
  /** Address of an event database that holds the log, instead of a file in the folder. */
  readonly esdb?: string;
  /** Keeps `wire.jsonl` and `node.log` in the folder, and tells of its past and of new facts. */
  readonly records?: boolean;
  /** Its store answers before anything is durable: what happens then must be found out. */
  readonly lies?: boolean;
  /** Its invoices are held open, all but these. */
  readonly holds?: readonly Hex32[];
  /** Lit before the node starts. */
  readonly fuse?: Fuse;
}
export interface StartMessage {
  readonly options: ProcessOptions;
  readonly chain: { readonly network: string; readonly chain_hash: Hex32 };
  readonly verbose: boolean;
}
export interface Call {
  readonly id: number;
  readonly call: keyof ChildMethods;
  readonly args: readonly unknown[];
}
/** Told unasked. */
export interface ChildNews {
  readonly fact: Fact;
}
type Ready = { readonly ready: boolean; readonly error?: string; readonly past?: Past };
type Answer = Ready | ChildNews | { readonly id: number; readonly value?: unknown; readonly error?: string };

export interface NodeProcess extends ChildMethods {
  readonly pid: number;
  /** What its log held when it started, if it keeps records. */
  readonly past: Past | undefined;
  /** Resolves when the process has ended, whatever ended it. */
  readonly exited: Promise<void>;
  /** SIGKILL; resolves when the process is gone. Calls under way reject. */
  kill(): Promise<void>;
}

export interface ProcessExtras {
  readonly verbose?: boolean;
  readonly args?: readonly string[];
  /** The child's program, compiled: it starts in half the time of the sources. */
  readonly program?: string;
  /** Hears of the process before the node in it is ready: to kill it there. */
  readonly onSpawn?: (child: ChildProcess) => void;
  readonly onFact?: (fact: Fact) => void;
}

/** Starts a node in a child process; its chain stays here. Rejects when it does not start. */
export async function startNodeProcess(options: ProcessOptions, chain: Chain, extras: ProcessExtras = {}): Promise<NodeProcess> {
  const { verbose = false, args = [], program, onSpawn, onFact } = extras;
  const [file, loader] = program === undefined ? [fileURLToPath(new URL('./node-child.ts', import.meta.url)), ['--import', 'tsx']] : [program, []];
  const child = fork(file, [], { execArgv: [...loader, ...args], serialization: 'advanced' });
  // A message to a process that was killed a moment ago.
  child.on('error', () => undefined);
  onSpawn?.(child);
  serveChain(chain, child);
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  let gone = false;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void exited.then(() => {
    gone = true;
    for (const { reject } of waiting.values()) reject(new Error(`${options.name} is gone`));
  });
  const start: StartMessage = { options, chain: { network: chain.network, chain_hash: chain.chain_hash }, verbose };
  child.send(start);
  child.on('message', (message: Answer) => {
    if ('fact' in message) return onFact?.(message.fact);
    if (!('id' in message) || 'chain' in message) return;
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) asked?.resolve(message.value as never);
    else asked?.reject(new Error(`${options.name}: ${message.error}`));
  });
  const { past } = await ready(child, options.name, exited).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  let last = 0;
  const call = (name: keyof ChildMethods) => (...parameters: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (gone || !child.connected) return reject(new Error(`${options.name} is gone`));
      waiting.set(++last, { resolve, reject });
      child.send({ id: last, call: name, args: parameters } satisfies Call);
    });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  const own = { pid: child.pid!, past, exited, kill, stop: () => Promise.race([call('stop')(), exited]).then(kill) };
  return new Proxy(own, {
    get: (target, name) => (name === 'then' ? undefined : name in target ? target[name as keyof typeof target] : call(name as keyof ChildMethods)),
  }) as unknown as NodeProcess;
}

function ready(child: ChildProcess, name: string, exited: Promise<void>): Promise<Ready> {
  return new Promise((resolve, reject) => {
    const hear = (message: Answer): void => {
      if (!('ready' in message)) return;
      child.off('message', hear);
      if (message.ready) resolve(message);
      else reject(new Error(`${name} did not start: ${message.error}`));
    };
    child.on('message', hear);
    void exited.then(() => reject(new Error(`${name} ended before it was ready`)));
  });
}
