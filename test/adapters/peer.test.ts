import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectPeer } from '../../src/adapters/peer/client.ts';
import type { PeerConnection } from '../../src/adapters/peer/connection.ts';
import { handshakeAsInitiator } from '../../src/adapters/peer/handshake.ts';
import type { PeerError, PeerKeys, PeerOptions } from '../../src/adapters/peer/options.ts';
import type { ListenOptions, PeerServer } from '../../src/adapters/peer/server.ts';
import { listenPeers } from '../../src/adapters/peer/server.ts';
import { FrameDecoder, FrameEncoder } from '../../src/bolt/08-transport/cipher.ts';
import { features, featuresFromBits } from '../../src/bolt/09-features/features.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import type { Message, UnknownMessage } from '../../src/bolt/messages.ts';
import { decodeMessage, encodeMessage } from '../../src/bolt/messages.ts';
import type { Hex32 } from '../../src/bolt/primitives.ts';
import { fromHex, hex32, toPoint, ZERO_32 } from '../../src/bolt/primitives.ts';

const REGTEST = hex32('06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f');
const MAINNET = hex32('6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000');

function keysOf(byte: string): PeerKeys {
  const privateKey = fromHex(byte.repeat(32));
  return {
    nodeId: toPoint(crypto().publicKey(privateKey)),
    nodeEcdh: (point) => crypto().sha256(crypto().multiplyPoint(fromHex(point), privateKey)),
  };
}

const alice: PeerOptions = optionsOf('11');
const bob: PeerOptions = optionsOf('22');

function optionsOf(byte: string): PeerOptions {
  return { keys: keysOf(byte), features: features({ option_anchors: 'optional' }), chain_hashes: [REGTEST] };
}

let cleanUp: (() => unknown)[] = [];
beforeAll(chooseCryptoBackend);
afterEach(async () => {
  await Promise.all(cleanUp.map((step) => step()));
  cleanUp = [];
});

interface Node {
  readonly port: number;
  /** The next peer that came all the way. */
  accepted(): Promise<PeerConnection>;
  /** The reason of the next caller that did not. */
  rejected(): Promise<PeerError>;
}

async function listening(options: PeerOptions & Partial<ListenOptions> = bob): Promise<Node> {
  const [accepted, rejected] = [mailbox<PeerConnection>(), mailbox<PeerError>()];
  const server: PeerServer = await listenPeers(
    { host: '127.0.0.1', port: 0, ...options, onRejected: rejected.put },
    accepted.put,
  );
  cleanUp.push(() => server.close());
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

const call = (port: number, options: PeerOptions = alice) =>
  connectPeer({ ...options, host: '127.0.0.1', port, remoteNodeId: bob.keys.nodeId });

async function connected(a: PeerOptions = alice, b: PeerOptions = bob) {
  const node = await listening(b);
  const [caller, callee] = await Promise.all([call(node.port, a), node.accepted()]);
  return { caller, callee };
}

const ended = (connection: PeerConnection) => new Promise<PeerError>((resolve) => connection.onClose(resolve));

function inboxOf(connection: PeerConnection) {
  const inbox = mailbox<Message>();
  connection.onMessage(inbox.put);
  return inbox;
}

const updateFee = (feerate_per_kw: number): Message => ({ type: 'update_fee', channel_id: ZERO_32, feerate_per_kw, tlvs: {} });

/** A peer that speaks BOLT 8 and says whatever a test wants. */
async function rawPeer(port: number) {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  cleanUp.push(() => socket.destroy());
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
async function rawPeerOf(node: Node) {
  const raw = await rawPeer(node.port);
  raw.sayInit();
  expect((await raw.heard.take()).type).toBe('init');
  return { ...raw, connection: await node.accepted() };
}

const textOf = (message: Message | UnknownMessage) =>
  message.type === 'warning' ? new TextDecoder().decode(fromHex(message.data)) : `not a warning: ${message.type}`;

describe('two peers', () => {
  it('know each other, agree on features and talk both ways', async () => {
    const { caller, callee } = await connected();
    expect(caller.remoteNodeId).toBe(bob.keys.nodeId);
    expect(callee.remoteNodeId).toBe(alice.keys.nodeId);
    expect(caller.features.has('option_anchors')).toBe(true);
    expect(caller.remoteInit.tlvs.networks).toEqual([REGTEST]);
    const [heardByBob, heardByAlice] = [inboxOf(callee), inboxOf(caller)];
    expect(caller.send(updateFee(253))).toBe(true);
    callee.send(updateFee(1000));
    expect(await heardByBob.take()).toEqual(updateFee(253));
    expect(await heardByAlice.take()).toEqual(updateFee(1000));
    caller.close('done');
    expect(await ended(callee)).toMatchObject({ code: 'connection_lost' });
    expect(caller.closeReason?.code).toBe('done');
    expect(caller.send(updateFee(1))).toBe(false);
  });

  it('keep 3,000 messages in order, one handler at a time, past key rotations', async () => {
    const { caller, callee } = await connected();
    const seen: number[] = [];
    let active = 0;
    const all = new Promise<void>((resolve) => {
      callee.onMessage(async (message) => {
        expect(++active).toBe(1);
        if (message.type === 'update_fee' && message.feerate_per_kw % 100 === 0) await Promise.resolve();
        if (message.type === 'update_fee') seen.push(message.feerate_per_kw);
        active--;
        if (seen.length === 3000) resolve();
      });
    });
    for (let n = 0; n < 3000; n++) caller.send(updateFee(n));
    await all;
    expect(seen).toEqual(Array.from({ length: 3000 }, (_, n) => n));
  });

  it('a message sent just before hanging up is still delivered, before the end is told', async () => {
    const { caller, callee } = await connected();
    const story: string[] = [];
    callee.onMessage(async (message) => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      story.push(message.type);
    });
    const over = ended(callee).then(() => story.push('closed'));
    caller.send(updateFee(1));
    caller.close('bye', 'for good', 'error');
    await over;
    expect(story).toEqual(['update_fee', 'error', 'closed']);
  });

  it('messages wait until there is a handler', async () => {
    const { caller, callee } = await connected();
    caller.send(updateFee(7));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await inboxOf(callee).take()).toEqual(updateFee(7));
  });

  it('messages of one turn leave in one write', async () => {
    const { caller, callee } = await connected();
    const heard = inboxOf(callee);
    for (let n = 0; n < 100; n++) caller.send(updateFee(n));
    // Corked: nothing has left before the turn is over.
    expect(caller.queuedBytes).toBe(100 * (2 + 16 + 38 + 16));
    for (let n = 0; n < 100; n++) expect(await heard.take()).toEqual(updateFee(n));
    expect(caller.queuedBytes).toBe(0);
  });

  it('a handler that throws ends the connection with a reason', async () => {
    const { caller, callee } = await connected();
    callee.onMessage(() => {
      throw new Error('a bug of ours');
    });
    caller.send(updateFee(1));
    expect(await ended(callee)).toMatchObject({ code: 'handler_failed' });
  });
});

describe('a connection that cannot be made', () => {
  it('nobody listens', async () => {
    await expect(call(1)).rejects.toMatchObject({ code: 'connect_failed' });
  });

  it('the node at that address has another key', async () => {
    const node = await listening({ ...bob, keys: keysOf('33') });
    await expect(call(node.port)).rejects.toMatchObject({ code: 'connection_lost' });
    expect(await node.rejected()).toMatchObject({ code: 'act1_bad_tag' });
  });

  it('the node id is no point', async () => {
    const node = await listening();
    const remoteNodeId = `02${'ff'.repeat(32)}` as typeof bob.keys.nodeId;
    await expect(connectPeer({ ...alice, host: '127.0.0.1', port: node.port, remoteNodeId })).rejects.toMatchObject({
      code: 'invalid_node_id',
    });
  });

  it('a peer on another chain is told which one we serve', async () => {
    const node = await listening();
    const raw = await rawPeer(node.port);
    raw.sayInit({ networks: [MAINNET] });
    await raw.heard.take();
    expect(textOf(await raw.heard.take())).toBe(`wrong_network: you serve ${MAINNET}, we serve ${REGTEST}`);
    expect(await node.rejected()).toMatchObject({ code: 'wrong_network' });
  });

  it('both sides of a wrong network get a clear error', async () => {
    const node = await listening();
    const failure = await call(node.port, { ...alice, chain_hashes: [MAINNET] }).catch((error: PeerError) => error);
    expect(failure).toMatchObject({ code: 'wrong_network' });
  });

  it('a compulsory feature that we do not offer is named', async () => {
    const node = await listening();
    const raw = await rawPeer(node.port);
    raw.sayInit({ features: featuresFromBits([12, 254]) });
    await raw.heard.take();
    expect(textOf(await raw.heard.take())).toContain('bits 254 are required');
    expect(await node.rejected()).toMatchObject({ code: 'unknown_even_feature' });
  });

  it('unknown odd features and a missing networks record are fine', async () => {
    const node = await listening();
    const raw = await rawPeer(node.port);
    raw.sayInit({ features: featuresFromBits([255]) });
    expect((await node.accepted()).remoteFeatures).toBe(featuresFromBits([255]));
  });

  it('a first message other than init is refused', async () => {
    const node = await listening();
    const raw = await rawPeer(node.port);
    raw.say(updateFee(253));
    expect(await node.rejected()).toMatchObject({ code: 'init_expected' });
  });
});

describe('a hostile stranger', () => {
  const quick = { ...bob, limits: { handshakeTimeoutMs: 60, initTimeoutMs: 60 } };

  async function stranger(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    cleanUp.push(() => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  }

  it.each([
    ['garbage', () => new Uint8Array(50).fill(9), 'act1_bad_version'],
    ['an HTTP request', () => new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${'x'.repeat(60)}\r\n\r\n`), 'act1_bad_version'],
    ['a version of the future', () => Uint8Array.of(1, 2, ...new Uint8Array(48)), 'act1_bad_version'],
    ['a key off the curve', () => Uint8Array.of(0, 4, ...new Uint8Array(48)), 'act1_bad_pubkey'],
    ['a megabyte of zeros', () => new Uint8Array(1 << 20), 'act1_bad_pubkey'],
  ])('sends %s and is cut off', async (_name, bytes, code) => {
    const node = await listening();
    const socket = await stranger(node.port);
    socket.write(bytes());
    expect(await node.rejected()).toMatchObject({ code });
  });

  it('says nothing', async () => {
    const node = await listening(quick);
    await stranger(node.port);
    expect(await node.rejected()).toMatchObject({ code: 'handshake_timeout' });
  });

  it('drips byte after byte', async () => {
    const node = await listening(quick);
    const socket = await stranger(node.port);
    const drip = setInterval(() => socket.write(Uint8Array.of(0)), 10);
    cleanUp.push(() => clearInterval(drip));
    expect(await node.rejected()).toMatchObject({ code: 'handshake_timeout' });
  });

  it('hangs up in the middle of act one', async () => {
    const node = await listening();
    (await stranger(node.port)).end(new Uint8Array(20));
    expect((await node.rejected()).code).toMatch(/act1_read_failed|connection_lost/);
  });

  it('never says init', async () => {
    const node = await listening(quick);
    await rawPeer(node.port);
    expect(await node.rejected()).toMatchObject({ code: 'init_timeout' });
  });

  it('opens too many sockets', async () => {
    const node = await listening({ ...bob, maxConnections: 1 });
    await stranger(node.port);
    await stranger(node.port);
    expect(await node.rejected()).toMatchObject({ code: 'too_many_connections' });
  });
});

describe('a peer that breaks the rules', () => {
  it('a wrong MAC ends the connection without an answer', async () => {
    const { socket, encoder, connection } = await rawPeerOf(await listening());
    const frame = encoder.encrypt(encodeMessage(updateFee(1)));
    frame[30]! ^= 1;
    socket.write(frame);
    expect(await ended(connection)).toMatchObject({ code: 'bad_message_tag' });
  });

  it('an unknown even message is answered by its number', async () => {
    const { heard, sayBytes, connection } = await rawPeerOf(await listening());
    sayBytes(fromHex('8000'));
    expect(textOf(await heard.take())).toBe('unknown_even_message: message type 32768 is even and unknown');
    expect(await ended(connection)).toMatchObject({ code: 'unknown_even_message' });
  });

  it('an unknown odd message is ignored', async () => {
    const { say, sayBytes, connection } = await rawPeerOf(await listening());
    const inbox = inboxOf(connection);
    sayBytes(fromHex('8001ffff'));
    say(updateFee(5));
    expect(await inbox.take()).toEqual(updateFee(5));
  });

  it('a malformed message is answered with what was wrong', async () => {
    const { heard, sayBytes, connection } = await rawPeerOf(await listening());
    sayBytes(fromHex('0086' + '00'.repeat(35)));
    expect(textOf(await heard.take())).toContain('update_fee: needs 4 bytes at offset 34, 3 left (truncated)');
    expect(await ended(connection)).toMatchObject({ code: 'malformed_message' });
  });

  it('an empty frame is malformed', async () => {
    const { sayBytes, connection } = await rawPeerOf(await listening());
    sayBytes(new Uint8Array(0));
    expect(await ended(connection)).toMatchObject({ code: 'malformed_message' });
  });

  it('safety 19: one that does not read is closed when its queue is full', async () => {
    const node = await listening({ ...bob, limits: { outboundQueueBytes: 100_000 } });
    const { socket, connection } = await rawPeerOf(node);
    socket.pause();
    const blob: Message = { type: 'peer_storage', blob: 'aa'.repeat(60_000), tlvs: {} };
    let sent = 0;
    while (connection.send(blob) && sent++ < 1000) await new Promise((resolve) => setImmediate(resolve));
    expect(connection.closeReason).toMatchObject({ code: 'outbound_queue_full' });
    expect(sent).toBeLessThan(1000);
  });

  it('safety 19: one that floods while we are slow waits in the kernel, not in our memory', async () => {
    const node = await listening({ ...bob, limits: { inboundQueueBytes: 200_000 } });
    const { socket, encoder, connection } = await rawPeerOf(node);
    let release = (): void => undefined;
    const seen: number[] = [];
    connection.onMessage(async (message) => {
      if (seen.length === 0) await new Promise<void>((resolve) => (release = resolve));
      if (message.type === 'peer_storage') seen.push(message.blob.length);
    });
    const frame = encodeMessage({ type: 'peer_storage', blob: 'aa'.repeat(60_000), tlvs: {} });
    for (let n = 0; n < 400; n++) socket.write(encoder.encrypt(frame));
    await new Promise((resolve) => setTimeout(resolve, 200));
    // 24 MB were sent: all but our bound and the kernel's buffers is still with the sender.
    expect(socket.writableLength).toBeGreaterThan(1_000_000);
    expect(seen).toEqual([]);
    release();
    while (seen.length < 400) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(connection.closeReason).toBeUndefined();
  });
});

describe('keepalive', () => {
  it('answers a ping with as many bytes as it asks for', async () => {
    const { say, heard } = await rawPeerOf(await listening());
    say({ type: 'ping', num_pong_bytes: 5, ignored: 'ffff', tlvs: {} });
    expect(await heard.take()).toEqual({ type: 'pong', ignored: '0000000000', tlvs: {} });
  });

  it('ignores a ping for 65532 bytes or more', async () => {
    const { say, heard } = await rawPeerOf(await listening());
    say({ type: 'ping', num_pong_bytes: 65532, ignored: '', tlvs: {} });
    say({ type: 'ping', num_pong_bytes: 65531, ignored: '', tlvs: {} });
    const answer = await heard.take();
    expect(answer.type === 'pong' && answer.ignored.length / 2).toBe(65531);
  });

  it('pings a silent peer and closes when no answer comes', async () => {
    const node = await listening({ ...bob, limits: { idleBeforePingMs: 20, pongTimeoutMs: 40 } });
    const { heard, connection } = await rawPeerOf(node);
    expect((await heard.take()).type).toBe('ping');
    expect(await ended(connection)).toMatchObject({ code: 'ping_timeout' });
  });

  it('a peer that answers stays', async () => {
    const limits = { idleBeforePingMs: 10, pongTimeoutMs: 200 };
    const { caller, callee } = await connected({ ...alice, limits }, { ...bob, limits });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect([caller.closeReason, callee.closeReason]).toEqual([undefined, undefined]);
  });

  it('time is the test\'s when it wants it', async () => {
    const armed: (() => void)[] = [];
    const timers = { setTimeout: (callback: () => void) => armed.push(callback), clearTimeout: () => undefined };
    const node = await listening({ ...bob, timers });
    const { heard, connection } = await rawPeerOf(node);
    armed.at(-1)!();
    armed.at(-1)!();
    expect((await heard.take()).type).toBe('ping');
    armed.at(-1)!();
    expect(connection.closeReason).toMatchObject({ code: 'ping_timeout' });
  });
});

describe('the caller, too, is careful', () => {
  it('a server that answers garbage is refused', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).end(new Uint8Array(50).fill(1)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    const { port } = server.address() as { port: number };
    await expect(call(port)).rejects.toMatchObject({ code: 'act2_bad_version' });
  });

  it('a server that says nothing is given up', async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => server.close());
    const { port } = server.address() as { port: number };
    await expect(call(port, { ...alice, limits: { handshakeTimeoutMs: 50 } })).rejects.toMatchObject({ code: 'handshake_timeout' });
  });
});
