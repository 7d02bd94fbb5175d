/** BOLT 4, "Route Blinding": the specification's blinded routes made and walked, and a payment along one. */
import { describe, expect, it } from 'vitest';
import { decode, encode } from '../../../src/bolt/codec.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { type Hex, type Point, fromHex, msat, parseShortChannelId, point, toHex } from '../../../src/bolt/primitives.ts';
import {
  type EncryptedData, aggregateRelays, blindPath, blindedForward, blindedPath, encodeEncryptedData, encodePadded, encryptedData,
  hasUnknownFeatures, tweakedOnionKey, unblind,
} from '../../../src/bolt/04-onion-routing/blinded-path.ts';
import { ecdh } from '../../../src/bolt/04-onion-routing/keys.ts';
import { decodePayload, encodePayload } from '../../../src/bolt/04-onion-routing/payload.ts';
import { buildOnion, onionEphemeralKey, peelOnion } from '../../../src/bolt/04-onion-routing/sphinx.ts';
import blinding from '../../vectors/bolt04-route-blinding.json' with { type: 'json' };
import payments from '../../vectors/bolt04-blinded-payment-onion.json' with { type: 'json' };

describe.each(blinding.cases)('the blinded routes of the specification: $name', (vector) => {
  const toBlind = vector.hops.map((hop) => ({ node_id: point(hop.node_id), data: hop.encoded_tlvs }));

  it('are made byte for byte: Bob to Carol, joined with Dave to Eve', () => {
    const first = blindPath(fromHex(vector.hops[0]!.session_key!), toBlind.slice(0, 2));
    const second = blindPath(fromHex(vector.hops[2]!.session_key!), toBlind.slice(2));
    expect(first.first_node_id).toBe(vector.route.first_node_id);
    expect(first.first_path_key).toBe(vector.route.first_path_key);
    expect([...first.path, ...second.path]).toEqual(vector.route.hops.map(
      ({ blinded_node_id, encrypted_data }) => ({ blinded_node_id, encrypted_recipient_data: encrypted_data })));
  });

  it.each(vector.unblind)('are walked by $alias', ({ alias, node_privkey, path_key, decrypted_data, next_path_key, next_path_key_override }) => {
    const { encrypted_data } = vector.hops.find((hop) => hop.alias === alias)!;
    const secret = ecdh(fromHex(path_key), fromHex(node_privkey));
    const unblinded = unblind(point(path_key), secret, encrypted_data);
    if (!unblinded.ok) throw new Error(unblinded.reason);
    expect(encodeEncryptedData(unblinded.data)).toBe(decrypted_data);
    expect(unblinded.next_path_key).toBe(next_path_key_override ?? next_path_key);
  });

  it('hide what each hop is told', () => {
    expect(vector.hops.map((hop) => decode(encryptedData, fromHex(hop.encoded_tlvs)))).toEqual([
      {
        padding: '00'.repeat(26), short_channel_id: '0x0x1729', allowed_features: '',
        payment_relay: { cltv_expiry_delta: 36, fee_proportional_millionths: 150, fee_base_msat: 10_000 },
        payment_constraints: { max_cltv_expiry: 748_005, htlc_minimum_msat: 1500n },
        unknown: [{ type: 561n, value: '123456' }],
      },
      {
        short_channel_id: '0x0x1105', allowed_features: '',
        next_path_key_override: '031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f',
        payment_relay: { cltv_expiry_delta: 48, fee_proportional_millionths: 100, fee_base_msat: 500 },
        payment_constraints: { max_cltv_expiry: 747_969, htlc_minimum_msat: 1500n },
      },
      {
        padding: '00'.repeat(35), short_channel_id: '0x0x561', allowed_features: '',
        payment_relay: { cltv_expiry_delta: 144, fee_proportional_millionths: 250, fee_base_msat: 0 },
        payment_constraints: { max_cltv_expiry: 747_921, htlc_minimum_msat: 1500n },
      },
      {
        padding: '00'.repeat(26), path_id: 'deadbeef', allowed_features: `02${'00'.repeat(14)}`,
        payment_constraints: { max_cltv_expiry: 747_777, htlc_minimum_msat: 1500n },
        unknown: [{ type: 65535n, value: '06c1' }],
      },
    ]);
  });
});

describe.each(payments.cases)('a payment over a blinded route: $name', (vector) => {
  const hops = vector.full_route.hops.map(({ pubkey, payload }) => ({ node_id: point(pubkey), payload: payload.slice(2) }));
  const associated_data = fromHex(vector.associated_data);

  it('gives the sender payloads that we write alike', () => {
    const scid = parseShortChannelId('0x0x10');
    const data = vector.blinded_route.hops.map((hop) => hop.encrypted_data);
    expect(hops.map((hop) => hop.payload)).toEqual([
      encodePayload({ kind: 'forward', short_channel_id: scid, amt_to_forward: msat(110_125), outgoing_cltv_value: 749_150 }),
      encodePayload({ kind: 'blinded_forward', encrypted_recipient_data: data[0]!, current_path_key: point(vector.blinded_route.first_path_key) }),
      encodePayload({ kind: 'blinded_forward', encrypted_recipient_data: data[1]! }),
      encodePayload({ kind: 'blinded_forward', encrypted_recipient_data: data[2]! }),
      encodePayload({
        kind: 'blinded_final', encrypted_recipient_data: data[3]!, amt_to_forward: msat(100_000), outgoing_cltv_value: 749_000,
        total_amount_msat: msat(150_000),
      }),
    ]);
  });

  it('is built byte for byte', () => {
    expect(buildOnion({ session_key: fromHex(vector.session_key), hops, associated_data }).packet).toBe(vector.onion);
  });

  it('is peeled by each hop, which learns amount and expiry from the blinded data', () => {
    let path_key: Point | undefined;
    let amounts = { amt_to_forward: msat(110_125), outgoing_cltv_value: 749_150 };
    for (const [index, { onion, node_privkey, next_path_key }] of vector.decrypt.entries()) {
      const secret = fromHex(node_privkey);
      const onionKey = onionEphemeralKey(onion)!;
      const key = path_key === undefined ? onionKey : tweakedOnionKey(onionKey, ecdh(fromHex(path_key), secret));
      const peeled = peelOnion({ packet: onion, associated_data, sharedSecret: ecdh(fromHex(key), secret) });
      if (!peeled.ok) throw new Error(peeled.failure);
      expect(peeled.payload).toBe(hops[index]!.payload);
      expect(peeled.next_packet).toBe(vector.decrypt[index + 1]?.onion);
      const payload = decodePayload(peeled.payload, { final: peeled.next_packet === undefined, path_key: path_key !== undefined });
      if (payload.kind === 'forward') continue;
      if (payload.kind !== 'blinded_forward' && payload.kind !== 'blinded_final') throw new Error(payload.kind);
      path_key ??= payload.current_path_key!;
      const unblinded = unblind(path_key, ecdh(fromHex(path_key), secret), payload.encrypted_recipient_data);
      if (!unblinded.ok) throw new Error(unblinded.reason);
      expect(unblinded.next_path_key).toBe(next_path_key);
      if (payload.kind === 'blinded_forward') {
        amounts = blindedForward({ amount_msat: amounts.amt_to_forward, cltv_expiry: amounts.outgoing_cltv_value }, unblinded.data.payment_relay!)!;
      } else {
        expect(unblinded.data.path_id).toBe('c9cf92f45ade68345bc20ae672e2012f4af487ed4415');
        expect(amounts).toEqual({ amt_to_forward: payload.amt_to_forward, outgoing_cltv_value: payload.outgoing_cltv_value });
      }
      path_key = unblinded.next_path_key;
    }
  });

  it('costs the payer what the recipient summed up', () => {
    const relays = [
      { cltv_expiry_delta: 50, fee_proportional_millionths: 0, fee_base_msat: 10_000 },
      { cltv_expiry_delta: 75, fee_proportional_millionths: 150, fee_base_msat: 100 },
      { cltv_expiry_delta: 25, fee_proportional_millionths: 100, fee_base_msat: 0 },
    ];
    const { fee_base_msat, fee_proportional_millionths, cltv_expiry_delta } = vector.blinded_payinfo;
    expect(aggregateRelays(relays, 0)).toEqual({ fee_base_msat: BigInt(fee_base_msat), fee_proportional_millionths, cltv_expiry_delta });
  });
});

describe('encrypted_recipient_data', () => {
  const nodeSecret = fromHex('41'.repeat(32));
  const node_id = point(toHex(crypto().publicKey(nodeSecret)));
  const sealed = (data: Hex) => {
    const path = blindPath(fromHex('61'.repeat(32)), [{ node_id, data }]);
    return { path_key: path.first_path_key, data: path.path[0]!.encrypted_recipient_data, secret: ecdh(fromHex(path.first_path_key), nodeSecret) };
  };

  it('of another node is refused', () => {
    const { path_key, data } = sealed('0100');
    expect(unblind(path_key, fromHex('62'.repeat(32)), data)).toEqual({ ok: false, reason: 'encrypted_recipient_data is not for us' });
    expect(unblind(path_key, fromHex('62'.repeat(32)), '')).toMatchObject({ ok: false });
  });

  it('with an unknown even record is refused', () => {
    const { path_key, data, secret } = sealed('1000');
    expect(unblind(path_key, secret, data)).toEqual({ ok: false, reason: 'encrypted_data_tlv: TLV type 16 is even and unknown' });
  });

  it('that asks for a feature is recognised', () => {
    expect([undefined, '', '0000', '0200'].map((allowed_features) => hasUnknownFeatures({ allowed_features } as EncryptedData)))
      .toEqual([false, false, false, true]);
  });

  it('is padded to one length for all hops', () => {
    const padded = encodePadded([{ path_id: 'aa'.repeat(20) }, { short_channel_id: parseShortChannelId('1x2x3') }, { next_node_id: node_id }]);
    expect(new Set(padded.map((hex) => hex.length))).toHaveLength(1);
    expect(padded.map((hex) => decode(encryptedData, fromHex(hex)))).toMatchObject([{ path_id: 'aa'.repeat(20) }, { short_channel_id: '1x2x3' }, { next_node_id: node_id }]);
  });
});

it('a relay whose fee or expiry is not paid for forwards nothing', () => {
  const relay = { cltv_expiry_delta: 50, fee_proportional_millionths: 100, fee_base_msat: 1000 };
  expect(blindedForward({ amount_msat: msat(999), cltv_expiry: 100 }, relay)).toBeUndefined();
  expect(blindedForward({ amount_msat: msat(1000), cltv_expiry: 49 }, relay)).toBeUndefined();
  expect(blindedForward({ amount_msat: msat(1000), cltv_expiry: 50 }, relay)).toEqual({ amt_to_forward: 0n, outgoing_cltv_value: 0 });
});

it('a path travels in a message, its first node as an id or as a channel and its side', () => {
  const path = blindPath(fromHex('61'.repeat(32)), [{ node_id: point(blinding.cases[0]!.hops[0]!.node_id), data: '0100' }]);
  for (const first_node_id of [path.first_node_id, '01' + '0000010000020003']) {
    expect(decode(blindedPath, encode(blindedPath, { ...path, first_node_id }))).toEqual({ ...path, first_node_id });
  }
});
