/** Answers peers: a TCP server that hands over connections once their handshake and `init` are done. */
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { PeerConnection } from './connection.ts';
import { openConnection } from './connection.ts';
import { handshakeAsResponder } from './handshake.ts';
import type { PeerOptions } from './options.ts';
import { PeerError } from './options.ts';

export interface ListenOptions extends PeerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Sockets at once, whether authenticated or not. Default 500. */
  readonly maxConnections?: number;
  /** Hears of callers that did not become peers, for logs and counters. */
  readonly onRejected?: (reason: PeerError, remoteAddress: string) => void;
}

export interface PeerServer {
  readonly port: number;
  /** Stops listening and ends every connection that came through it. */
  close(): Promise<void>;
}

export async function listenPeers(
  options: ListenOptions,
  onConnection: (connection: PeerConnection) => void,
): Promise<PeerServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    void admit(socket, sockets, options).then(
      onConnection,
      (reason: PeerError) => options.onRejected?.(reason, socket.remoteAddress ?? 'unknown'),
    );
  });
  const port = await listen(server, options);
  return { port, close: () => shutDown(server, sockets) };
}

async function admit(socket: Socket, sockets: Set<Socket>, options: ListenOptions): Promise<PeerConnection> {
  const { maxConnections = 500 } = options;
  // A socket that breaks while nobody listens must not bring the process down.
  socket.on('error', () => undefined);
  if (sockets.size >= maxConnections) {
    socket.destroy();
    throw new PeerError('too_many_connections', `${sockets.size} are open, at most ${maxConnections} may`);
  }
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  const peer = await handshakeAsResponder(socket, options);
  return openConnection(socket, peer, options);
}

function listen(server: Server, { host, port }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function shutDown(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}
