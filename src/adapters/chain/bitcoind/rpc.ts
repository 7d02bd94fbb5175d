/** A client of Bitcoin Core's JSON-RPC: few calls at a time, each with a deadline, retried where that can help, every answer checked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createCredentials, type CredentialOptions, type Credentials } from './credentials.ts';
import { ChainError, isPassing } from './errors.ts';
import { createHttpClient, type HttpClient } from './http.ts';

export interface RpcOptions extends CredentialOptions {
  /** `http://127.0.0.1:8332`; no name or password in it. */
  readonly url: string;
  /** For one call, in milliseconds; 30,000 unless told. */
  readonly timeoutMs?: number;
  /** Tries in all where the failure may pass; 4 unless told. */
  readonly attempts?: number;
}

export interface Rpc {
  /** The host and port, for messages. */
  readonly host: string;
  /** Throws ChainError; `chain_refused` carries the daemon's own number and words. */
  call<T>(method: string, params: readonly unknown[], answer: z.ZodType<T>): Promise<T>;
  /** One request with many calls; what the daemon refuses is undefined. */
  batch<T>(method: string, params: readonly (readonly unknown[])[], answer: z.ZodType<T>): Promise<readonly (T | undefined)[]>;
  close(): void;
}

/** Bitcoin Core serves 4 at a time and queues 16. */
const CALLS_AT_ONCE = 4;
const MAX_WAITING = 10_000;
const FIRST_PAUSE_MS = 100;
/** RPC_IN_WARMUP. */
const WARMING_UP = -28;

export function createRpc(options: RpcOptions): Rpc {
  const { timeoutMs = 30_000, attempts = 4 } = options;
  const url = parseUrl(options.url);
  const credentials = createCredentials(options);
  const http = createHttpClient({ url, timeoutMs, maxSockets: CALLS_AT_ONCE });
  const slot = createSlots(CALLS_AT_ONCE);
  const stopped = new AbortController();

  /** Tries again, with growing pauses, where waiting may help. */
  async function post(body: unknown): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      if (stopped.signal.aborted) throw new ChainError('chain_closed', `the connection to ${url.host} is closed`);
      try {
        return await slot(() => postOnce(http, credentials, url.host, JSON.stringify(body)));
      } catch (error) {
        if (!isPassing(error) || attempt >= attempts || stopped.signal.aborted) throw error;
        await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal: stopped.signal }).catch(() => undefined);
      }
    }
  }

  return {
    host: url.host,
    async call(method, params, answer) {
      const envelope = check(single, await post(request(0, method, params)), method);
      return check(answer, resultOf(envelope, method), method);
    },
    async batch(method, params, answer) {
      if (params.length === 0) return [];
      const envelopes = check(z.array(single), await post(params.map((each, id) => request(id, method, each))), method);
      const byId = new Map(envelopes.map((envelope) => [envelope.id, envelope]));
      return params.map((_, id) => {
        const envelope = byId.get(id);
        if (envelope === undefined) throw new ChainError('chain_nonsense', `${method}: expected ${params.length} answers, got ${envelopes.length} and none to number ${id}`);
        return envelope.error ? undefined : check(answer, envelope.result, method);
      });
    },
    close() {
      stopped.abort();
      http.close();
    },
  };
}

const request = (id: number, method: string, params: readonly unknown[]) => ({ jsonrpc: '1.0', id, method, params });

const single = z.object({
  id: z.number().nullable(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).nullish(),
});

/** Bitcoin Core answers errors with HTTP 404 or 500 and a body as usual. */
async function postOnce(http: HttpClient, credentials: Credentials, host: string, body: string): Promise<unknown> {
  let answer = await http.post(body, await credentials.header());
  if (answer.status === 401 && credentials.refused()) answer = await http.post(body, await credentials.header());
  if (answer.status === 401 || answer.status === 403) {
    throw new ChainError('chain_unauthorized', `${host} refuses us with HTTP ${answer.status}: ${answer.status === 401 ? 'wrong name, password or cookie' : 'our address or this call is not allowed'}`);
  }
  if (answer.status === 503) throw new ChainError('chain_busy', `${host} is busy: HTTP 503: ${shorten(answer.body)}`);
  return parseJson(answer.body, `${host}, HTTP ${answer.status}`);
}

function resultOf({ error, result }: z.output<typeof single>, method: string): unknown {
  if (!error) return result;
  const words = shorten(error.message);
  if (error.code === WARMING_UP) throw new ChainError('chain_busy', `${method}: the daemon is starting: ${words}`, error.code);
  throw new ChainError('chain_refused', words, error.code);
}

function parseJson(text: string, from: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ChainError('chain_nonsense', `expected JSON from ${from}, got "${shorten(text)}"`);
  }
}

function check<T>(schema: z.ZodType<T>, value: unknown, method: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ChainError('chain_nonsense', `${method}: ${issue!.path.join('.') || 'the answer'}: ${issue!.message}; got ${shorten(JSON.stringify(value) ?? 'nothing')}`);
}

const shorten = (text: string): string => text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 200);

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new ChainError('chain_settings', `expected an address like http://127.0.0.1:8332, got "${url?.protocol ?? shorten(text)}"`);
  if (url.username !== '' || url.password !== '') throw new ChainError('chain_settings', `the address of ${url.host} holds a name or a password: give them as user and password`);
  return url;
}

/** Lets so many jobs run at once; the others wait in line. */
function createSlots(slots: number): <T>(job: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = slots;
  return async (job) => {
    if (waiting.length >= MAX_WAITING) throw new ChainError('chain_busy', `${waiting.length} calls wait for the chain backend, at most ${MAX_WAITING}`);
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
