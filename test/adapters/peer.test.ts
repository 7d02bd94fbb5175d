/** BOLT 8 and BOLT 1 over real sockets: two peers find each other, agree, talk, stay awake, and end with a reason. */
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { connectPeer } from '../../src/adapters/peer/client.ts';
import type { PeerError } from '../../src/adapters/peer/options.ts';
import { featuresFromBits } from '../../src/bolt/09-features/features.ts';
import { MAINNET, REGTEST, afterwards, alice, bob, call, connected, ended, inboxOf, keysOf, listening, rawPeer, rawPeerOf, textOf, updateFee } from '../support/peers.ts';

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
    afterwards(() => server.close());
    const { port } = server.address() as { port: number };
    await expect(call(port)).rejects.toMatchObject({ code: 'act2_bad_version' });
  });

  it('a server that says nothing is given up', async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterwards(() => server.close());
    const { port } = server.address() as { port: number };
    await expect(call(port, { ...alice, limits: { handshakeTimeoutMs: 50 } })).rejects.toMatchObject({ code: 'handshake_timeout' });
  });
});
