/** Two nodes on loopback sockets, and a peer that speaks BOLT 8 and says whatever a test wants. */
import { connect } from 'node:net';
import { afterEach, beforeAll, expect } from 'vitest';
import { connectPeer } from '../../src/adapters/peer/client.ts';
import type { PeerConnection } from '../../src/adapters/peer/connection.ts';
import { handshakeAsInitiator } from '../../src/adapters/peer/handshake.ts';
import type { PeerError, PeerKeys, PeerOptions } from '../../src/adapters/peer/options.ts';
import type { ListenOptions, PeerServer } from '../../src/adapters/peer/server.ts';
import { listenPeers } from '../../src/adapters/peer/server.ts';
import { FrameDecoder, FrameEncoder } from '../../src/bolt/08-transport/cipher.ts';
import { features } from '../../src/bolt/09-features/features.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { Message, UnknownMessage } from '../../src/bolt/messages.ts';
import { decodeMessage, encodeMessage } from '../../src/bolt/messages.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { fromHex, hex32, toPoint, ZERO_32 } from '../../src/bolt/primitives.ts';

export const REGTEST = hex32('06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f');
export const MAINNET = hex32('6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000');

export function keysOf(byte: string): PeerKeys {
  const privateKey = fromHex(byte.repeat(32));
  return {
    nodeId: toPoint(crypto().publicKey(privateKey)),
    nodeEcdh: (point) => crypto().sha256(crypto().multiplyPoint(fromHex(point), privateKey)),
  };
}

export const alice: PeerOptions = optionsOf('11');
export const bob: PeerOptions = optionsOf('22');

function optionsOf(byte: string): PeerOptions {
  return { keys: keysOf(byte), features: features({ option_anchors: 'optional' }), chain_hashes: [REGTEST] };
}

let cleanUp: (() => unknown)[] = [];

/** Undone after each test: sockets, servers, timers. */
export const afterwards = (step: () => unknown): void => void cleanUp.push(step);

beforeAll(chooseCryptoBackend);
afterEach(async () => {
  await Promise.all(cleanUp.map((step) => step()));
  cleanUp = [];
});

export interface Node {
  readonly port: number;
  /** The next peer that came all the way. */
  accepted(): Promise<PeerConnection>;
  /** The reason of the next caller that did not. */
  rejected(): Promise<PeerError>;
}

export async function listening(options: PeerOptions & Partial<ListenOptions> = bob): Promise<Node> {
  const [accepted, rejected] = [mailbox<PeerConnection>(), mailbox<PeerError>()];
  const server: PeerServer = await listenPeers(
    { host: '127.0.0.1', port: 0, ...options, onRejected: rejected.put },
    accepted.put,
  );
  afterwards(() => server.close());
  return { port: server.port, accepted: accepted.take, rejected: rejected.take };
}

/** Values that come, for those who wait. */
function mailbox<T>(): { put(value: T): void; take(): Promise<T> } {
  const [values, waiting]: [T[], ((value: T) => void)[]] = [[], []];
  return {
    put: (value) => (waiting.shift() ?? ((late: T) => void values.push(late)))(value),
    take: () => (values.length > 0 ? Promise.resolve(values.shift()!) : new Promise((resolve) => waiting.push(resolve))),
  };
}

export const call = (port: number, options: PeerOptions = alice) =>
  connectPeer({ ...options, host: '127.0.0.1', port, remoteNodeId: bob.keys.nodeId });

export async function connected(a: PeerOptions = alice, b: PeerOptions = bob) {
  const node = await listening(b);
  const [caller, callee] = await Promise.all([call(node.port, a), node.accepted()]);
  return { caller, callee };
}

export const ended = (connection: PeerConnection) => new Promise<PeerError>((resolve) => connection.onClose(resolve));

export function inboxOf(connection: PeerConnection) {
  const inbox = mailbox<Message>();
  connection.onMessage(inbox.put);
  return inbox;
}

export const updateFee = (feerate_per_kw: number): Message => ({ type: 'update_fee', channel_id: ZERO_32, feerate_per_kw, tlvs: {} });

/** A peer that speaks BOLT 8 and says whatever a test wants. */
export async function rawPeer(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  afterwards(() => socket.destroy());
  const { keys } = await handshakeAsInitiator(socket, bob.keys.nodeId, alice);
  const encoder = new FrameEncoder(keys.sendingKey, keys.chainingKey);
  const decoder = new FrameDecoder(keys.receivingKey, keys.chainingKey);
  const heard = mailbox<Message | UnknownMessage>();
  socket.on('data', (chunk: Uint8Array) => {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) heard.put(decodeMessage(frame));
  });
  socket.resume();
  const sayBytes = (bytes: Uint8Array) => socket.write(encoder.encrypt(bytes));
  const say = (message: Message) => sayBytes(encodeMessage(message));
  const sayInit = (init: { features?: string; networks?: readonly Hex32[] } = {}) =>
    say({ type: 'init', globalfeatures: '', features: init.features ?? '', tlvs: { networks: init.networks } });
  return { socket, encoder, heard, say, sayBytes, sayInit };
}

/** After the handshake and both inits. */
export async function rawPeerOf(node: Node) {
  const raw = await rawPeer(node.port);
  raw.sayInit();
  expect((await raw.heard.take()).type).toBe('init');
  return { ...raw, connection: await node.accepted() };
}

export const textOf = (message: Message | UnknownMessage) =>
  message.type === 'warning' ? new TextDecoder().decode(fromHex(message.data)) : `not a warning: ${message.type}`;
