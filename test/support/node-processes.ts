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

export interface ChildMethods {
  about(): Promise<PeerAddress>;
  connect(peer: PeerAddress): Promise<void>;
  fundingScript(): Promise<Hex>;
  walletBalance(): Promise<WalletBalance>;
  openChannel(request: OpenChannelRequest): Promise<StreamId>;
  closeChannel(stream: StreamId, options?: { force?: boolean; reason?: string }): Promise<void>;
  channels(): Promise<readonly { stream: StreamId; phase: string; usable: boolean }[]>;
  /** Channels in the node's routing graph. */
  edges(): Promise<number>;
  reached(height: number): Promise<void>;
  settled(): Promise<void>;
  stop(): Promise<void>;
  pay(request: PayRequest): Promise<PaymentResult>;
  invoices(count: number, amount_msat: Msat): Promise<readonly string[]>;
  payAll(bolt11s: readonly string[], inFlight: number): Promise<{ milliseconds: number; latencies: readonly number[]; failures: readonly string[] }>;
}

/** Options that another process can be given. */
export type ProcessOptions = Omit<NodeOptions, 'chain' | 'onLog' | 'now'>;
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
type Answer = { readonly ready: boolean; readonly error?: string } | { readonly id: number; readonly value?: unknown; readonly error?: string };

export interface NodeProcess extends ChildMethods {
  readonly pid: number;
  /** SIGKILL; resolves when the process is gone. Calls under way reject. */
  kill(): Promise<void>;
}

/** Starts a node in a child process; its chain stays here. Rejects when it does not start. */
export async function startNodeProcess(options: ProcessOptions, chain: Chain, { verbose = false, args = [] as readonly string[] } = {}): Promise<NodeProcess> {
  const child = fork(fileURLToPath(new URL('./node-child.ts', import.meta.url)), [], { execArgv: ['--import', 'tsx', ...args], serialization: 'advanced' });
  serveChain(chain, child);
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`${options.name} is gone`));
  });
  const start: StartMessage = { options, chain: { network: chain.network, chain_hash: chain.chain_hash }, verbose };
  child.send(start);
  await ready(child, options.name, exited);
  child.on('message', (message: Answer) => {
    if (!('id' in message) || 'chain' in message) return;
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) asked?.resolve(message.value as never);
    else asked?.reject(new Error(`${options.name}: ${message.error}`));
  });
  let last = 0;
  const call = (name: keyof ChildMethods) => (...parameters: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (!child.connected) return reject(new Error(`${options.name} is gone`));
      waiting.set(++last, { resolve, reject });
      child.send({ id: last, call: name, args: parameters } satisfies Call);
    });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  const own = { pid: child.pid!, kill, stop: () => Promise.race([call('stop')(), exited]).then(kill) };
  return new Proxy(own, { get: (target, name) => (name === 'then' ? undefined : (target as Record<string | symbol, unknown>)[name] ?? call(name as keyof ChildMethods)) }) as unknown as NodeProcess;
}

function ready(child: ChildProcess, name: string, exited: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const hear = (message: Answer): void => {
      if (!('ready' in message)) return;
      child.off('message', hear);
      if (message.ready) resolve();
      else reject(new Error(`${name} did not start: ${message.error}`));
    };
    child.on('message', hear);
    void exited.then(() => reject(new Error(`${name} ended before it was ready`)));
  });
}
