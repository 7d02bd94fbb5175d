/** LDK in a process of its own: asked over IPC, fed with blocks from here, its transactions and wishes handed back. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Hex, Hex32, Msat, NodeId, Sat, ShortChannelId } from '../../../src/bolt/primitives.ts';
import type { LdkBlock, LdkOptions } from './ldk-node.ts';
import type { LdkClosed, LdkEnd } from './ldk-notes.ts';

/** A channel as LDK sees it. */
export interface LdkChannel {
  readonly channel_id: Hex32;
  readonly peer_id: NodeId;
  readonly short_channel_id?: ShortChannelId;
  readonly format: 'anchors_zero_fee_htlc_tx' | 'static_remotekey' | 'other';
  readonly opener: boolean;
  readonly usable: boolean;
  readonly announced: boolean;
  readonly funding_satoshis: Sat;
  /** LDK's own balance. Undefined while either side is below its reserve and it cannot be told. */
  readonly balance_msat?: Msat;
  /** In either direction, on either commitment. */
  readonly htlcs: number;
}

export interface LdkOpening {
  readonly peer_id: NodeId;
  readonly funding_satoshis: Sat;
  readonly push_msat?: Msat;
  readonly anchors?: boolean;
  readonly announce?: boolean;
}

/** How a payment of LDK's went wrong: whom it blames, by node or by channel. */
export interface LdkFailure {
  readonly payment_hash: Hex32;
  readonly permanent: boolean;
  /** Nothing was sent, and why. */
  readonly refused?: string;
  readonly short_channel_id?: ShortChannelId;
  readonly blamed?: { readonly kind: 'channel' | 'node'; readonly id: string; readonly permanent: boolean };
}

export interface LdkPayments {
  readonly milliseconds: number;
  readonly latencies: readonly number[];
  readonly fees_msat: readonly bigint[];
  readonly failures: readonly LdkFailure[];
}

export interface LdkMethods {
  about(): Promise<{ readonly node_id: NodeId; readonly host: string; readonly port: number }>;
  height(): Promise<number>;
  connectBlocks(blocks: readonly LdkBlock[]): Promise<void>;
  connect(peer: { readonly node_id: NodeId; readonly host: string; readonly port: number }): Promise<void>;
  disconnect(peer_id: NodeId): Promise<void>;
  peers(): Promise<readonly NodeId[]>;
  channels(): Promise<readonly LdkChannel[]>;
  /** Channels of its graph whose two ends have both said their terms. */
  edges(): Promise<readonly ShortChannelId[]>;
  openChannel(opening: LdkOpening): Promise<void>;
  /** The answer to a wish for funding; LDK broadcasts it when it is safe. */
  fund(wish: number, transaction: Hex): Promise<void>;
  closeChannel(channel_id: Hex32, peer_id: NodeId, options?: { readonly force?: boolean }): Promise<void>;
  /** sat per 1000 weight: as LDK's estimator says from now on, and as its channels hear with the next tick. */
  setFeerate(feerate_per_kw: number): Promise<void>;
  invoices(count: number, amount_msat: Msat): Promise<readonly string[]>;
  /** An invoice of its own that it will fail when it is paid. */
  refuse(bolt11: string): Promise<void>;
  /** An invoice whose payment waits until it is released: LDK neither claims nor fails it. */
  heldInvoice(amount_msat: Msat, final_cltv: number): Promise<string>;
  /** Payment hashes of held invoices that are paid, since the process began. */
  held(): Promise<readonly Hex32[]>;
  release(bolt11: string, how: 'claim' | 'fail'): Promise<void>;
  /** Begins a payment, without a retry; `ends` says what becomes of it. */
  begin(bolt11: string): Promise<void>;
  /** Of payments that were begun. */
  ends(): Promise<ReadonlyMap<Hex32, LdkEnd>>;
  /** Each once, without a retry, so many at a time. */
  payAll(bolt11s: readonly string[], inFlight: number): Promise<LdkPayments>;
  /** Payments of its own that have not ended, those of earlier runs included. */
  pendingPayments(): Promise<number>;
  /** Events by name, since the process began. */
  counts(): Promise<Readonly<Record<string, number>>>;
  closed(): Promise<readonly LdkClosed[]>;
  /** What of closed channels may still come to LDK, in words, output by output. */
  claimable(): Promise<readonly string[]>;
  /** Its own coins in blocks, with which it pays for anchors and HTLC transactions. */
  purse(): Promise<{ readonly script_pubkey: Hex; readonly coins: number; readonly total_sat: Sat }>;
  /** Saves and ends as it stands, in the middle of whatever is under way. */
  halt(): Promise<void>;
}

/** What LDK asks of its surroundings. */
export interface LdkSurroundings {
  broadcast(transactions: readonly Hex[]): void;
  /** A transaction that pays this, signed and not sent. */
  fund?(script_pubkey: Hex, value: Sat): Promise<Hex>;
  /** Where LDK sends what it claims. */
  readonly sweep_script?: Hex;
  /** The child's program, compiled. */
  readonly program?: string | undefined;
}

export interface LdkStart {
  readonly options: LdkOptions;
  readonly sweep_script?: Hex;
}
export interface LdkCall {
  readonly id: number;
  readonly call: keyof LdkMethods;
  readonly args: readonly unknown[];
}
export type LdkWord =
  | { readonly ready: true }
  | { readonly broadcast: readonly Hex[] }
  | { readonly wish: number; readonly script_pubkey: Hex; readonly value: Sat }
  | { readonly id: number; readonly value?: unknown; readonly error?: string };

export interface LdkProcess extends LdkMethods {
  readonly name: string;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;
  kill(): Promise<void>;
}

export async function startLdk(name: string, options: LdkOptions, surroundings: LdkSurroundings): Promise<LdkProcess> {
  const { program } = surroundings;
  const child = fork(program ?? fileURLToPath(new URL('./ldk-child.ts', import.meta.url)), [], { execArgv: program === undefined ? ['--import', 'tsx'] : [], serialization: 'advanced' });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let last = 0;
  const call = (method: keyof LdkMethods, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (!child.connected) return reject(new Error(`${name} is gone`));
      waiting.set(++last, { resolve, reject });
      child.send({ id: last, call: method, args } satisfies LdkCall);
    });
  const ready = new Promise<void>((resolve, reject) => {
    void exited.then(() => {
      for (const each of waiting.values()) each.reject(new Error(`${name} is gone`));
      reject(new Error(`${name} did not start`));
    });
    child.on('message', (word: LdkWord) => {
      if ('ready' in word) return resolve();
      if ('broadcast' in word) return surroundings.broadcast(word.broadcast);
      if ('wish' in word) return void surroundings.fund?.(word.script_pubkey, word.value).then((transaction) => call('fund', [word.wish, transaction]), (error: Error) => console.error(`${name}: no funding: ${error.message}`));
      const asked = waiting.get(word.id);
      waiting.delete(word.id);
      if (word.error === undefined) asked?.resolve(word.value);
      else asked?.reject(new Error(`${name}: ${word.error}`));
    });
  });
  child.send({ options, sweep_script: surroundings.sweep_script } satisfies LdkStart);
  await ready;
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  /** It ends without an answer. */
  const halt = async () => {
    call('halt', []).catch(() => undefined);
    await exited;
  };
  const own: Record<string, unknown> = { name, exited, kill, halt };
  const ask = (method: string) => (...args: readonly unknown[]) => call(method as keyof LdkMethods, args);
  return new Proxy(own, { get: (target, key) => (key === 'then' ? undefined : (target[key as string] ?? ask(key as string))) }) as unknown as LdkProcess;
}
