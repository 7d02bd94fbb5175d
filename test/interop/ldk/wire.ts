/** LDK's PeerManager on TCP: each socket is a descriptor to it, and what arrives is read at once. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import * as ldk from 'lightningdevkit';
import { isNull, none, ok } from './wasm.ts';

export interface WireOwner {
  readonly peers: ldk.PeerManager;
  /** Called after each read: LDK sends nothing by itself. */
  poll(): void;
}

let lastDescriptor = 0n;

/** Gives a connected socket to LDK. `their_id` where we dialled. */
function attach(owner: WireOwner, socket: Socket, their_id?: Uint8Array): void {
  const id = ++lastDescriptor;
  let paused = false;
  const descriptor = ldk.SocketDescriptor.new_impl({
    send_data(data, resume) {
      if (resume && paused) socket.resume();
      paused &&= !resume;
      if (data.length > 0) socket.write(data);
      // Node buffers, so all of it is always taken.
      return data.length;
    },
    disconnect_socket: () => void socket.destroy(),
    eq: (other) => other.hash() === id,
    hash: () => id,
  });
  socket.setNoDelay(true);
  socket.on('data', (data) => {
    const read = owner.peers.read_event(descriptor, new Uint8Array(data));
    if (!read.is_ok()) return void socket.destroy();
    paused = ok<boolean>(read, 'read');
    if (paused) socket.pause();
    owner.poll();
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    owner.peers.socket_disconnected(descriptor);
    owner.poll();
  });
  if (their_id === undefined) ok(owner.peers.new_inbound_connection(descriptor, none.address()), 'an inbound connection');
  else socket.write(ok<Uint8Array>(owner.peers.new_outbound_connection(their_id, descriptor, none.address()), 'an outbound connection'));
}

/** Any free port of loopback. */
export async function listen(owner: WireOwner, port = 0): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => attach(owner, socket)).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** Resolves when both have said init. */
export async function dial(owner: WireOwner, their_id: Uint8Array, host: string, port: number): Promise<void> {
  const socket = connect(port, host);
  await once(socket, 'connect');
  attach(owner, socket, their_id);
  for (let tries = 0; tries < 1000; tries++) {
    if (!isNull(owner.peers.peer_by_node_id(their_id))) return;
    if (socket.destroyed) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`LDK did not get through to ${host}:${port}`);
}
