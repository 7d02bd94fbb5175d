/** BOLT 4, "Onion Messages": the specification's message from Alice to Dave, and what each hop must ignore. */
import { describe, expect, it } from 'vitest';
import { crypto } from '../../../src/bolt/crypto.ts';
import { encodeMessage } from '../../../src/bolt/messages.ts';
import { type Hex, fromHex, parseShortChannelId, point, toHex } from '../../../src/bolt/primitives.ts';
import { type EncryptedData, blindPath, encodeEncryptedData } from '../../../src/bolt/04-onion-routing/blinded-path.ts';
import { ecdh } from '../../../src/bolt/04-onion-routing/keys.ts';
import {
  type OnionMessage, type OnionMessageContents, buildOnionMessage, onionMessageKey, readOnionMessage,
} from '../../../src/bolt/04-onion-routing/onion-message-payload.ts';
import vectors from '../../vectors/bolt04-onion-message.json' with { type: 'json' };

/** Opens a message as the owner of `secret` would, signer and all. */
function readWith(secret: Hex, message: OnionMessage) {
  const blindingSecret = ecdh(fromHex(message.path_key), fromHex(secret));
  const key = onionMessageKey(message, blindingSecret);
  return readOnionMessage(message, blindingSecret, key === undefined ? undefined : ecdh(fromHex(key), fromHex(secret)));
}

describe.each(vectors.cases)('the message of the specification: $name', (vector) => {
  const contents: OnionMessageContents = { unknown: [{ type: 1n, value: vector.onionmessage.unknown_tag_1 }] };
  const path = {
    first_node_id: vector.route.first_node_id,
    first_path_key: point(vector.route.first_path_key),
    path: vector.route.hops.map(({ blinded_node_id, encrypted_recipient_data }) => ({ blinded_node_id: point(blinded_node_id), encrypted_recipient_data })),
  };

  it('goes along a path made byte for byte: one hop of Alice\'s, joined with Dave\'s', () => {
    const toBlind = vector.hops.map(({ alias, encrypted_data_tlv }) => {
      const { privkey } = vector.decrypt.find((node) => node.alias === alias)!;
      return { node_id: point(toHex(crypto().publicKey(fromHex(privkey)))), data: encrypted_data_tlv };
    });
    const first = blindPath(fromHex(vector.hops[0]!.path_key_secret), toBlind.slice(0, 1));
    const second = blindPath(fromHex(vector.hops[1]!.path_key_secret), toBlind.slice(1));
    expect({ ...first, path: [...first.path, ...second.path] }).toEqual(path);
  });

  it('is built byte for byte', () => {
    const message = buildOnionMessage(fromHex(vector.session_key), path, contents);
    expect(message).toEqual({ path_key: path.first_path_key, onion_message_packet: vector.onionmessage.onion_message_packet });
  });

  it('is relayed by each hop, byte for byte, and read by Dave', () => {
    let message = buildOnionMessage(fromHex(vector.session_key), path, contents);
    for (const { privkey, onion_message, next_node_id } of vector.decrypt) {
      expect(toHex(encodeMessage({ type: 'onion_message', ...message, tlvs: {} }))).toBe(onion_message);
      const received = readWith(privkey, message);
      if (next_node_id === undefined) {
        expect(received).toEqual({ kind: 'final', contents, path_id: vector.hops.at(-1)!.tlvs.path_id });
      } else if (received.kind === 'forward') {
        expect(received.next_node_id).toBe(next_node_id);
        message = received.message;
      } else throw new Error(received.kind);
    }
  });
});

describe('an onion message', () => {
  const [relay, final] = ['41'.repeat(32), '42'.repeat(32)].map((secret) => ({ secret, node_id: point(toHex(crypto().publicKey(fromHex(secret)))) }));
  const session_key = fromHex('43'.repeat(32));

  /** What the relay makes of a message over itself to `final`, given these data. */
  function relayed(data: EncryptedData, contents: OnionMessageContents = {}) {
    const path = blindPath(fromHex('44'.repeat(32)), [
      { node_id: relay!.node_id, data: encodeEncryptedData(data) }, { node_id: final!.node_id, data: '' },
    ]);
    return readWith(relay!.secret, buildOnionMessage(session_key, path, contents));
  }

  /** What `final` makes of a message straight to it. */
  function received(data: EncryptedData, contents: OnionMessageContents) {
    const path = blindPath(fromHex('44'.repeat(32)), [{ node_id: final!.node_id, data: encodeEncryptedData(data) }]);
    return readWith(final!.secret, buildOnionMessage(session_key, path, contents));
  }

  it('may name its next hop by a channel', () => {
    expect(relayed({ short_channel_id: parseShortChannelId('1x2x3') })).toMatchObject({ kind: 'forward', short_channel_id: '1x2x3' });
  });

  it('is ignored by a relay that is not told where to, or told what only the last may hear', () => {
    expect(relayed({})).toEqual({ kind: 'ignore', reason: 'neither next_node_id nor short_channel_id' });
    expect(relayed({ path_id: '00', next_node_id: final!.node_id })).toEqual({ kind: 'ignore', reason: 'path_id is for the final node' });
    expect(relayed({ allowed_features: '01', next_node_id: final!.node_id })).toEqual({ kind: 'ignore', reason: 'allowed_features holds unknown bits: 01' });
  });

  it('brings one payload and a way to answer', () => {
    const reply_path = blindPath(fromHex('45'.repeat(32)), [{ node_id: relay!.node_id, data: '0100' }]);
    const contents = { reply_path, invoice_request: 'abcd' };
    expect(received({}, contents)).toEqual({ kind: 'final', contents });
    expect(received({}, { invoice: '00', invoice_error: '00' })).toEqual({ kind: 'ignore', reason: '2 payload fields in one message' });
  });

  it('grows to the second size that all use, and no further', () => {
    const path = blindPath(fromHex('44'.repeat(32)), [{ node_id: final!.node_id, data: '' }]);
    const sizeOf = (bytes: number) => buildOnionMessage(session_key, path, { invoice: '00'.repeat(bytes) }).onion_message_packet.length / 2;
    expect([sizeOf(100), sizeOf(1300), sizeOf(32_000)]).toEqual([1366, 32_834, 32_834]);
    expect(() => sizeOf(32_768)).toThrowError(expect.objectContaining({ code: 'payloads_too_long' }));
  });

  it('that is noise is ignored', () => {
    const noise = (packet: Hex) => readWith(final!.secret, { path_key: relay!.node_id, onion_message_packet: packet });
    expect(noise('')).toEqual({ kind: 'ignore', reason: 'invalid_onion_version' });
    expect(noise('00'.repeat(1366))).toEqual({ kind: 'ignore', reason: 'invalid_onion_key' });
    expect(noise(`00${relay!.node_id}${'00'.repeat(40)}`)).toEqual({ kind: 'ignore', reason: 'invalid_onion_hmac' });
  });
});
