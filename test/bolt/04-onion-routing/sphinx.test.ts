/** BOLT 4, Sphinx: the specification's onion, hop by hop, and every way in which an onion can be refused. */
import { describe, expect, it } from 'vitest';
import { crypto } from '../../../src/bolt/crypto.ts';
import { type Hex, fromHex, point, toHex, toPoint } from '../../../src/bolt/primitives.ts';
import { ecdh, keyStream, xorInto, deriveKey } from '../../../src/bolt/04-onion-routing/keys.ts';
import { type OnionError, buildOnion, onionEphemeralKey, payloadSize, peelOnion } from '../../../src/bolt/04-onion-routing/sphinx.ts';
import vectors from '../../vectors/bolt04-onion.json' with { type: 'json' };

/** A payload without the length that the vector writes in front. */
const unframed = (framed: Hex): Hex => framed.slice(framed.startsWith('fd') ? 6 : 2);

/** Opens a packet as the owner of `secret` would, signer and all. */
function peelWith(secret: Hex, packet: Hex, associated_data: Uint8Array) {
  const key = onionEphemeralKey(packet);
  const sharedSecret = key === undefined ? undefined : ecdh(fromHex(key), fromHex(secret));
  return peelOnion({ packet, associated_data, sharedSecret });
}

describe.each(vectors.cases)('the onion of the specification: $name', (vector) => {
  const associated_data = fromHex(vector.associated_data);
  const session_key = fromHex(vector.session_key);
  const hops = vector.hops.map((hop) => ({ node_id: point(hop.node_id), payload: unframed(hop.framed_payload) }));

  it('is built byte for byte', () => {
    expect(buildOnion({ session_key, hops, associated_data }).packet).toBe(vector.packet);
  });

  it('gives each hop its payload and the next packet, and ends at the last', () => {
    const { shared_secrets } = buildOnion({ session_key, hops, associated_data });
    let packet: Hex | undefined = vector.packet;
    for (const [index, hop] of vector.hops.entries()) {
      expect(ecdh(fromHex(onionEphemeralKey(packet!)!), fromHex(hop.node_secret))).toEqual(shared_secrets[index]);
      const peeled = peelWith(hop.node_secret, packet!, associated_data);
      if (!peeled.ok) throw new Error(peeled.failure);
      expect(peeled.payload).toBe(unframed(hop.framed_payload));
      packet = peeled.next_packet;
    }
    expect(packet).toBeUndefined();
  });

  it('measures what a payload takes up: its length, itself, an HMAC', () => {
    expect(hops.map((hop) => payloadSize(hop.payload))).toEqual(vector.hops.map((hop) => hop.framed_payload.length / 2 + 32));
  });
});

describe('an onion is refused', () => {
  const secret = '41'.repeat(32);
  const node_id = toPoint(crypto().publicKey(fromHex(secret)));
  const associated_data = fromHex('42'.repeat(32));
  const { packet } = buildOnion({ session_key: fromHex('43'.repeat(32)), hops: [{ node_id, payload: '0102' }], associated_data });
  const refusal = (broken: Hex, data = associated_data) => {
    const peeled = peelWith(secret, broken, data);
    if (peeled.ok) throw new Error('was accepted');
    expect(peeled.sha256_of_onion).toBe(toHex(crypto().sha256(fromHex(broken))));
    return peeled.failure;
  };

  it('of a version that is not 0', () => expect(refusal(`01${packet.slice(2)}`)).toBe('invalid_onion_version'));
  it('whose key is no point of the curve', () =>
    expect(refusal(`00${'ff'.repeat(33)}${packet.slice(68)}`)).toBe('invalid_onion_key'));
  it('for another payment', () => expect(refusal(packet, fromHex('44'.repeat(32)))).toBe('invalid_onion_hmac'));
  it('that is cut short', () => {
    expect(refusal(packet.slice(0, -2))).toBe('invalid_onion_hmac');
    expect(refusal(packet.slice(0, 80))).toBe('invalid_onion_hmac');
    expect(refusal('')).toBe('invalid_onion_version');
  });

  /** An authentic packet whose single payload starts with the given bytes: only the route's maker can write one. */
  function forged(start: Hex): Hex {
    const bytes = fromHex(packet).slice();
    const shared = ecdh(fromHex(onionEphemeralKey(packet)!), fromHex(secret));
    const payloads = bytes.subarray(34, 1334);
    payloads.fill(0).set(fromHex(start));
    xorInto(payloads, keyStream('rho', shared, 1300));
    bytes.set(crypto().hmacSha256(deriveKey('mu', shared), Uint8Array.from([...payloads, ...associated_data])), 1334);
    return toHex(bytes);
  }

  it.each([
    ['0, the length of the legacy format', '00'],
    ['1, a reserved length', '01aa'],
    ['a length that is not minimal', 'fd00fc'],
    ['a length beyond the packet', 'fd04f2'],
    ['4 GB', 'feffffffff'],
    ['16 EB', 'ffffffffffffffffff'],
  ])('safety 18: when its payload announces %s', (_, start) => {
    expect(refusal(forged(start))).toBe('invalid_onion_payload');
  });

  it('but not when the payload just fits', () => {
    const longest = 1300 - 3 - 32;
    expect(peelWith(secret, forged(`fd${longest.toString(16).padStart(4, '0')}`), associated_data)).toMatchObject({ ok: true });
  });
});

describe('a route that cannot become an onion', () => {
  const node_id = point(vectors.cases[0]!.hops[0]!.node_id);
  const session_key = fromHex('41'.repeat(32));
  const build = (hops: { node_id: typeof node_id; payload: Hex }[]) => buildOnion({ session_key, hops, associated_data: new Uint8Array(0) });
  const refused = (code: OnionError['code'], hops: { node_id: typeof node_id; payload: Hex }[]) =>
    expect(() => build(hops)).toThrowError(expect.objectContaining({ name: 'OnionError', code }));

  it('is told so, with a code', () => {
    refused('no_hops', []);
    refused('payload_too_short', [{ node_id, payload: '00' }]);
    refused('payloads_too_long', [{ node_id, payload: '00'.repeat(1300 - 34) }]);
    refused('invalid_node_id', [{ node_id: point('02' + 'ff'.repeat(32)), payload: '0100' }]);
  });

  it('fills the packet to the last byte when it can', () => {
    expect(build([{ node_id, payload: '00'.repeat(1300 - 35) }]).packet).toHaveLength(2 * 1366);
  });
});
