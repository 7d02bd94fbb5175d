/** Laws of onions: over any route each hop reads what was meant for it, no byte can be changed, and a failure names its hop. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { crypto } from '../../src/bolt/crypto.ts';
import { type Hex, type Hex32, type Point, fromHex, msat, shortChannelIdFromBigint, toHex, toHex32, toPoint } from '../../src/bolt/primitives.ts';
import { type AttributionData, attributeFailure, attributeSuccess, readFailureAttribution, readSuccessAttribution } from '../../src/bolt/04-onion-routing/attribution.ts';
import { createFailurePacket, decodeFailure, encodeFailure, unwrapFailurePacket, wrapFailurePacket } from '../../src/bolt/04-onion-routing/failure.ts';
import { ecdh } from '../../src/bolt/04-onion-routing/keys.ts';
import { type HopPayload, decodePayload, encodePayload } from '../../src/bolt/04-onion-routing/payload.ts';
import { ONION_OVERHEAD, buildOnion, onionEphemeralKey, payloadSize, peelOnion } from '../../src/bolt/04-onion-routing/sphinx.ts';
import { runs } from '../support/property.ts';

beforeAll(chooseCryptoBackend);

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (constraints: { minLength?: number; maxLength?: number }) => fc.uint8Array(constraints).map(toHex);
/** Never zero, and far below the group order. */
const secretKey = bytes(32).map((key) => Uint8Array.from([1, ...key.slice(1)]));

interface Hop { readonly secret: Uint8Array; readonly node_id: Point; readonly payload: Hex }
interface Route { readonly session_key: Uint8Array; readonly associated_data: Uint8Array; readonly hops: readonly Hop[] }

const hop = fc.record({ secret: secretKey, payload: hex({ minLength: 2, maxLength: 300 }) });

/** 1 to 20 hops whose payloads fit into 1300 bytes: the last of too long a route are given the shortest payload. */
const route: fc.Arbitrary<Route> = fc
  .record({ session_key: secretKey, associated_data: bytes(32), hops: fc.array(hop, { minLength: 1, maxLength: 20 }) })
  .map(({ session_key, associated_data, hops }) => {
    let left = 1300 - 35 * hops.length;
    const fitting = hops.map(({ secret, payload }) => {
      const fits = payloadSize(payload) - 35 <= left;
      left -= fits ? payloadSize(payload) - 35 : 0;
      return { secret, node_id: toPoint(crypto().publicKey(secret)), payload: fits ? payload : '0100' };
    });
    return { session_key, associated_data, hops: fitting };
  });

const peel = (packet: Hex, { secret }: Hop, associated_data: Uint8Array) => {
  const key = onionEphemeralKey(packet);
  return peelOnion({ packet, associated_data, sharedSecret: key === undefined ? undefined : ecdh(fromHex(key), secret) });
};

/** The packets that each hop receives. */
function packets({ hops, associated_data, session_key }: Route): Hex[] {
  let packet: Hex | undefined = buildOnion({ session_key, hops, associated_data }).packet;
  return hops.map((hop, index) => {
    const received = packet!;
    const peeled = peel(received, hop, associated_data);
    if (!peeled.ok) throw new Error(`hop ${index}: ${peeled.failure}`);
    expect(peeled.payload).toBe(hop.payload);
    packet = peeled.next_packet;
    expect(packet === undefined).toBe(index === hops.length - 1);
    return received;
  });
}

describe('an onion', () => {
  it('gives each hop of a random route its payload, in packets of one size', () => {
    fc.assert(fc.property(route, (route) => {
      expect(new Set(packets(route).map((packet) => packet.length))).toEqual(new Set([2 * (1300 + ONION_OVERHEAD)]));
    }), { numRuns: runs(100) });
  });

  it('is refused when any byte of it is changed, at any hop', () => {
    fc.assert(fc.property(route, fc.nat(), fc.nat(1365), fc.integer({ min: 1, max: 255 }), (route, at, offset, flip) => {
      const index = at % route.hops.length;
      const bytes = fromHex(packets(route)[index]!).slice();
      bytes[offset]! ^= flip;
      const peeled = peel(toHex(bytes), route.hops[index]!, route.associated_data);
      expect(peeled).toMatchObject({ ok: false, sha256_of_onion: toHex(crypto().sha256(bytes)) });
      // The hash of the ephemeral key goes into the secret, so a wrong key shows in the HMAC, if it is a key at all.
      const expected = offset === 0 ? ['invalid_onion_version'] : offset < 34 ? ['invalid_onion_key', 'invalid_onion_hmac'] : ['invalid_onion_hmac'];
      expect(expected).toContain(peeled.ok || peeled.failure);
    }), { numRuns: runs(200) });
  });

  it('is refused by any other node, and for any other payment', () => {
    fc.assert(fc.property(route, secretKey, bytes(32), (route, stranger, otherPayment) => {
      const { packet } = buildOnion(route);
      const first = route.hops[0]!;
      fc.pre(toHex(stranger) !== toHex(first.secret) && toHex(otherPayment) !== toHex(route.associated_data));
      expect(peel(packet, { ...first, secret: stranger }, route.associated_data)).toMatchObject({ failure: 'invalid_onion_hmac' });
      expect(peel(packet, first, otherPayment)).toMatchObject({ failure: 'invalid_onion_hmac' });
    }), { numRuns: runs(30) });
  });

  it('safety 18: no bytes make a peel throw, or answer more than it was given', () => {
    fc.assert(fc.property(hex({ maxLength: 2000 }), fc.boolean(), bytes(32), (noise, valid, sharedSecret) => {
      const packet = valid ? `00${toHex(crypto().publicKey(fromHex('01'.repeat(32))))}${noise}` : noise;
      onionEphemeralKey(packet);
      expect(peelOnion({ packet, associated_data: sharedSecret, sharedSecret }).ok).toBe(false);
    }), { numRuns: runs(300) });
  });
});

const failingRoute = fc.record({ route, at: fc.nat(), failure: hex({ minLength: 2, maxLength: 400 }), holdTimes: fc.array(fc.nat(0xffff), { minLength: 20, maxLength: 20 }) });

describe('a failure', () => {
  it('from any hop of a random route is attributed to it, with the hold times up to it', () => {
    fc.assert(fc.property(failingRoute, ({ route, at, failure, holdTimes }) => {
      const { shared_secrets } = buildOnion(route);
      const erring = at % shared_secrets.length;
      let reason = createFailurePacket(shared_secrets[erring]!, failure);
      let attribution = attributeFailure(shared_secrets[erring]!, reason, holdTimes[erring]!);
      for (let hop = erring - 1; hop >= 0; hop--) {
        reason = wrapFailurePacket(shared_secrets[hop]!, reason);
        attribution = attributeFailure(shared_secrets[hop]!, reason, holdTimes[hop]!, attribution);
      }
      expect(unwrapFailurePacket(shared_secrets, reason)).toEqual({ hop_index: erring, failure: decodeFailure(failure) });
      expect(readFailureAttribution(shared_secrets, reason, attribution, erring)).toEqual({ hold_times: holdTimes.slice(0, erring + 1) });
    }), { numRuns: runs(60) });
  });

  it('with a changed byte is attributed to nobody', () => {
    fc.assert(fc.property(failingRoute, fc.nat(291), fc.integer({ min: 1, max: 255 }), ({ route, at }, offset, flip) => {
      const { shared_secrets } = buildOnion(route);
      const erring = at % shared_secrets.length;
      const bytes = fromHex(createFailurePacket(shared_secrets[erring]!, '2002')).slice();
      bytes[offset]! ^= flip;
      const reason = shared_secrets.slice(0, erring).reduceRight((inner, secret) => wrapFailurePacket(secret, inner), toHex(bytes));
      expect(unwrapFailurePacket(shared_secrets, reason)).toBeUndefined();
    }), { numRuns: runs(60) });
  });

  it('of any bytes is read without a throw, and written again as it was', () => {
    fc.assert(fc.property(hex({ minLength: 2, maxLength: 100 }), fc.nat(30), (noise, code) => {
      for (const failuremsg of [noise, `10${code.toString(16).padStart(2, '0')}${noise}`, `40${code.toString(16).padStart(2, '0')}${noise}`]) {
        expect(encodeFailure(decodeFailure(failuremsg))).toBe(failuremsg);
      }
    }), { numRuns: runs(300) });
  });
});

it('a success brings the hold times of every hop', () => {
  fc.assert(fc.property(failingRoute, ({ route, holdTimes }) => {
    const { shared_secrets } = buildOnion(route);
    const attribution = shared_secrets.reduceRight<AttributionData | undefined>(
      (downstream, secret, hop) => attributeSuccess(secret, holdTimes[hop]!, downstream), undefined)!;
    expect(readSuccessAttribution(shared_secrets, attribution)).toEqual({ hold_times: holdTimes.slice(0, shared_secrets.length) });
  }), { numRuns: runs(30) });
});

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const amount = u64.map(msat);
const expiry = fc.nat(0xffff_ffff);
const hash: fc.Arbitrary<Hex32> = bytes(32).map(toHex32);

const forwardPayload = fc.record({
  kind: fc.constant('forward' as const), short_channel_id: u64.map(shortChannelIdFromBigint), amt_to_forward: amount, outgoing_cltv_value: expiry,
});
const finalPayload = fc.record({
  kind: fc.constant('final' as const), amt_to_forward: amount, outgoing_cltv_value: expiry, payment_secret: hash, total_msat: amount,
  payment_metadata: hex({ maxLength: 600 }),
}, { requiredKeys: ['kind', 'amt_to_forward', 'outgoing_cltv_value', 'payment_secret', 'total_msat'] });

describe('a hop payload', () => {
  it('is read as it was written', () => {
    fc.assert(fc.property(fc.oneof(forwardPayload, finalPayload), (payload: HopPayload) => {
      expect(decodePayload(encodePayload(payload), { final: payload.kind === 'final' })).toEqual(payload);
    }), { numRuns: runs(300) });
  });

  it('safety 18: of any bytes is read or refused, never thrown at', () => {
    fc.assert(fc.property(hex({ maxLength: 300 }), fc.boolean(), fc.boolean(), (noise, final, path_key) => {
      const payload = decodePayload(noise, { final, path_key });
      if (payload.kind === 'invalid_onion_payload') expect(payload.offset).toBeLessThan(0x10000);
    }), { numRuns: runs(1000) });
  });

  it('with one byte changed is read or refused', () => {
    fc.assert(fc.property(fc.oneof(forwardPayload, finalPayload), fc.nat(), fc.nat(255), (payload: HopPayload, at, value) => {
      const bytes = fromHex(encodePayload(payload)).slice();
      bytes[at % bytes.length] = value;
      expect(['forward', 'final', 'blinded_forward', 'blinded_final', 'invalid_onion_payload'])
        .toContain(decodePayload(toHex(bytes), { final: payload.kind === 'final' }).kind);
    }), { numRuns: runs(300) });
  });
});
