/** The HTTP API of the playground, at the port asked for or the next free one. */
import { createHttpServer, type HttpServer } from '../http/server.ts';
import type { Network } from './network.ts';
import { PlaygroundError } from './waiting.ts';

export interface Served {
  /** As `http://127.0.0.1:8750`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Ports tried one after the other when one is taken. */
const TRIED_PORTS = 20;

/** `onTaken` hears of every port that somebody else has. Throws PlaygroundError `no_free_port`. */
export async function serveNetwork(network: Network, host: string, port: number, onTaken: (port: number) => void): Promise<Served> {
  const nodes = network.all().map(({ name, node_id, store }) => ({ name, node_id, store }));
  for (let tried = 0; tried < TRIED_PORTS && port + tried < 65_536; tried++) {
    const server = await createHttpServer({ nodes });
    const address = await listen(server, host, port + tried);
    if (address !== undefined) return { address, close: () => server.close() };
    onTaken(port + tried);
  }
  throw new PlaygroundError('no_free_port', `${host}: expected a free port from ${port} to ${port + TRIED_PORTS - 1}, got none`);
}

/** Undefined when the port is taken. */
async function listen(server: HttpServer, host: string, port: number): Promise<string | undefined> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    await server.close();
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
    throw error;
  }
}
