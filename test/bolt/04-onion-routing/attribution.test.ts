/** BOLT 4, attribution data: the specification's failure and success, hop by hop, and who is blamed for tampering. */
import { describe, expect, it } from 'vitest';
import { decode, encode } from '../../../src/bolt/codec.ts';
import { type Hex, fromHex, point, toHex } from '../../../src/bolt/primitives.ts';
import { ephemeralHops } from '../../../src/bolt/04-onion-routing/keys.ts';
import { createFailurePacket, unwrapFailurePacket, wrapFailurePacket } from '../../../src/bolt/04-onion-routing/failure.ts';
import {
  type AttributionData, attributeFailure, attributeSuccess, attributionData, readFailureAttribution, readSuccessAttribution,
} from '../../../src/bolt/04-onion-routing/attribution.ts';
import vectors from '../../vectors/bolt04-attribution.json' with { type: 'json' };

const secrets = ephemeralHops(fromHex(vectors.session_key), vectors.node_ids.map(point)).map((hop) => hop.shared_secret);
const holdTimes = vectors.hold_times;
const parse = (hex: Hex): AttributionData => decode(attributionData, fromHex(hex));
const print = (data: AttributionData): Hex => toHex(encode(attributionData, data));

interface Reply { readonly reason: Hex; readonly attribution: AttributionData }

/** What each node sends upstream, beginning with the erring one; the specification's nodes pad to 1024 bytes. */
function failFrom(erring: number): Reply[] {
  const replies: Reply[] = [];
  for (let node = erring; node >= 0; node--) {
    const secret = secrets[node]!;
    const from = replies.at(-1);
    const reason = from === undefined ? createFailurePacket(secret, vectors.failure.failure, 1024) : wrapFailurePacket(secret, from.reason);
    replies.push({ reason, attribution: attributeFailure(secret, reason, holdTimes[node]!, from?.attribution) });
  }
  return replies;
}

describe('the failure of the specification', () => {
  it('is relayed byte for byte', () => {
    expect(failFrom(4).map(({ reason, attribution }) => ({ reason, attribution_data: print(attribution) })))
      .toEqual(vectors.failure.forwarding.map(({ reason, attribution_data }) => ({ reason, attribution_data })));
  });

  it('tells the origin who failed, and how long each node held the HTLC', () => {
    const { reason, attribution_data } = vectors.failure.forwarding.at(-1)!;
    expect(unwrapFailurePacket(secrets, reason)).toMatchObject({ hop_index: 4, failure: { name: 'incorrect_or_unknown_payment_details' } });
    expect(readFailureAttribution(secrets, reason, parse(attribution_data))).toEqual({ hold_times: holdTimes });
  });
});

describe('the success of the specification', () => {
  it('is relayed byte for byte', () => {
    let attribution: AttributionData | undefined;
    for (const { node, attribution_data } of vectors.success) {
      attribution = attributeSuccess(secrets[node]!, holdTimes[node]!, attribution);
      expect(print(attribution)).toBe(attribution_data);
    }
  });

  it('tells the origin how long each node held the HTLC', () => {
    expect(readSuccessAttribution(secrets, parse(vectors.success.at(-1)!.attribution_data))).toEqual({ hold_times: holdTimes });
  });
});

describe('a failure from the middle of the route', () => {
  it.each([0, 1, 2, 3, 4])('at node %i is read up to that node', (erring) => {
    const { reason, attribution } = failFrom(erring).at(-1)!;
    const { hop_index } = unwrapFailurePacket(secrets, reason)!;
    expect(hop_index).toBe(erring);
    expect(readFailureAttribution(secrets, reason, attribution, hop_index)).toEqual({ hold_times: holdTimes.slice(0, erring + 1) });
  });
});

describe('a node that tampers', () => {
  it.each([0, 1, 2, 3])('node %i, is the last but one whose HMAC holds', (culprit) => {
    let { reason, attribution } = failFrom(4)[3 - culprit]!;
    // What the culprit received, with one byte of the failure changed, it relays as if nothing was.
    reason = reason.slice(0, -2) + (reason.endsWith('00') ? '01' : '00');
    for (let node = culprit; node >= 0; node--) {
      reason = wrapFailurePacket(secrets[node]!, reason);
      attribution = attributeFailure(secrets[node]!, reason, holdTimes[node]!, attribution);
    }
    expect(unwrapFailurePacket(secrets, reason)).toBeUndefined();
    expect(readFailureAttribution(secrets, reason, attribution)).toEqual({ hold_times: holdTimes.slice(0, culprit + 1), invalid_at: culprit + 1 });
  });
});

it('a relay that got no attribution data begins anew, and the origin reads up to it', () => {
  const { reason } = failFrom(4)[2]!;
  const relayed = wrapFailurePacket(secrets[1]!, reason);
  const last = wrapFailurePacket(secrets[0]!, relayed);
  const attribution = attributeFailure(secrets[0]!, last, 7, attributeFailure(secrets[1]!, relayed, 9));
  expect(readFailureAttribution(secrets, last, attribution)).toEqual({ hold_times: [7, 9], invalid_at: 2 });
});

it('a route beyond 20 hops cannot be read', () => {
  const attribution = attributeSuccess(secrets[0]!, 1);
  expect(readSuccessAttribution(Array.from({ length: 21 }, () => secrets[0]!), attribution)).toEqual({ hold_times: [], invalid_at: 0 });
});
