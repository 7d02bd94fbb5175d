/** BOLT 3, "Key Derivation": the keys of one commitment, from basepoints and its per_commitment_point. */
import { crypto } from '../crypto.ts';
import { concatBytes, fromHex, type Hex32, type Point, toHex } from '../primitives.ts';

/** The public half of one side's channel keys, as exchanged in `open_channel` and `accept_channel`. */
export interface ChannelPublicKeys {
  readonly funding_pubkey: Point;
  readonly revocation_basepoint: Point;
  readonly payment_basepoint: Point;
  readonly delayed_payment_basepoint: Point;
  readonly htlc_basepoint: Point;
}

/** The keys that stand in an HTLC's script, as the owner of the commitment ("local") sees them. */
export interface HtlcScriptKeys {
  readonly revocationpubkey: Point;
  readonly local_htlcpubkey: Point;
  readonly remote_htlcpubkey: Point;
}

/** The keys of one commitment, in the spec's words: `local` is the owner. */
export interface CommitmentKeys extends HtlcScriptKeys {
  readonly local_delayedpubkey: Point;
  readonly remotepubkey: Point;
}

/** pubkey = basepoint + SHA256(per_commitment_point || basepoint) * G. Throws on a string that is no point. */
export function derivePublicKey(basepoint: Point, per_commitment_point: Point): Point {
  const base = fromHex(basepoint);
  return pointHex(crypto().tweakPoint(base, hashOf(fromHex(per_commitment_point), base)));
}

/** privkey = basepoint_secret + SHA256(per_commitment_point || basepoint). Who knows the basepoint spares its multiplication. */
export function derivePrivateKey(basepoint_secret: Uint8Array, per_commitment_point: Point, basepoint?: Point): Uint8Array {
  const base = basepoint === undefined ? crypto().publicKey(basepoint_secret) : fromHex(basepoint);
  return crypto().addScalars(basepoint_secret, hashOf(fromHex(per_commitment_point), base));
}

/**
 * revocationpubkey = revocation_basepoint * SHA256(revocation_basepoint || per_commitment_point)
 *                  + per_commitment_point * SHA256(per_commitment_point || revocation_basepoint).
 * Neither side alone can know its private key.
 */
export function deriveRevocationPublicKey(revocation_basepoint: Point, per_commitment_point: Point): Point {
  const basepoint = fromHex(revocation_basepoint);
  const point = fromHex(per_commitment_point);
  return pointHex(crypto().addPoints(
    crypto().multiplyPoint(basepoint, hashOf(basepoint, point)),
    crypto().multiplyPoint(point, hashOf(point, basepoint)),
  ));
}

/** The private key of a revoked commitment, once the peer has revealed its `per_commitment_secret`. */
export function deriveRevocationPrivateKey(revocation_basepoint_secret: Uint8Array, per_commitment_secret: Hex32): Uint8Array {
  const secret = fromHex(per_commitment_secret);
  const basepoint = crypto().publicKey(revocation_basepoint_secret);
  const point = crypto().publicKey(secret);
  return crypto().addScalars(
    crypto().multiplyScalars(revocation_basepoint_secret, hashOf(basepoint, point)),
    crypto().multiplyScalars(secret, hashOf(point, basepoint)),
  );
}

/** per_commitment_point = per_commitment_secret * G. Throws on a secret out of the scalars' range. */
export function perCommitmentPoint(per_commitment_secret: Hex32): Point {
  return pointHex(crypto().publicKey(fromHex(per_commitment_secret)));
}

const hashOf = (first: Uint8Array, second: Uint8Array): Uint8Array => crypto().sha256(concatBytes(first, second));

const pointHex = (bytes: Uint8Array): Point => toHex(bytes) as Point;
