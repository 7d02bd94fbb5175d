/** BOLT 8 over a socket: three acts within a deadline, reading never more than each act's bytes. */
import type { Socket } from 'node:net';
import type { TransportKeys } from '../../bolt/08-transport/noise.ts';
import {
  ACT_ONE_BYTES,
  ACT_THREE_BYTES,
  ACT_TWO_BYTES,
  createInitiator,
  HandshakeError,
  receiveActOne,
  receiveActThree,
  receiveActTwo,
} from '../../bolt/08-transport/noise.ts';
import { crypto } from '../../bolt/crypto.ts';
import type { NodeId } from '../../bolt/primitives.ts';
import { fromHex, toPoint } from '../../bolt/primitives.ts';
import type { PeerOptions } from './options.ts';
import { generateEphemeralKey, limitsOf, noiseIdentity, PeerError, timersOf } from './options.ts';

export interface Authenticated {
  readonly remoteNodeId: NodeId;
  readonly keys: TransportKeys;
}

/** We call `remoteNodeId`, and nobody else can answer. Rejects with PeerError; the socket is destroyed then. */
export function handshakeAsInitiator(socket: Socket, remoteNodeId: NodeId, options: PeerOptions): Promise<Authenticated> {
  return withinDeadline(socket, options, async () => {
    const remotePublicKey = fromHex(remoteNodeId);
    if (!crypto().isPoint(remotePublicKey)) throw new PeerError('invalid_node_id', `not a point of the curve: ${remoteNodeId}`);
    const identity = noiseIdentity(options.keys);
    const { state, actOne } = createInitiator({ identity, remotePublicKey, ephemeralPrivateKey: generateEphemeralKey() });
    socket.write(actOne);
    const { actThree, keys } = receiveActTwo(state, await readExactly(socket, ACT_TWO_BYTES));
    socket.write(actThree);
    return { remoteNodeId, keys };
  });
}

/** We are called, and learn by whom. Rejects with PeerError; the socket is destroyed then. */
export function handshakeAsResponder(socket: Socket, options: PeerOptions): Promise<Authenticated> {
  return withinDeadline(socket, options, async () => {
    const own = { identity: noiseIdentity(options.keys), ephemeralPrivateKey: generateEphemeralKey() };
    const { state, actTwo } = receiveActOne(own, await readExactly(socket, ACT_ONE_BYTES));
    socket.write(actTwo);
    const { remotePublicKey, keys } = receiveActThree(state, await readExactly(socket, ACT_THREE_BYTES));
    return { remoteNodeId: toPoint(remotePublicKey), keys };
  });
}

async function withinDeadline<T>(socket: Socket, options: PeerOptions, acts: () => Promise<T>): Promise<T> {
  const { handshakeTimeoutMs } = limitsOf(options);
  const timers = timersOf(options);
  const late = new PeerError('handshake_timeout', `no handshake within ${handshakeTimeoutMs} ms`);
  const deadline = timers.setTimeout(() => socket.destroy(late), handshakeTimeoutMs);
  try {
    return await acts();
  } catch (error) {
    socket.destroy();
    // BOLT 8: a failed act gets no answer.
    if (error instanceof HandshakeError) throw new PeerError(error.code, error.message);
    throw error;
  } finally {
    timers.clearTimeout(deadline);
  }
}

/** The next `length` bytes; what follows stays in the socket. Fewer only when the peer has hung up. */
function readExactly(socket: Socket, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const attempt = (): void => {
      const bytes = socket.read(length) as Buffer | null;
      if (bytes !== null) settle(() => resolve(new Uint8Array(bytes)));
    };
    const fail = (error: Error): void => {
      failure = error;
    };
    const closed = (): void => {
      const lost = new PeerError('connection_lost', failure?.message ?? 'the peer hung up during the handshake');
      settle(() => reject(failure instanceof PeerError ? failure : lost));
    };
    const settle = (outcome: () => void): void => {
      socket.off('readable', attempt).off('error', fail).off('close', closed);
      outcome();
    };
    socket.on('readable', attempt).on('error', fail).on('close', closed);
    if (socket.destroyed) closed();
    else attempt();
  });
}
