/** BOLT 4, "Returning Errors": the packet that carries a failure back, as its maker, a relay and the origin treat it. */
import { crypto } from '../crypto.ts';
import { type Hex, concatBytes, fromHex, toHex } from '../primitives.ts';
import { type Failure, decodeFailure } from './failure-codes.ts';
import { deriveKey, equalBytes, keyStream, xorInto } from './keys.ts';

export * from './failure-codes.ts';

/** `failure_len` plus `pad_len` is at least this, and by default exactly this for the short failures of BOLT 4. */
const FAILURE_SIZE = 256;
const HMAC_SIZE = 32;
/** Packets are opened so many times however long the route was, so that timing does not show its length. */
const ROUNDS = 27;
const DUMMY_SECRET = new Uint8Array(HMAC_SIZE);

/**
 * The erring node's packet, ready to send as the `reason` of update_fail_htlc.
 * @param sharedSecret of the onion that failed
 * @param failure an encoded failure (see encodeFailure)
 * @param size the bytes that failure and padding fill; a longer failure is not padded
 */
export function createFailurePacket(sharedSecret: Uint8Array, failure: Hex, size = FAILURE_SIZE): Hex {
  const message = fromHex(failure);
  const padding = new Uint8Array(Math.max(0, size - message.length));
  const body = concatBytes(u16(message.length), message, u16(padding.length), padding);
  const hmac = crypto().hmacSha256(deriveKey('um', sharedSecret), body);
  return wrapFailurePacket(sharedSecret, toHex(concatBytes(hmac, body)));
}

/** One more layer around a `reason` from downstream. To wrap is to unwrap: the layer is an XOR. */
export function wrapFailurePacket(sharedSecret: Uint8Array, reason: Hex): Hex {
  return toHex(xorLayer(sharedSecret, fromHex(reason).slice()));
}

/** Which hop of the route failed (0 is the first), and how. */
export interface OpenedFailure {
  readonly hop_index: number;
  readonly failure: Failure;
}

/**
 * What the origin reads from a `reason`; undefined when no hop of ours made it (see readFailureAttribution for whom to blame).
 * @param sharedSecrets as buildOnion answered them
 */
export function unwrapFailurePacket(sharedSecrets: readonly Uint8Array[], reason: Hex): OpenedFailure | undefined {
  const packet = fromHex(reason).slice();
  let opened: OpenedFailure | undefined;
  for (let round = 0; round < Math.max(ROUNDS, sharedSecrets.length); round++) {
    const secret = sharedSecrets[round] ?? DUMMY_SECRET;
    xorLayer(secret, packet);
    const authentic = isAuthentic(secret, packet);
    if (authentic && opened === undefined && round < sharedSecrets.length) {
      opened = { hop_index: round, failure: decodeFailure(failureOf(packet)) };
    }
  }
  return opened;
}

function xorLayer(sharedSecret: Uint8Array, packet: Uint8Array): Uint8Array {
  return xorInto(packet, keyStream('ammag', sharedSecret, packet.length));
}

function isAuthentic(sharedSecret: Uint8Array, packet: Uint8Array): boolean {
  const hmac = crypto().hmacSha256(deriveKey('um', sharedSecret), packet.subarray(HMAC_SIZE));
  return equalBytes(hmac, packet.subarray(0, HMAC_SIZE));
}

/** The failure message inside an authentic packet, as far as it reaches: its lengths are the erring node's affair. */
function failureOf(packet: Uint8Array): Hex {
  const start = HMAC_SIZE + 2;
  const length = ((packet[HMAC_SIZE] ?? 0) << 8) | (packet[HMAC_SIZE + 1] ?? 0);
  return toHex(packet.subarray(start, start + length));
}

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
