/** Calls a peer: TCP, BOLT 8 handshake, `init`. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { NodeId } from '../../bolt/primitives.ts';
import type { PeerConnection } from './connection.ts';
import { openConnection } from './connection.ts';
import { handshakeAsInitiator } from './handshake.ts';
import type { PeerOptions } from './options.ts';
import { limitsOf, PeerError, timersOf } from './options.ts';

export interface ConnectOptions extends PeerOptions {
  readonly host: string;
  readonly port: number;
  readonly remoteNodeId: NodeId;
}

/** Resolves when messages can be sent. Rejects with PeerError, whose `code` says what failed. */
export async function connectPeer(options: ConnectOptions): Promise<PeerConnection> {
  const socket = await dial(options);
  const peer = await handshakeAsInitiator(socket, options.remoteNodeId, options);
  return openConnection(socket, peer, options);
}

function dial(options: ConnectOptions): Promise<Socket> {
  const { host, port } = options;
  const { handshakeTimeoutMs } = limitsOf(options);
  const timers = timersOf(options);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const late = new Error(`no answer within ${handshakeTimeoutMs} ms`);
    const deadline = timers.setTimeout(() => socket.destroy(late), handshakeTimeoutMs);
    const failed = (error: Error): void => {
      timers.clearTimeout(deadline);
      reject(new PeerError('connect_failed', `${host}:${port}: ${error.message}`));
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      timers.clearTimeout(deadline);
      // Later errors are told by 'close'; unheard they would bring the process down.
      socket.off('error', failed).on('error', () => undefined);
      resolve(socket);
    });
  });
}
