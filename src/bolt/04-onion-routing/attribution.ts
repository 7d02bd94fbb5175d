/** BOLT 4, "Initialization of attribution_data" and "Hold times for successful payments": who held an HTLC, and for how long. */
import { crypto } from '../crypto.ts';
import { type RecordOf, bytes, decode, encode, record, tuple, u32 } from '../codec.ts';
import { type Hex, concatBytes, fromHex } from '../primitives.ts';
import { wrapFailurePacket } from './failure.ts';
import { deriveKey, equalBytes, keyStream, xorInto } from './keys.ts';

const MAX_HOPS = 20;
const HOLD_TIME_SIZE = 4;
const HMAC_SIZE = 4;
const HMACS_START = MAX_HOPS * HOLD_TIME_SIZE;
/** 20 hold times and 20 + 19 + ... + 1 truncated HMACs, in bytes. */
const ATTRIBUTION_SIZE = HMACS_START + (HMAC_SIZE * MAX_HOPS * (MAX_HOPS + 1)) / 2;

const FIELDS = { htlc_hold_times: tuple(MAX_HOPS, u32), truncated_hmacs: tuple((MAX_HOPS * (MAX_HOPS + 1)) / 2, bytes(HMAC_SIZE)) };
/** The layout of `attribution_data`, as update_fail_htlc and update_fulfill_htlc carry it. On the way all of it is encrypted. */
export const attributionData = record(FIELDS);
export type AttributionData = RecordOf<typeof FIELDS>;

/**
 * attribution_data to send beside a `reason` of ours, made or wrapped.
 * @param reason as we send it, our own layer included
 * @param holdTime how long we held the HTLC, in units of 100 ms
 * @param downstream what came with the `reason` from downstream; undefined for the erring node or where none came
 */
export function attributeFailure(sharedSecret: Uint8Array, reason: Hex, holdTime: number, downstream?: AttributionData): AttributionData {
  return attribute(sharedSecret, fromHex(wrapFailurePacket(sharedSecret, reason)), holdTime, downstream);
}

/** attribution_data to send beside a preimage; parameters as in attributeFailure. */
export function attributeSuccess(sharedSecret: Uint8Array, holdTime: number, downstream?: AttributionData): AttributionData {
  return attribute(sharedSecret, new Uint8Array(0), holdTime, downstream);
}

export interface Attribution {
  /** Hold times of the hops whose HMAC holds, in the order of the route, in units of 100 ms. */
  readonly hold_times: readonly number[];
  /** The first hop whose HMAC does not hold: it or its successor tampered, or does not support attribution. */
  readonly invalid_at?: number;
}

/**
 * What the origin learns from a failed HTLC. `hop_index`, if the failure's source is known, ends the reading there.
 * A route beyond 20 hops tells nothing: `invalid_at` is 0.
 */
export function readFailureAttribution(
  sharedSecrets: readonly Uint8Array[], reason: Hex, attribution: AttributionData, hop_index = sharedSecrets.length - 1,
): Attribution {
  let packet = reason;
  return readAttribution(sharedSecrets, attribution, hop_index, (secret) => {
    packet = wrapFailurePacket(secret, packet);
    return fromHex(packet);
  });
}

/** What the origin learns from a fulfilled HTLC. */
export function readSuccessAttribution(sharedSecrets: readonly Uint8Array[], attribution: AttributionData): Attribution {
  return readAttribution(sharedSecrets, attribution, sharedSecrets.length - 1, () => new Uint8Array(0));
}

function attribute(sharedSecret: Uint8Array, message: Uint8Array, holdTime: number, downstream: AttributionData | undefined): AttributionData {
  const data = shiftedBack(downstream);
  new DataView(data.buffer).setUint32(0, holdTime);
  const umKey = deriveKey('um', sharedSecret);
  for (let distance = 0; distance < MAX_HOPS; distance++) {
    data.set(truncatedHmac(umKey, message, data, distance), hmacAt(0, distance));
  }
  return decode(attributionData, xorInto(data, keyStream('ammagext', sharedSecret, ATTRIBUTION_SIZE)));
}

function readAttribution(
  sharedSecrets: readonly Uint8Array[], attribution: AttributionData, lastHop: number, messageAt: (secret: Uint8Array) => Uint8Array,
): Attribution {
  let data: Uint8Array = encode(attributionData, attribution).slice();
  const hold_times: number[] = [];
  if (sharedSecrets.length > MAX_HOPS) return { hold_times, invalid_at: 0 };
  for (const [hop, secret] of sharedSecrets.slice(0, lastHop + 1).entries()) {
    xorInto(data, keyStream('ammagext', secret, ATTRIBUTION_SIZE));
    // Distances are counted as if the last node of the route had erred: what lies beyond the real one is zero.
    const distance = sharedSecrets.length - 1 - hop;
    const at = hmacAt(0, distance);
    const hmac = truncatedHmac(deriveKey('um', secret), messageAt(secret), data, distance);
    if (!equalBytes(hmac, data.subarray(at, at + HMAC_SIZE))) return { hold_times, invalid_at: hop };
    hold_times.push(new DataView(data.buffer).getUint32(0));
    data = shiftedForward(data);
  }
  return { hold_times };
}

/** Covers the message, the hold times of this hop and of `distance` more, and one HMAC of each of those. */
function truncatedHmac(umKey: Uint8Array, message: Uint8Array, data: Uint8Array, distance: number): Uint8Array {
  const holdTimes = data.subarray(0, (distance + 1) * HOLD_TIME_SIZE);
  const downstream = Array.from({ length: distance }, (_, index) => {
    const at = hmacAt(index + 1, distance - index - 1);
    return data.subarray(at, at + HMAC_SIZE);
  });
  return crypto().hmacSha256(umKey, concatBytes(message, holdTimes, ...downstream)).subarray(0, HMAC_SIZE);
}

/** Where `hmac_x_y` begins: row `hop` counts from the node at hand, and lists its distances from the largest down. */
function hmacAt(hop: number, distance: number): number {
  const rowsBefore = hop * MAX_HOPS - (hop * (hop - 1)) / 2;
  return HMACS_START + HMAC_SIZE * (rowsBefore + MAX_HOPS - 1 - hop - distance);
}

/** Makes room for a hop upstream: `hmac_x_y` becomes `hmac_x+1_y`, and the largest distance of each row is pruned. */
function shiftedBack(downstream: AttributionData | undefined): Uint8Array {
  const shifted = new Uint8Array(ATTRIBUTION_SIZE);
  if (downstream === undefined) return shifted;
  const data = encode(attributionData, downstream);
  shifted.set(data.subarray(0, HMACS_START - HOLD_TIME_SIZE), HOLD_TIME_SIZE);
  for (let hop = 0; hop < MAX_HOPS - 1; hop++) {
    const from = hmacAt(hop, MAX_HOPS - 2 - hop);
    shifted.set(data.subarray(from, hmacAt(hop, 0) + HMAC_SIZE), hmacAt(hop + 1, MAX_HOPS - 2 - hop));
  }
  return shifted;
}

/** The reverse: what the hop at hand received from downstream, apart from what it pruned. */
function shiftedForward(data: Uint8Array): Uint8Array {
  const shifted = new Uint8Array(ATTRIBUTION_SIZE);
  shifted.set(data.subarray(HOLD_TIME_SIZE, HMACS_START));
  for (let hop = 0; hop < MAX_HOPS - 1; hop++) {
    const from = hmacAt(hop + 1, MAX_HOPS - 2 - hop);
    shifted.set(data.subarray(from, hmacAt(hop + 1, 0) + HMAC_SIZE), hmacAt(hop, MAX_HOPS - 2 - hop));
  }
  return shifted;
}
