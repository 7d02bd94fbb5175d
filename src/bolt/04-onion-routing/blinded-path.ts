/** BOLT 4, "Route Blinding": a path that hides its nodes, made by the recipient and walked by its hops. */
import { crypto } from '../crypto.ts';
import { type Codec, CodecError, decode, encode, list, point, prefixedBytes, record, rest } from '../codec.ts';
import { shortChannelId, tu32, tu64, u16, u32, u8 } from '../codec.ts';
import { type Hex, type Msat, type Point, concatBytes, fromHex, toHex, toPoint } from '../primitives.ts';
import { type TlvsOf, tlv, tlvStream } from '../tlv.ts';
import { blindingFactor, deriveKey, ephemeralHops } from './keys.ts';

const ENCRYPTED_DATA = {
  padding: tlv(1, rest),
  short_channel_id: tlv(2, shortChannelId),
  next_node_id: tlv(4, point),
  path_id: tlv(6, rest),
  next_path_key_override: tlv(8, point),
  payment_relay: tlv(10, record({ cltv_expiry_delta: u16, fee_proportional_millionths: u32, fee_base_msat: tu32 })),
  payment_constraints: tlv(12, record({ max_cltv_expiry: u32, htlc_minimum_msat: tu64 as Codec<Msat> })),
  allowed_features: tlv(14, rest),
};

/** `encrypted_data_tlv`: what the recipient tells one hop. */
export type EncryptedData = TlvsOf<typeof ENCRYPTED_DATA>;
export const encryptedData: Codec<EncryptedData> = tlvStream(ENCRYPTED_DATA);

export interface BlindedHop {
  readonly blinded_node_id: Point;
  readonly encrypted_recipient_data: Hex;
}

/** `first_node_id` is a node id, or a `sciddir` (0 or 1 and a short_channel_id: 9 bytes) to be looked up in the graph. */
export interface BlindedPath {
  readonly first_node_id: Hex;
  readonly first_path_key: Point;
  readonly path: readonly BlindedHop[];
}

/** `sciddir_or_pubkey` of BOLT 1: the first byte tells which. CodecError `invalid_point`, `truncated`. */
const sciddirOrPubkey: Codec<Hex> = {
  encode: (value, writer) => writer.hex(value),
  decode(reader) {
    const first = reader.hex(1);
    if (first === '00' || first === '01') return first + reader.hex(8);
    return decode(point, concatBytes(fromHex(first), reader.take(32)));
  },
};

export const blindedPath: Codec<BlindedPath> = record({
  first_node_id: sciddirOrPubkey,
  first_path_key: point,
  path: list(u8, record({ blinded_node_id: point, encrypted_recipient_data: prefixedBytes(u16) })),
});

export interface HopToBlind {
  readonly node_id: Point;
  /** An encoded `encrypted_data_tlv`. */
  readonly data: Hex;
}

/**
 * The recipient's side. `session_key` is e_0, 32 secret bytes used for this path alone.
 * To join a path of another's making, end with a hop whose data holds that path's key as `next_path_key_override`.
 */
export function blindPath(session_key: Uint8Array, hops: readonly HopToBlind[]): BlindedPath {
  if (hops.length === 0) throw new RangeError('a blinded path has at least one hop');
  const chain = ephemeralHops(session_key, hops.map((hop) => hop.node_id));
  return {
    first_node_id: hops[0]!.node_id,
    first_path_key: chain[0]!.ephemeral_key,
    path: hops.map(({ node_id, data }, index) => blindHop(node_id, data, chain[index]!.shared_secret)),
  };
}

export const encodeEncryptedData = (data: EncryptedData): Hex => toHex(encode(encryptedData, data));

/** Encodes the data of all hops at one length, so that neither the sender nor a hop can guess a place in the path. */
export function encodePadded(hops: readonly EncryptedData[]): Hex[] {
  const lengthOf = (data: EncryptedData) => encodeEncryptedData(data).length / 2;
  // An empty padding record takes 2 bytes: with one in each hop, every difference can be filled.
  const bare = hops.map((data) => ({ ...data, padding: '' }));
  const longest = Math.max(...bare.map(lengthOf));
  return bare.map((data) => encodeEncryptedData({ ...data, padding: '00'.repeat(longest - lengthOf(data)) }));
}

/** Whether `allowed_features` holds a bit: none is defined yet, so any is unknown and the hop must refuse. */
export const hasUnknownFeatures = (data: EncryptedData): boolean => /[^0]/.test(data.allowed_features ?? '');

export type Unblinded =
  | { readonly ok: true; readonly data: EncryptedData; readonly next_path_key: Point }
  | { readonly ok: false; readonly reason: string };

/**
 * A hop's side: decrypts what the recipient told it. Never throws on what others wrote.
 * @param path_key from update_add_htlc, onion_message or `current_path_key`; a point of the curve
 * @param blindingSecret SHA256(ECDH(our key, path_key)), from the signer
 */
export function unblind(path_key: Point, blindingSecret: Uint8Array, encrypted_recipient_data: Hex): Unblinded {
  const plaintext = crypto().chacha20poly1305Decrypt(
    deriveKey('rho', blindingSecret), ZERO_NONCE, NO_DATA, fromHex(encrypted_recipient_data));
  if (plaintext === undefined) return { ok: false, reason: 'encrypted_recipient_data is not for us' };
  try {
    const data = decode(encryptedData, plaintext);
    return { ok: true, data, next_path_key: data.next_path_key_override ?? nextPathKey(path_key, blindingSecret) };
  } catch (error) {
    if (error instanceof CodecError) return { ok: false, reason: `encrypted_data_tlv: ${error.message}` };
    throw error;
  }
}

/**
 * The key for the ECDH that opens the onion of a blinded hop: its ephemeral key tweaked, which spares the signer a tweak
 * of the node's own key.
 */
export function tweakedOnionKey(onionKey: Point, blindingSecret: Uint8Array): Point {
  return toPoint(crypto().multiplyPoint(fromHex(onionKey), deriveKey('blinded_node_id', blindingSecret)));
}

/** What a relay forwards on a blinded route. Undefined when the incoming amount does not pay the base fee, or the expiry is too low. */
export function blindedForward(
  incoming: { readonly amount_msat: Msat; readonly cltv_expiry: number },
  relay: NonNullable<EncryptedData['payment_relay']>,
): { readonly amt_to_forward: Msat; readonly outgoing_cltv_value: number } | undefined {
  const rate = 1_000_000n + BigInt(relay.fee_proportional_millionths);
  const withoutBase = incoming.amount_msat - BigInt(relay.fee_base_msat);
  const outgoing_cltv_value = incoming.cltv_expiry - relay.cltv_expiry_delta;
  if (withoutBase < 0n || outgoing_cltv_value < 0) return undefined;
  return { amt_to_forward: ((withoutBase * 1_000_000n + rate - 1n) / rate) as Msat, outgoing_cltv_value };
}

/** What a payer pays to the whole of a blinded path, from its relays in order: fees in msat and millionths, blocks. */
export function aggregateRelays(
  relays: readonly NonNullable<EncryptedData['payment_relay']>[], min_final_cltv_expiry_delta: number,
): { readonly fee_base_msat: Msat; readonly fee_proportional_millionths: number; readonly cltv_expiry_delta: number } {
  const million = 1_000_000n;
  const ceiling = (value: bigint) => (value + million - 1n) / million;
  const [base, rate] = relays.reduceRight(([base, rate], relay) => {
    const proportional = BigInt(relay.fee_proportional_millionths);
    return [
      ceiling(base * (million + proportional) + BigInt(relay.fee_base_msat) * million),
      ceiling((rate + proportional) * million + rate * proportional),
    ] as const;
  }, [0n, 0n] as readonly [bigint, bigint]);
  const blocks = relays.reduce((sum, relay) => sum + relay.cltv_expiry_delta, min_final_cltv_expiry_delta);
  return { fee_base_msat: base as Msat, fee_proportional_millionths: Number(rate), cltv_expiry_delta: blocks };
}

const ZERO_NONCE = new Uint8Array(12);
const NO_DATA = new Uint8Array(0);

function blindHop(nodeId: Point, data: Hex, sharedSecret: Uint8Array): BlindedHop {
  const sealed = crypto().chacha20poly1305Encrypt(deriveKey('rho', sharedSecret), ZERO_NONCE, NO_DATA, fromHex(data));
  return {
    blinded_node_id: toPoint(crypto().multiplyPoint(fromHex(nodeId), deriveKey('blinded_node_id', sharedSecret))),
    encrypted_recipient_data: toHex(sealed),
  };
}

function nextPathKey(path_key: Point, blindingSecret: Uint8Array): Point {
  const key = fromHex(path_key);
  return toPoint(crypto().multiplyPoint(key, blindingFactor(key, blindingSecret)));
}
