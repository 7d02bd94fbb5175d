/** One HTTP POST with a deadline and a bound on the answer: what JSON-RPC stands on. */
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import { ChainError } from './errors.ts';

export interface Posted {
  readonly status: number;
  readonly body: string;
}

export interface HttpClient {
  /** Throws ChainError `chain_unreachable`, `chain_timeout` or `chain_nonsense` (an answer too long). */
  post(body: string, authorization: string): Promise<Posted>;
  close(): void;
}

export interface HttpOptions {
  readonly url: URL;
  readonly timeoutMs: number;
  readonly maxSockets: number;
}

/** A block in hex is 8 MB at the most, a mempool of 300,000 transactions 20 MB. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

export function createHttpClient({ url, timeoutMs, maxSockets }: HttpOptions): HttpClient {
  const tls = url.protocol === 'https:';
  // One idle connection at the most: the daemon waits for each of them before it ends.
  const agent = new (tls ? TlsAgent : Agent)({ keepAlive: true, maxSockets, maxFreeSockets: 1 });
  const send = tls ? httpsRequest : httpRequest;

  async function post(body: string, authorization: string): Promise<Posted> {
    const signal = AbortSignal.timeout(timeoutMs);
    const headers = { authorization, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        send(url, { method: 'POST', agent, headers, signal }, resolve).on('error', reject).end(body);
      });
      return { status: answer.statusCode ?? 0, body: await readBody(answer) };
    } catch (error) {
      throw signal.aborted ? new ChainError('chain_timeout', `${url.host} gave no answer within ${timeoutMs} ms`) : unreachable(error as NodeJS.ErrnoException);
    }
  }

  const unreachable = (error: NodeJS.ErrnoException): ChainError =>
    error instanceof ChainError ? error : new ChainError('chain_unreachable', `${url.host} cannot be reached: ${error.code ?? error.message}`);

  return { post, close: () => agent.destroy() };
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) {
      answer.destroy();
      throw new ChainError('chain_nonsense', `the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
