/**
 * All of a node's secrets from its seed. A path is a chain of HMAC-SHA256: the key is what stands before, the message the next name:
 *
 *   root                        HMAC("fulgurite/1/<network>", seed)
 *   root / node                 the node key: BOLT 8 handshakes, gossip, invoices
 *   root / log                  Ed25519 seed of the log's checkpoint key
 *   root / backup               key that seals static backups
 *   root / invoice / N          N = the invoice's nonce; below it: preimage, payment_secret
 *   root / session / P / A      onion session key; P = payment id, A = attempt (u32)
 *   root / channel / K          K = key_index (u32); below it the secrets of BOLT 3's five basepoints and the seed of the
 *                               per-commitment secrets: funding, revocation, payment, delayed_payment, htlc, commitment
 *   m/84'/coin'/0'              the wallet: BIP 84 from the seed itself, so that any wallet program can recover it (hd-wallet.ts)
 *
 * Changing a line of this table loses money: add new names, never change one.
 */
import { secretIndex, secretsFromSeed } from '../../bolt/03-transactions/per-commitment-secret.ts';
import type { ChannelPublicKeys } from '../../bolt/03-transactions/keys.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex32, toHex32, toPoint } from '../../bolt/primitives.ts';

/** The secrets of one channel. */
export interface ChannelSecrets {
  readonly funding: Uint8Array;
  readonly revocation: Uint8Array;
  readonly payment: Uint8Array;
  readonly delayed_payment: Uint8Array;
  readonly htlc: Uint8Array;
  readonly commitment: Uint8Array;
}

type Step = string | number | Uint8Array;

/** Derives by the table above. `network` is part of the root: no key of ours stands on two chains. */
export function createDerivation(seed: Uint8Array, network: string) {
  if (seed.length < 16) throw new RangeError(`a seed has at least 16 bytes, got ${seed.length}`);
  const root = crypto().hmacSha256(bytesOf(`fulgurite/1/${network}`), seed);
  const derive = (...path: readonly Step[]) => path.reduce<Uint8Array>((key, step) => crypto().hmacSha256(key, bytesOf(step)), root);
  return {
    node: () => derive('node'),
    log: () => derive('log'),
    backup: () => derive('backup'),
    channel(key_index: number): ChannelSecrets {
      const below = (name: string) => derive('channel', key_index, name);
      return {
        funding: below('funding'), revocation: below('revocation'), payment: below('payment'),
        delayed_payment: below('delayed_payment'), htlc: below('htlc'), commitment: below('commitment'),
      };
    },
    invoice: (nonce: Hex32) => ({
      payment_preimage: toHex32(derive('invoice', fromHex(nonce), 'preimage')),
      payment_secret: toHex32(derive('invoice', fromHex(nonce), 'payment_secret')),
    }),
    session: (payment_id: Hex32, attempt: number) => derive('session', fromHex(payment_id), attempt),
  };
}

export type Derivation = ReturnType<typeof createDerivation>;

/** What the peer and the chain may know of a channel's secrets. */
export function publicKeysOf(secrets: ChannelSecrets): ChannelPublicKeys {
  const pointOf = (secret: Uint8Array) => toPoint(crypto().publicKey(secret));
  return {
    funding_pubkey: pointOf(secrets.funding),
    revocation_basepoint: pointOf(secrets.revocation),
    payment_basepoint: pointOf(secrets.payment),
    delayed_payment_basepoint: pointOf(secrets.delayed_payment),
    htlc_basepoint: pointOf(secrets.htlc),
  };
}

/** BOLT 3, "Per-commitment Secret Requirements": a channel's secrets, by commitment number. */
export function commitmentSecrets(secrets: ChannelSecrets): (commitment_number: bigint) => Hex32 {
  const secretAt = secretsFromSeed(secrets.commitment);
  return (commitment_number) => secretAt(secretIndex(commitment_number));
}

function bytesOf(step: Step): Uint8Array {
  if (typeof step === 'string') return new TextEncoder().encode(step);
  if (step instanceof Uint8Array) return step;
  if (!Number.isInteger(step) || step < 0 || step > 0xffffffff) throw new RangeError(`a derivation index is a u32, got ${step}`);
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, step);
  return bytes;
}
