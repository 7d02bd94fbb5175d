/** Peers that send garbage, stall, flood or break the rules: each is cut off with a reason, within its bounds. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/bolt/messages.ts';
import { encodeMessage } from '../../src/bolt/messages.ts';
import { fromHex } from '../../src/bolt/primitives.ts';
import { afterwards, bob, ended, inboxOf, listening, rawPeer, rawPeerOf, textOf, updateFee } from '../support/peers.ts';

describe('a hostile stranger', () => {
  const quick = { ...bob, limits: { handshakeTimeoutMs: 60, initTimeoutMs: 60 } };

  async function stranger(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    afterwards(() => socket.destroy());
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
    afterwards(() => clearInterval(drip));
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
