/** BOLT 4, "Packet Construction" and "Onion Decryption": layers put around the hops' payloads, and one of them taken off. */
import { crypto } from '../crypto.ts';
import { type Hex, type Hex32, type Point, concatBytes, fromHex, toHex, toHex32, toPoint } from '../primitives.ts';
import { blindingFactor, deriveKey, ephemeralHops, equalBytes, keyStream, xorInto } from './keys.ts';

/** `hop_payloads` of a payment's onion, in bytes. With version, key and HMAC the packet has 1366. */
export const PAYMENT_PAYLOADS_SIZE = 1300;
/** The bytes of a packet around its `hop_payloads`: version 1, public_key 33, hmac 32. */
export const ONION_OVERHEAD = 66;
const HMAC_SIZE = 32;

/** A route that cannot become an onion: its data came from an invoice or from gossip, so it is an answer and no bug. */
export class OnionError extends Error {
  readonly code: 'payloads_too_long' | 'payload_too_short' | 'invalid_node_id' | 'no_hops';
  constructor(code: OnionError['code'], detail: string) {
    super(`${code}: ${detail}`);
    this.name = 'OnionError';
    this.code = code;
  }
}

export interface OnionHop {
  /** The key to encrypt to: a node id, or a blinded one. */
  readonly node_id: Point;
  /** A TLV stream without its length prefix. */
  readonly payload: Hex;
}

export interface BuildOnion {
  /** 32 secret bytes, never used for two onions. */
  readonly session_key: Uint8Array;
  readonly hops: readonly OnionHop[];
  /** The payment_hash; empty for onion messages. */
  readonly associated_data: Uint8Array;
  /** Bytes of `hop_payloads`: 1300 unless told. */
  readonly size?: number;
}

/**
 * Builds the packet for the first hop. `shared_secrets`, in the order of the hops, open an error that comes back.
 * Throws OnionError when the payloads do not fit or a node id is no point of the curve.
 */
export function buildOnion({ session_key, hops, associated_data, size = PAYMENT_PAYLOADS_SIZE }: BuildOnion): {
  packet: Hex;
  shared_secrets: Uint8Array[];
} {
  const frames = hops.map((hop) => frame(hop.payload));
  assertBuildable(hops, frames, size);
  const chain = ephemeralHops(session_key, hops.map((hop) => hop.node_id));
  const shared_secrets = chain.map((hop) => hop.shared_secret);
  const layers = shared_secrets.map((secret, index) => ({ frame: frames[index]!, secret, stream: rhoStream(secret, size) }));
  const payloads = keyStream('pad', session_key, size);
  const hmac = wrapLayers(payloads, layers, associated_data);
  const packet = concatBytes(Uint8Array.of(0), fromHex(chain[0]!.ephemeral_key), payloads, hmac);
  return { packet: toHex(packet), shared_secrets };
}

/** Bytes that one payload takes up in `hop_payloads`: its length prefix, itself and the HMAC of the next hop. */
export const payloadSize = (payload: Hex): number => frame(payload).length;

export interface PeelOnion {
  readonly packet: Hex;
  readonly associated_data: Uint8Array;
  /** SHA256(ECDH(our key, onionEphemeralKey(packet))), from the signer; undefined when that key is no point. */
  readonly sharedSecret: Uint8Array | undefined;
}

export type OnionFailure = 'invalid_onion_version' | 'invalid_onion_hmac' | 'invalid_onion_key' | 'invalid_onion_payload';

export type PeeledOnion =
  /** `next_packet` is undefined for the final node. */
  | { readonly ok: true; readonly payload: Hex; readonly next_packet?: Hex }
  | { readonly ok: false; readonly failure: OnionFailure; readonly sha256_of_onion: Hex32 };

/** Takes our layer off. Never throws on what a peer sent. */
export function peelOnion({ packet, associated_data, sharedSecret }: PeelOnion): PeeledOnion {
  const bytes = fromHex(packet);
  const fail = (failure: OnionFailure): PeeledOnion =>
    ({ ok: false, failure, sha256_of_onion: toHex32(crypto().sha256(bytes)) });
  if (bytes[0] !== 0) return fail('invalid_onion_version');
  if (bytes.length < ONION_OVERHEAD) return fail('invalid_onion_hmac');
  const { publicKey, payloads, hmac } = sections(bytes);
  if (sharedSecret === undefined || !crypto().isPoint(publicKey)) return fail('invalid_onion_key');
  if (!equalBytes(onionHmac(sharedSecret, payloads, associated_data), hmac)) return fail('invalid_onion_hmac');
  const unwrapped = rhoStream(sharedSecret, payloads.length);
  xorInto(unwrapped, payloads);
  const bounds = readFrame(unwrapped, payloads.length);
  if (bounds === undefined) return fail('invalid_onion_payload');
  const payload = toHex(unwrapped.subarray(bounds.start, bounds.end));
  const rest = unwrapped.subarray(bounds.end + HMAC_SIZE, bounds.end + HMAC_SIZE + payloads.length);
  const next_hmac = unwrapped.subarray(bounds.end, bounds.end + HMAC_SIZE);
  if (next_hmac.every((byte) => byte === 0)) return { ok: true, payload };
  const nextKey = crypto().multiplyPoint(publicKey, blindingFactor(publicKey, sharedSecret));
  return { ok: true, payload, next_packet: toHex(concatBytes(Uint8Array.of(0), nextKey, rest, next_hmac)) };
}

/** The key a hop does its ECDH with, or undefined when there is none on the curve (`invalid_onion_key`). */
export function onionEphemeralKey(packet: Hex): Point | undefined {
  const key = fromHex(packet.slice(2, 68));
  return crypto().isPoint(key) ? toPoint(key) : undefined;
}

function assertBuildable(hops: readonly OnionHop[], frames: readonly Uint8Array[], size: number): void {
  if (hops.length === 0) throw new OnionError('no_hops', 'an onion needs at least one hop');
  const needed = frames.reduce((sum, bytes) => sum + bytes.length, 0);
  if (needed > size) throw new OnionError('payloads_too_long', `the payloads need ${needed} bytes, there are ${size}`);
  for (const { node_id, payload } of hops) {
    if (!crypto().isPoint(fromHex(node_id))) throw new OnionError('invalid_node_id', `${node_id} is no point of the curve`);
    // Lengths 0 and 1 are reserved: no TLV is shorter than 2 bytes.
    if (payload.length < 4) throw new OnionError('payload_too_short', `"${payload}" is shorter than 2 bytes`);
  }
}

interface Layer {
  readonly frame: Uint8Array;
  readonly secret: Uint8Array;
  readonly stream: Uint8Array;
}

/** Wraps from the last hop to the first, in place; answers the HMAC that the first hop checks. */
function wrapLayers(payloads: Uint8Array, layers: readonly Layer[], associatedData: Uint8Array): Uint8Array {
  const size = payloads.length;
  const filler = fillerOf(layers, size);
  return layers.reduceRight<Uint8Array>((nextHmac, { frame, secret, stream }, index) => {
    payloads.copyWithin(frame.length, 0);
    payloads.set(frame);
    payloads.set(nextHmac, frame.length - HMAC_SIZE);
    xorInto(payloads, stream);
    if (index === layers.length - 1) payloads.set(filler, size - filler.length);
    return onionHmac(secret, payloads, associatedData);
  }, new Uint8Array(HMAC_SIZE));
}

/** BOLT 4, "Filler Generation": what the hops before the last will have shifted in at the end, as the last one sees it. */
function fillerOf(layers: readonly Layer[], size: number): Uint8Array {
  const forwarding = layers.slice(0, -1);
  const filler = new Uint8Array(forwarding.reduce((sum, layer) => sum + layer.frame.length, 0));
  let filled = 0;
  for (const { frame, stream } of forwarding) {
    // This hop sees the filler so far at the end of its payloads, and pads it with `frame.length` zeros.
    xorInto(filler.subarray(0, filled + frame.length), stream.subarray(size - filled));
    filled += frame.length;
  }
  return filler;
}

const rhoStream = (secret: Uint8Array, size: number): Uint8Array => keyStream('rho', secret, 2 * size);

const onionHmac = (secret: Uint8Array, payloads: Uint8Array, associatedData: Uint8Array): Uint8Array =>
  crypto().hmacSha256(deriveKey('mu', secret), concatBytes(payloads, associatedData));

/** A packet of at least ONION_OVERHEAD bytes in its parts. */
function sections(bytes: Uint8Array): { publicKey: Uint8Array; payloads: Uint8Array; hmac: Uint8Array } {
  const end = bytes.length - HMAC_SIZE;
  return { publicKey: bytes.subarray(1, 34), payloads: bytes.subarray(34, end), hmac: bytes.subarray(end) };
}

/** A payload behind its bigsize length, with room for the HMAC. */
function frame(payload: Hex): Uint8Array {
  const length = payload.length / 2;
  const prefix = length < 0xfd ? [length] : [0xfd, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.from(prefix), fromHex(payload), new Uint8Array(HMAC_SIZE));
}

/**
 * Where the payload begins and ends, or undefined when its length is malformed, reserved or beyond the packet.
 * Checked before anything is copied: the length is a stranger's number.
 */
function readFrame(unwrapped: Uint8Array, size: number): { start: number; end: number } | undefined {
  const first = unwrapped[0]!;
  // 0xfe and 0xff announce 64 KiB and more: beyond any packet, as are non-minimal lengths beyond the rule.
  if (first > 0xfd) return undefined;
  const start = first === 0xfd ? 3 : 1;
  const length = first === 0xfd ? (unwrapped[1]! << 8) | unwrapped[2]! : first;
  const minimum = first === 0xfd ? 0xfd : 2;
  const end = start + length;
  return length >= minimum && end + HMAC_SIZE <= size ? { start, end } : undefined;
}
