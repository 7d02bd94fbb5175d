/** BOLT 8, "Authenticated Key Agreement Handshake": Noise_XK over secp256k1 in three acts, as functions from state to state. */
import { crypto } from '../crypto.ts';
import { concatBytes, toHex } from '../primitives.ts';

/** Bytes on the wire. */
export const ACT_ONE_BYTES = 50;
export const ACT_TWO_BYTES = 50;
export const ACT_THREE_BYTES = 66;

/** Our static key, which need not be here: `ecdh` answers the SHA-256 of the compressed shared point. */
export interface NoiseIdentity {
  readonly publicKey: Uint8Array;
  readonly ecdh: (point: Uint8Array) => Uint8Array;
}

/** What both sides hold in the end. The chaining key feeds the rotation of either key. */
export interface TransportKeys {
  readonly sendingKey: Uint8Array;
  readonly receivingKey: Uint8Array;
  readonly chainingKey: Uint8Array;
}

export type HandshakeErrorCode = `act${1 | 2 | 3}_${'read_failed' | 'bad_version' | 'bad_pubkey' | 'bad_ciphertext' | 'bad_tag'}`;

/** The other side does not speak BOLT 8, or is not who it should be. It gets no answer. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
  readonly code: HandshakeErrorCode;

  constructor(code: HandshakeErrorCode, detail: string) {
    super(`${code}: ${detail}`);
    this.code = code;
  }
}

/** The running digest and chaining key of the spec. */
interface Symmetric {
  readonly h: Uint8Array;
  readonly ck: Uint8Array;
}

/** The initiator between act one and act two. */
export interface AwaitingActTwo extends Symmetric {
  readonly identity: NoiseIdentity;
  readonly ephemeralPrivateKey: Uint8Array;
}

/** The responder between act two and act three. */
export interface AwaitingActThree extends Symmetric {
  readonly ephemeralPrivateKey: Uint8Array;
  readonly temporaryKey: Uint8Array;
}

/** Act one, sender: we know whom we want to reach. `remotePublicKey` must be a point. */
export function createInitiator(options: {
  readonly identity: NoiseIdentity;
  readonly ephemeralPrivateKey: Uint8Array;
  readonly remotePublicKey: Uint8Array;
}): { readonly state: AwaitingActTwo; readonly actOne: Uint8Array } {
  const { identity, ephemeralPrivateKey, remotePublicKey } = options;
  const shared = ecdh(ephemeralPrivateKey, remotePublicKey);
  const sent = sendEphemeral(initialise(remotePublicKey), ephemeralPrivateKey, shared);
  return { state: { ...sent.state, identity, ephemeralPrivateKey }, actOne: sent.act };
}

/** Act one, receiver, and act two, sender. Throws HandshakeError. */
export function receiveActOne(
  options: { readonly identity: NoiseIdentity; readonly ephemeralPrivateKey: Uint8Array },
  actOne: Uint8Array,
): { readonly state: AwaitingActThree; readonly actTwo: Uint8Array } {
  const { identity, ephemeralPrivateKey } = options;
  const received = receiveEphemeral(1, initialise(identity.publicKey), actOne, identity.ecdh);
  const shared = ecdh(ephemeralPrivateKey, received.remoteEphemeral);
  const { state, act, temporaryKey } = sendEphemeral(received.state, ephemeralPrivateKey, shared);
  return { state: { ...state, ephemeralPrivateKey, temporaryKey }, actTwo: act };
}

/** Act two, receiver, and act three, sender: the initiator is done. Throws HandshakeError. */
export function receiveActTwo(
  awaiting: AwaitingActTwo,
  actTwo: Uint8Array,
): { readonly actThree: Uint8Array; readonly keys: TransportKeys } {
  const { identity, ephemeralPrivateKey } = awaiting;
  const received = receiveEphemeral(2, awaiting, actTwo, (re) => ecdh(ephemeralPrivateKey, re));
  // 1. c = encryptWithAD(temp_k2, 1, h, s.pub)
  const c = encryptWithAd(received.temporaryKey, 1, received.state.h, identity.publicKey);
  // 2. h = SHA-256(h || c)
  const h = mixHash(received.state.h, c);
  // 3. se = ECDH(s.priv, re)   4. ck, temp_k3 = HKDF(ck, se)
  const [ck, temporaryKey] = hkdf(received.state.ck, identity.ecdh(received.remoteEphemeral));
  // 5. t = encryptWithAD(temp_k3, 0, h, zero)
  const t = encryptWithAd(temporaryKey, 0, h, EMPTY);
  // 6. sk, rk = HKDF(ck, zero)
  const [sendingKey, receivingKey] = hkdf(ck, EMPTY);
  return { actThree: concatBytes(VERSION, c, t), keys: { sendingKey, receivingKey, chainingKey: ck } };
}

/** Act three, receiver: the responder learns who called and is done. Throws HandshakeError. */
export function receiveActThree(
  awaiting: AwaitingActThree,
  actThree: Uint8Array,
): { readonly remotePublicKey: Uint8Array; readonly keys: TransportKeys } {
  checkForm(3, actThree, ACT_THREE_BYTES);
  const [c, t] = [actThree.subarray(1, 50), actThree.subarray(50)];
  // 4. rs = decryptWithAD(temp_k2, 1, h, c)
  const remotePublicKey = decryptWithAd(awaiting.temporaryKey, 1, awaiting.h, c);
  if (remotePublicKey === undefined) throw new HandshakeError('act3_bad_ciphertext', 'the static key does not decrypt');
  checkPoint(3, remotePublicKey);
  // 5. h = SHA-256(h || c)
  const h = mixHash(awaiting.h, c);
  // 6. se = ECDH(e.priv, rs)   7. ck, temp_k3 = HKDF(ck, se)
  const [ck, temporaryKey] = hkdf(awaiting.ck, ecdh(awaiting.ephemeralPrivateKey, remotePublicKey));
  // 8. p = decryptWithAD(temp_k3, 0, h, t)
  if (decryptWithAd(temporaryKey, 0, h, t) === undefined) throw new HandshakeError('act3_bad_tag', 'wrong MAC');
  // 9. rk, sk = HKDF(ck, zero)
  const [receivingKey, sendingKey] = hkdf(ck, EMPTY);
  return { remotePublicKey, keys: { sendingKey, receivingKey, chainingKey: ck } };
}

const EMPTY = new Uint8Array(0);
const VERSION = new Uint8Array([0]);
const PROTOCOL_NAME = new TextEncoder().encode('Noise_XK_secp256k1_ChaChaPoly_SHA256');
const PROLOGUE = new TextEncoder().encode('lightning');

/** "Handshake State Initialization": the responder's static key is mixed in by both. */
function initialise(responderPublicKey: Uint8Array): Symmetric {
  const ck = crypto().sha256(PROTOCOL_NAME);
  return { ck, h: mixHash(mixHash(ck, PROLOGUE), responderPublicKey) };
}

/** Sender actions of acts one and two, which differ in the shared secret alone (es or ee). */
function sendEphemeral(
  { h, ck }: Symmetric,
  ephemeralPrivateKey: Uint8Array,
  shared: Uint8Array,
): { readonly state: Symmetric; readonly act: Uint8Array; readonly temporaryKey: Uint8Array } {
  const ephemeral = crypto().publicKey(ephemeralPrivateKey);
  // 2. h = SHA-256(h || e.pub)
  const mixed = mixHash(h, ephemeral);
  // 4. ck, temp_k = HKDF(ck, shared)
  const [nextCk, temporaryKey] = hkdf(ck, shared);
  // 5. c = encryptWithAD(temp_k, 0, h, zero)
  const c = encryptWithAd(temporaryKey, 0, mixed, EMPTY);
  // 6. h = SHA-256(h || c)   7. m = 0 || e.pub || c
  return { state: { h: mixHash(mixed, c), ck: nextCk }, act: concatBytes(VERSION, ephemeral, c), temporaryKey };
}

/** Receiver actions of acts one and two. */
function receiveEphemeral(
  act: 1 | 2,
  { h, ck }: Symmetric,
  bytes: Uint8Array,
  sharedWith: (remoteEphemeral: Uint8Array) => Uint8Array,
): { readonly state: Symmetric; readonly remoteEphemeral: Uint8Array; readonly temporaryKey: Uint8Array } {
  checkForm(act, bytes, ACT_ONE_BYTES);
  const [remoteEphemeral, c] = [bytes.subarray(1, 34), bytes.subarray(34)];
  checkPoint(act, remoteEphemeral);
  // 4. h = SHA-256(h || re)
  const mixed = mixHash(h, remoteEphemeral);
  // 5. ECDH   6. ck, temp_k = HKDF(ck, shared)
  const [nextCk, temporaryKey] = hkdf(ck, sharedWith(remoteEphemeral));
  // 7. p = decryptWithAD(temp_k, 0, h, c)
  if (decryptWithAd(temporaryKey, 0, mixed, c) === undefined) throw new HandshakeError(`act${act}_bad_tag`, 'wrong MAC');
  // 8. h = SHA-256(h || c)
  return { state: { h: mixHash(mixed, c), ck: nextCk }, remoteEphemeral, temporaryKey };
}

function checkForm(act: 1 | 2 | 3, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new HandshakeError(`act${act}_read_failed`, `expected ${length} bytes, got ${bytes.length}`);
  if (bytes[0] !== 0) throw new HandshakeError(`act${act}_bad_version`, `expected version 0, got ${bytes[0]}`);
}

function checkPoint(act: 1 | 2 | 3, point: Uint8Array): void {
  if (!crypto().isPoint(point)) throw new HandshakeError(`act${act}_bad_pubkey`, `not a point of the curve: ${toHex(point)}`);
}

/** ECDH(k, rk) = SHA-256 of the compressed shared point. */
const ecdh = (privateKey: Uint8Array, point: Uint8Array): Uint8Array =>
  crypto().sha256(crypto().multiplyPoint(point, privateKey));

const mixHash = (h: Uint8Array, data: Uint8Array): Uint8Array => crypto().sha256(concatBytes(h, data));

/** RFC 5869 with an empty info: 64 bytes, as two keys. */
export function hkdf(salt: Uint8Array, keyMaterial: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const extracted = crypto().hmacSha256(salt, keyMaterial);
  const first = crypto().hmacSha256(extracted, new Uint8Array([1]));
  const second = crypto().hmacSha256(extracted, concatBytes(first, new Uint8Array([2])));
  return [first, second];
}

/** 32 zero bits, then the number in 64 bits, little-endian (the Noise convention). */
export function nonceBytes(n: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(4, n, true);
  return nonce;
}

const encryptWithAd = (key: Uint8Array, n: number, ad: Uint8Array, plaintext: Uint8Array): Uint8Array =>
  crypto().chacha20poly1305Encrypt(key, nonceBytes(n), ad, plaintext);

const decryptWithAd = (key: Uint8Array, n: number, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined =>
  crypto().chacha20poly1305Decrypt(key, nonceBytes(n), ad, ciphertext);
