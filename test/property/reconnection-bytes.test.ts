/** BOLT 8, "Lightning Message Specification": frames are atomic. A stream that ends after any byte has said the whole messages before it, and nothing of the next. */
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { openConnection } from '../../src/adapters/peer/connection.ts';
import { FrameDecoder, FrameEncoder } from '../../src/bolt/08-transport/cipher.ts';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { decodeMessage, encodeMessage, type Message } from '../../src/bolt/messages.ts';
import { concatBytes, fromHex } from '../../src/bolt/primitives.ts';
import { opened } from '../support/channel-pair.ts';
import { hash } from '../support/words.ts';

const sendingKey = fromHex(hash('sending key'));
const receivingKey = fromHex(hash('receiving key'));
const chainingKey = fromHex(hash('chaining key'));

const [ALICE, BOB] = [opened().alice.signer, opened().bob.signer];

/** What bob hears on a busy channel, from `init` to `closing_signed`; every kind of message that updates a channel is in it. */
function conversation(): readonly Message[] {
  const words: Message[] = [{ type: 'init', globalfeatures: '', features: '', tlvs: {} }];
  const pair = opened();
  const { alice, bob } = pair;
  const receive = bob.receive.bind(bob);
  bob.receive = (bytes) => {
    words.push(decodeMessage(bytes) as Message);
    return receive(bytes);
  };
  alice.offer({ payment: 1 });
  for (const payment of [2, 3]) bob.offer({ payment });
  alice.setFee(1_500);
  pair.settle();
  alice.fulfill(0n, 2);
  alice.fail(1n);
  bob.fulfill(0n, 1);
  alice.wantsToClose = true;
  pair.settle();
  return words;
}

let messages: readonly Message[];
let stream: Uint8Array;
/** Bytes up to the end of each frame. */
let boundaries: readonly number[];

beforeAll(async () => {
  await chooseCryptoBackend();
  messages = conversation();
  const encoder = new FrameEncoder(sendingKey, chainingKey);
  const frames = messages.map((message) => encoder.encrypt(encodeMessage(message)));
  stream = concatBytes(...frames);
  let end = 0;
  boundaries = frames.map(({ length }) => (end += length));
});

/** How many whole messages lie in so many bytes. */
const wholeIn = (bytes: number): number => boundaries.filter((end) => end <= bytes).length;

describe('a stream of frames', () => {
  it('tells of each message with its last byte, wherever it pauses', () => {
    const decoder = new FrameDecoder(sendingKey, chainingKey);
    const heard: string[] = [];
    for (let bytes = 1; bytes <= stream.length; bytes++) {
      decoder.push(stream.subarray(bytes - 1, bytes));
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) heard.push(decodeMessage(frame).type);
      if (heard.length !== wholeIn(bytes)) expect({ bytes, heard: heard.length }).toEqual({ bytes, heard: wholeIn(bytes) });
    }
    expect(heard).toEqual(messages.map(({ type }) => type));
  });

  it('that ends after any byte has said to the connection the whole messages before it, in order, and then that it is over', async () => {
    const kinds = new Set(messages.map(({ type }) => type));
    expect([...kinds]).toEqual(expect.arrayContaining(['update_add_htlc', 'update_fee', 'commitment_signed', 'revoke_and_ack', 'update_fulfill_htlc', 'update_fail_htlc', 'shutdown', 'closing_signed']));
    for (let bytes = 0; bytes <= stream.length; bytes++) {
      const heard = await hearingUntil(bytes);
      // init opens the connection; what follows is for the channel.
      const said = messages.slice(1, Math.max(1, wholeIn(bytes))).map(({ type }) => type);
      const expected = wholeIn(bytes) === 0 ? ['connection_lost'] : [...said, 'connection_lost'];
      if (heard.join() !== expected.join()) expect({ bytes, heard }).toEqual({ bytes, heard: expected });
    }
  });
});

/** A real connection whose peer is gone after so many bytes: what its one handler hears, and the reason of its end. */
async function hearingUntil(bytes: number): Promise<readonly string[]> {
  const socket = new Duplex({ allowHalfOpen: false, read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const timers = { setTimeout: () => undefined, clearTimeout: () => undefined };
  const options = { keys: { nodeId: BOB.nodeId, nodeEcdh: () => new Uint8Array(32) }, features: '', chain_hashes: [], timers };
  const peer = { remoteNodeId: ALICE.nodeId, keys: { sendingKey: receivingKey, receivingKey: sendingKey, chainingKey } };
  const heard: string[] = [];
  const opening = openConnection(socket as unknown as Socket, peer, options);
  socket.push(stream.subarray(0, bytes));
  socket.push(null);
  try {
    const connection = await opening;
    connection.onMessage((message) => void heard.push(message.type));
    await new Promise<void>((resolve) => connection.onClose(({ code }) => resolve(void heard.push(code))));
  } catch (error) {
    heard.push((error as { code: string }).code);
  }
  return heard;
}
