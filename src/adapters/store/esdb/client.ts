/** The process's one client of EventStoreDB: shared, counted, disposed and built anew when it is poisoned. */
import { EventStoreDBClient } from '@eventstore/db-client';
import { StoreError } from '../../../events/store.ts';
import { withoutCredentials } from './errors.ts';

interface Closable {
  destroy(error: Error): unknown;
  on(event: 'error', listener: () => void): unknown;
}

/**
 * The client keeps the promises of all its instances in one table of the module: two clients reject or hang each other's
 * appends. So there is one in the process, shared by all stores.
 */
export interface SharedClient {
  readonly url: string;
  client: EventStoreDBClient;
  users: number;
  renewing: Promise<void> | undefined;
  /** Reads and subscriptions that a disposal would leave hanging. */
  readonly open: Set<Closable>;
}
let shared: SharedClient | undefined;
let disposed: Promise<void> = Promise.resolve();

/** Milliseconds that a disposal may take. */
const DISPOSAL = 2_000;

/** Throws StoreError `invalid_url`, or `one_client_a_process` while this process is connected to another database. */
export async function takeClient(url: string): Promise<SharedClient> {
  for (let awaited; awaited !== disposed; await awaited) awaited = disposed;
  if (shared !== undefined && shared.url !== url) {
    const [expected, got] = [withoutCredentials(shared.url), withoutCredentials(url)];
    throw new StoreError('one_client_a_process', `this process uses ${expected} already, it cannot use ${got} too`, { expected, got });
  }
  shared ??= { url, client: build(url), users: 0, renewing: undefined, open: new Set() };
  shared.users += 1;
  return shared;
}

/** The last who gives it back disposes it. */
export async function giveBack(link: SharedClient): Promise<void> {
  link.users -= 1;
  if (link.users > 0) return;
  if (shared === link) shared = undefined;
  disposed = Promise.resolve(link.renewing).then(() => dispose(link));
  await disposed;
}

/** The client's own complaint about an address shows the password. */
function build(url: string): EventStoreDBClient {
  try {
    return EventStoreDBClient.connectionString(url);
  } catch {
    const got = withoutCredentials(url);
    throw new StoreError('invalid_url', `expected an address like esdb://host:2113?tls=false, got ${got}`, { expected: 'esdb://host:port', got });
  }
}

/** An error nobody listens to would end the process; one that a disposal hides would let the reader hang. */
export function guard<T extends Closable>(link: SharedClient, reading: T): T {
  reading.on('error', () => {});
  link.open.add(reading);
  return reading;
}

/** Disposes a client that does not answer and builds a new one; once for all who complain about the same one. */
export function renew(link: SharedClient, complained: EventStoreDBClient): void {
  if (link.client !== complained || link.renewing !== undefined) return;
  link.renewing = dispose(link).then(() => {
    if (link.users > 0) link.client = build(link.url);
    link.renewing = undefined;
  });
}

async function dispose(link: SharedClient): Promise<void> {
  for (const reading of link.open) reading.destroy(new Error('the client was disposed'));
  link.open.clear();
  await within(
    DISPOSAL,
    link.client.dispose().catch(() => {}),
    undefined,
  );
}

/** The answer, or `otherwise` when it takes longer. */
export async function within<T, U>(milliseconds: number, answer: Promise<T>, otherwise: U): Promise<T | U> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<U>((resolve) => (timer = setTimeout(() => resolve(otherwise), milliseconds)));
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
