/** The Signer in this process: derives keys on demand (derivation.ts), signs BOLT 3's transactions, never goes back (high-water.ts). */
import { type Commitment, type CommitmentParams } from '../../bolt/03-transactions/commitment-tx.ts';
import { type ChannelPublicKeys, derivePrivateKey, derivePublicKey, deriveRevocationPrivateKey, perCommitmentPoint as pointOfSecret } from '../../bolt/03-transactions/keys.ts';
import { bounded } from '../../bolt/bounded.ts';
import { crypto } from '../../bolt/crypto.ts';
import type { NetworkName } from '../../bolt/networks.ts';
import { fromHex, type Hex32, type Point, type Signature, toPoint, toSignature } from '../../bolt/primitives.ts';
import type { ClaimKey, Signer } from '../../domain/ports.ts';
import { type ChannelSecrets, commitmentSecrets, createDerivation, publicKeysOf } from './derivation.ts';
import { createHighWater, type HighWater, type OnHighWater, SignerRefusal } from './high-water.ts';

export { type HighWater, SignerRefusal } from './high-water.ts';

export interface SignerOptions {
  readonly network: NetworkName;
  /** Persists a channel's marks, before the signature or secret that raised them leaves. */
  readonly onHighWater?: OnHighWater;
  /** The marks of an earlier run. */
  readonly highWater?: Iterable<readonly [number, HighWater]>;
}

export interface LocalSigner extends Signer {
  highWater(key_index: number): HighWater;
}

/** Channels whose keys stay derived: the busy ones. */
const HOT_CHANNELS = 256;
/** Points and derived keys kept: a commitment asks for the same ones several times. */
const HOT_KEYS = 2048;
/** How far a commitment of ours may stand above the last revoked one: the current, the next, and some in flight. */
const UNREVOKED_WINDOW = 16n;

/** A signer of one seed. Its secrets live in the closure: there is no property, JSON or inspection that shows them. */
export function createSigner(seed: Uint8Array, { network, onHighWater, highWater = [] }: SignerOptions): LocalSigner {
  const derivation = createDerivation(seed, network);
  const nodeKey = derivation.node();
  const marks = createHighWater(onHighWater, highWater);
  /** The delayed key of a commitment that we signed for broadcast: its secret must never leave. */
  const broadcast = new Map<number, Point>();

  const channel = bounded(HOT_CHANNELS, (key_index: number): { secrets: ChannelSecrets; keys: ChannelPublicKeys; secretOf: (commitment_number: bigint) => Hex32 } => {
    const secrets = derivation.channel(key_index);
    return { secrets, keys: publicKeysOf(secrets), secretOf: commitmentSecrets(secrets) };
  });
  const pointOf = bounded(HOT_KEYS, (id: string) => {
    const [key_index, commitment_number] = id.split('/') as [string, string];
    return pointOfSecret(channel(Number(key_index)).secretOf(BigInt(commitment_number)));
  });
  const perCommitmentPoint = (key_index: number, commitment_number: bigint) => pointOf(`${key_index}/${commitment_number}`);
  const htlcKeyOf = bounded(HOT_KEYS, (id: string) => {
    const [key_index, point] = id.split('/') as [string, Point];
    const { secrets, keys } = channel(Number(key_index));
    return derivePrivateKey(secrets.htlc, point, keys.htlc_basepoint);
  });
  const delayedPubkey = (key_index: number, commitment_number: bigint) =>
    derivePublicKey(channel(key_index).keys.delayed_payment_basepoint, perCommitmentPoint(key_index, commitment_number));

  function claimKey(key_index: number, input: ClaimKey): Uint8Array {
    const { secrets } = channel(key_index);
    switch (input.kind) {
      case 'to_local': return derivePrivateKey(secrets.delayed_payment, perCommitmentPoint(key_index, input.commitment_number));
      case 'to_remote': return secrets.payment;
      case 'anchor': return secrets.funding;
      case 'htlc': return htlcKeyOf(`${key_index}/${input.per_commitment_point}`);
      case 'penalty': return deriveRevocationPrivateKey(secrets.revocation, input.per_commitment_secret);
    }
  }

  /** A commitment of ours is known by its delayed key. Refuses one that is not among those we have not revoked. */
  function refuseRevoked(key_index: number, commitment: Commitment): void {
    const { revoked } = marks.of(key_index);
    // Nothing revoked since the marks began: whatever commitment it is, we still own it.
    if (revoked < 0n) return;
    for (let number = revoked + 1n; number <= revoked + UNREVOKED_WINDOW; number++) {
      if (delayedPubkey(key_index, number) === commitment.keys.local_delayedpubkey) return;
    }
    throw new SignerRefusal('commitment_revoked', `asked to sign our commitment ${commitment.txid}, revoked up to number ${revoked}`, { key_index, txid: commitment.txid, revoked });
  }

  function refuseForeign(key_index: number, { other }: CommitmentParams): void {
    const { funding_pubkey } = channel(key_index).keys;
    if (other.funding_pubkey !== funding_pubkey) {
      throw new SignerRefusal('not_our_channel', `the commitment names ${other.funding_pubkey} as our funding key, channel ${key_index} has ${funding_pubkey}`, { key_index, asked: other.funding_pubkey, funding_pubkey });
    }
  }

  return {
    nodeId: toPoint(crypto().publicKey(nodeKey)),
    nodeEcdh: (point) => crypto().sha256(crypto().multiplyPoint(fromHex(point), nodeKey)),
    channelKeys: (key_index) => channel(key_index).keys,
    perCommitmentPoint,
    revealPerCommitmentSecret(key_index, commitment_number) {
      const own = broadcast.get(key_index);
      if (own !== undefined && own === delayedPubkey(key_index, commitment_number)) {
        throw new SignerRefusal('commitment_broadcast', `asked for the secret of our commitment ${commitment_number}, which was signed for broadcast`, { key_index, commitment_number });
      }
      marks.reveal(key_index, commitment_number);
      return channel(key_index).secretOf(commitment_number);
    },
    signRemoteCommitment(key_index, commitment, params, spec) {
      refuseForeign(key_index, params);
      marks.sign(key_index, spec.commitment_number);
      const htlcKey = (): Uint8Array => htlcKeyOf(`${key_index}/${spec.per_commitment_point}`);
      return {
        signature: sign(commitment.sighash, channel(key_index).secrets.funding),
        htlc_signatures: commitment.htlcs.map(({ sighash }) => sign(sighash, htlcKey())),
      };
    },
    signLocalCommitment(key_index, commitment) {
      refuseRevoked(key_index, commitment);
      broadcast.set(key_index, commitment.keys.local_delayedpubkey);
      return sign(commitment.sighash, channel(key_index).secrets.funding);
    },
    signClosing: (key_index, { sighash }) => sign(sighash, channel(key_index).secrets.funding),
    signSweepInput: (key_index, input, sighash) => sign(sighash, claimKey(key_index, input)),
    paymentPoint: (key_index) => channel(key_index).keys.payment_basepoint,
    signAnnouncement: (digest) => sign(digest, nodeKey),
    signChannelAnnouncement: (key_index, digest) => ({
      node_signature: sign(digest, nodeKey),
      bitcoin_signature: sign(digest, channel(key_index).secrets.funding),
    }),
    signInvoice: (digest) => crypto().signRecoverable(digest, nodeKey),
    invoiceSecrets: (nonce) => derivation.invoice(nonce),
    sessionKey: (payment_id, attempt) => derivation.session(payment_id, attempt),
    logKeySeed: () => derivation.log(),
    highWater: (key_index) => marks.of(key_index),
  };
}

const sign = (digest: Uint8Array, key: Uint8Array): Signature => toSignature(crypto().sign(digest, key));
