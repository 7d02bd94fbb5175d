/** A daemon that answers what a story tells it to: for all that a real one does only when it is ill. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { genesisBlock } from '../../src/adapters/chain/blocks.ts';
import type { RegtestChain } from '../../src/adapters/chain/regtest.ts';

/** What to answer to a call: a result, an error of the daemon's, raw HTTP, or nothing at all. */
export type Answer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  | { readonly status: number; readonly body: string }
  | 'silence';

export interface FakeBackend {
  readonly url: string;
  /** Calls so far, by method. */
  readonly calls: Map<string, number>;
  /** Answers for some methods; the others are answered from the chain. Undefined: from the chain too. */
  script: Readonly<Record<string, (params: readonly unknown[]) => Answer | undefined>>;
  /** The Authorization headers seen. */
  readonly authorizations: string[];
  /** Headers that are let in; undefined for all. */
  allowed: string | undefined;
  stop(): Promise<void>;
}

/** Speaks for an in-process chain: its blocks, its tip. */
export async function startFakeBackend(chain: RegtestChain): Promise<FakeBackend> {
  const fake: { -readonly [K in keyof FakeBackend]: FakeBackend[K] } = { url: '', calls: new Map(), script: {}, authorizations: [], allowed: undefined, stop: async () => undefined };

  const server = createServer((request, response) => void respond(request, response));
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const authorization = request.headers.authorization ?? '';
    fake.authorizations.push(authorization);
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    if (fake.allowed !== undefined && authorization !== fake.allowed) return void response.writeHead(401).end();
    const { method, params } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { method: string; params: readonly unknown[] };
    fake.calls.set(method, (fake.calls.get(method) ?? 0) + 1);
    const answer = fake.script[method]?.(params) ?? (await honest(chain, method, params));
    if (answer === 'silence') return;
    if ('status' in answer) return void response.writeHead(answer.status).end(answer.body);
    response.writeHead('error' in answer ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ id: 0, result: null, error: null, ...answer }));
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  fake.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  fake.stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return fake as FakeBackend;
}

async function honest(chain: RegtestChain, method: string, params: readonly unknown[]): Promise<Answer> {
  const { height, block_hash } = await chain.tip();
  const [first] = params;
  switch (method) {
    case 'getblockchaininfo':
      return { result: { chain: 'regtest', blocks: height, headers: height, bestblockhash: block_hash, initialblockdownload: false, pruned: false } };
    case 'getindexinfo':
      return { result: {} };
    case 'getblockhash': {
      const block = first === 0 ? genesisBlock() : chain.blockAt(first as number);
      return block === undefined ? { error: { code: -8, message: 'Block height out of range' } } : { result: block.block_hash };
    }
    case 'getblock':
      return rawBlock(chain, first as string, height);
    case 'getrawmempool':
      return { result: [] };
    default:
      return { error: { code: -32601, message: 'Method not found' } };
  }
}

function rawBlock(chain: RegtestChain, block_hash: string, height: number): Answer {
  for (let at = height; at >= 0; at--) {
    const block = chain.blockAt(at)!;
    if (block.block_hash !== block_hash) continue;
    const count = block.transactions.length.toString(16).padStart(2, '0');
    return { result: block.header + count + block.transactions.map(({ transaction }) => transaction).join('') };
  }
  return { error: { code: -5, message: 'Block not found' } };
}
