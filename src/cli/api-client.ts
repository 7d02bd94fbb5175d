/** The API of a running node, found by its data folder: where it answers, and the token that it asks for. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataFolder, type Environment } from '../config.ts';
import { CommandFailed } from './output.ts';

export interface Api {
  /** The data folder that was meant. */
  readonly data: string;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<T>;
  delete<T>(path: string): Promise<T>;
  /** An answer without end (Server-Sent Events). */
  stream(path: string, lastEventId: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

/** Throws CommandFailed, with what to do, when no node is to be found there. */
export function connectApi(data: string | undefined, env: Environment = process.env): Api {
  const folder = dataFolder(data, env);
  const address = readFile(join(folder, 'api-address')) ?? fail('node_not_running', notRunning(folder));
  const token = readFile(join(folder, 'api-token')) ?? fail('no_token', `${folder} has no api-token that we may read: ask as the user who runs the node, or name another folder with --data`);

  async function request(method: string, path: string, { body, headers, signal }: { readonly body?: object; readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal } = {}): Promise<Response> {
    const json: Readonly<Record<string, string>> = body === undefined ? {} : { 'content-type': 'application/json' };
    const init: RequestInit = { method, signal, headers: { authorization: `Bearer ${token}`, ...json, ...headers }, body: body && JSON.stringify(body) };
    const response = await fetch(address + path, init).catch((error: Error) => fail(...unreachable(folder, address, error)));
    if (response.ok) return response;
    throw await problemOf(response, folder, address);
  }

  const json = async <T>(response: Response): Promise<T> => (await response.json()) as T;
  return {
    data: folder,
    get: async (path) => json(await request('GET', path)),
    post: async (path, body = {}, headers = {}) => json(await request('POST', path, { body, headers })),
    delete: async (path) => json(await request('DELETE', path)),
    async stream(path, lastEventId, signal) {
      const headers = { accept: 'text/event-stream', ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) };
      return (await request('GET', path, { headers, signal })).body!;
    },
  };
}

function readFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function notRunning(folder: string): string {
  const hint = existsSync(join(folder, 'seed')) ? `start it with: fulgurite node --data ${folder}` : 'there is no node in that folder: name another with --data or FULGURITE_DATA, or make one with: fulgurite init';
  return `no node runs on ${folder}; ${hint}`;
}

function unreachable(folder: string, address: string, error: Error): readonly [string, string] {
  const reason = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.message;
  return ['node_not_running', `the node of ${folder} does not answer at ${address} (${reason}): was it killed? Start it again with: fulgurite node --data ${folder}`];
}

function fail(code: string, message: string): never {
  throw new CommandFailed(code, message);
}

async function problemOf(response: Response, folder: string, address: string): Promise<CommandFailed> {
  const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  if (response.status === 401) return new CommandFailed('token_refused', `${address} refuses the token of ${folder}: expected the token of the node that answers there; is it another one? Name its folder with --data`);
  return new CommandFailed(problem.code ?? 'unexpected_answer', problem.detail ?? `${address}: expected an answer, got status ${response.status}`);
}
