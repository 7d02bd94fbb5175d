/** LDK's bindings, loaded quietly, and the few shorthands that make their Rust types bearable. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as ldk from 'lightningdevkit';
import * as bindings from 'lightningdevkit/bindings.mjs';
import { type ShortChannelId, shortChannelIdFromBigint } from '../../../src/bolt/primitives.ts';

/** Why LDK cannot be had here, or undefined. */
export function whyNoLdk(): string | undefined {
  try {
    createRequire(import.meta.url).resolve('lightningdevkit/liblightningjs.wasm');
    return undefined;
  } catch {
    return 'the package lightningdevkit is not installed: npm install --include=dev';
  }
}

/** Once for a process. The loader's banner is kept off standard output. */
export async function loadLdk(): Promise<void> {
  const wasm = readFileSync(createRequire(import.meta.url).resolve('lightningdevkit/liblightningjs.wasm'));
  const { log } = console;
  console.log = () => undefined;
  await ldk.initializeWasmFromBinary(wasm).finally(() => (console.log = log));
}

interface RustResult {
  is_ok(): boolean;
}

/** The value of a Rust result. Throws with LDK's own words when there is none. */
export function ok<T = void>(result: RustResult, what: string): T {
  if (result.is_ok()) return (result as unknown as { res: T }).res;
  throw new Error(`${what}: ${describeError((result as unknown as { err: unknown }).err)}`);
}

function describeError(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  const { err, get_err } = error as { err?: unknown; get_err?: () => unknown };
  return `${error.constructor.name} ${String(err ?? get_err?.call(error) ?? '')}`.trim();
}

/** The value of a Rust option, whose class says whether there is one. */
export const some = <T>(option: unknown): T | undefined => (option as { some?: T }).some;

/** A null of Rust comes as a wrapper around no address. */
export const isNull = (wrapper: unknown): boolean => wrapper === null || wrapper === undefined || (wrapper as { ptr?: bigint }).ptr === 0n;

/** The bindings hand a u64 over as an i64: aliases with the highest bit set come as negative numbers. */
export const scidOf = (raw: bigint): ShortChannelId => shortChannelIdFromBigint(BigInt.asUintN(64, raw));

export const none = {
  u64: () => ldk.Option_u64Z.constructor_none(),
  u32: () => ldk.Option_u32Z.constructor_none(),
  u16: () => ldk.Option_u16Z.constructor_none(),
  bytes32: () => ldk.Option_ThirtyTwoBytesZ.constructor_none(),
  address: () => ldk.Option_SocketAddressZ.constructor_none(),
};

/** What the bindings' own type file leaves out. */
interface RawBindings {
  LDKLogger_new(implementation: { log(record: bigint): void }): readonly [bigint, bigint];
  Record_free(record: bigint): void;
}
type FromPointer<T> = new (dummy: null, pointer: bigint) => T;

/**
 * LDK formats every record, also those nobody reads, and hands it over; the ready-made trait would make an object for the
 * garbage collector of each. `LDK_LOG=1` shows them on standard error.
 */
export function quietLogger(): ldk.Logger {
  const { LDKLogger_new, Record_free } = bindings as unknown as RawBindings;
  const shown = process.env['LDK_LOG'] !== undefined;
  const implementation = { log: (pointer: bigint) => (shown ? show(pointer) : Record_free(pointer)) };
  const [pointer, index] = LDKLogger_new(implementation);
  const logger = new (ldk.Logger as unknown as FromPointer<ldk.Logger>)(null, pointer);
  return Object.assign(logger, { instance_idx: index, bindings_instance: implementation as never });
}

function show(pointer: bigint): void {
  const record = new (ldk.Record as unknown as FromPointer<ldk.Record>)(null, pointer);
  console.error(`ldk ${process.pid} ${record.get_module_path()}: ${record.get_args()}`);
}
