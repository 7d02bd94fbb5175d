/** What the rules may ask of the world, as types only: the signer, the chain, the graph. Adapters implement them; commands/ gathers and performs. */
import type { Commitment, CommitmentParams, CommitmentSpec } from '../bolt/03-transactions/commitment-tx.ts';
import type { ChannelPublicKeys } from '../bolt/03-transactions/keys.ts';
import type { BlockHeight, Hex, Hex32, NodeId, Point, Sat, Signature } from '../bolt/primitives.ts';

/** The key behind an output that BOLT 5 lets us claim. */
export type ClaimKey =
  /** The delayed key of our own commitment: `to_local`, or what a second stage of ours left. */
  | { readonly kind: 'to_local'; readonly commitment_number: bigint }
  /** The payment key: `to_remote` of the peer's commitment. */
  | { readonly kind: 'to_remote' }
  /** The funding key: an anchor, or a funding output. */
  | { readonly kind: 'anchor' }
  /** Our HTLC key of a commitment: ours (our point) or the peer's (the peer's point). */
  | { readonly kind: 'htlc'; readonly per_commitment_point: Point }
  /** A revoked commitment of the peer, or what its second stages left. */
  | { readonly kind: 'penalty'; readonly per_commitment_secret: Hex32 };

/**
 * Holds every key and shows none. It is told what it signs, not given a hash, so that a policy can read it.
 * Deterministic: the same request yields the same signature (RFC 6979), so retransmissions are derived again.
 */
export interface Signer {
  readonly nodeId: NodeId;
  /** SHA-256 of the shared point of the node key and `point` (BOLT 4 and BOLT 8). */
  nodeEcdh(point: Point): Uint8Array;
  channelKeys(key_index: number): ChannelPublicKeys;
  perCommitmentPoint(key_index: number, commitment_number: bigint): Point;
  /** Gives up commitment `commitment_number` of ours, for ever. Call only once the log owes it. */
  revealPerCommitmentSecret(key_index: number, commitment_number: bigint): Hex32;
  /** Signs the PEER's commitment (and its HTLC transactions) for the peer to hold. */
  signRemoteCommitment(key_index: number, commitment: Commitment, params: CommitmentParams, spec: CommitmentSpec): { signature: Signature; htlc_signatures: readonly Signature[] };
  /** Our own signature on OUR commitment: only when it is to be broadcast. */
  signLocalCommitment(key_index: number, commitment: Commitment): Signature;
  /** BIP 143, SIGHASH_ALL, with the funding key: a mutual close. */
  signClosing(key_index: number, closing: { readonly sighash: Uint8Array; readonly txid: Hex32 }): Signature;
  /** Signs one input of a claim with the key that takes the output. */
  signSweepInput(key_index: number, input: ClaimKey, sighash: Uint8Array): Signature;
  /** The public key that spends a `to_remote` output of the peer's commitment. */
  paymentPoint(key_index: number): Point;
  signAnnouncement(digest: Uint8Array): Signature;
  signChannelAnnouncement(key_index: number, digest: Uint8Array): { node_signature: Signature; bitcoin_signature: Signature };
  signInvoice(digest: Uint8Array): { signature: Uint8Array; recovery: number };
  /** The preimage and payment_secret of an invoice of ours, from its nonce. */
  invoiceSecrets(nonce: Hex32): { payment_preimage: Hex32; payment_secret: Hex32 };
  /** The onion session key of an attempt. */
  sessionKey(payment_id: Hex32, attempt: number): Uint8Array;
  /** Ed25519 seed of the log's checkpoint key, for the store alone. */
  logKeySeed(): Uint8Array;
}

export interface ChainTip {
  readonly height: BlockHeight;
  /** Display order. */
  readonly block_hash: Hex32;
}

export interface OutPoint {
  readonly txid: Hex32;
  readonly index: number;
}

export interface ConfirmedTransaction {
  readonly txid: Hex32;
  /** Raw, with witnesses. */
  readonly transaction: Hex;
  readonly block_height: BlockHeight;
  readonly transaction_index: number;
}

/** A block as the node follows it; `transactions` are raw, in block order. */
export interface Block {
  readonly height: BlockHeight;
  readonly block_hash: Hex32;
  readonly previous_block_hash: Hex32;
  readonly transactions: readonly { readonly txid: Hex32; readonly transaction: Hex }[];
}

export type ChainEvent =
  | { readonly type: 'block_connected'; readonly block: Block }
  /** Blocks above `tip` are gone. */
  | { readonly type: 'rolled_back'; readonly tip: ChainTip };

export type BroadcastResult =
  | { readonly ok: true }
  /** `permanent` when no retry can help (a wrong signature, a spent input); unknown refusals are not permanent. */
  | { readonly ok: false; readonly code: string; readonly reason: string; readonly permanent: boolean };

/** A chain as a value handed in: blocks in order, outpoint and transaction look-ups, broadcast, fee estimates. */
export interface Chain {
  /** `bitcoin-regtest`, ... and the chain_hash of BOLT 2 (wire byte order). */
  readonly network: string;
  readonly chain_hash: Hex32;
  tip(): Promise<ChainTip>;
  /** Calls back for each block from `fromHeight` on and for what follows, one at a time and in order; answers how to stop. */
  follow(fromHeight: BlockHeight, onEvent: (event: ChainEvent) => void | Promise<void>): () => void;
  /** A transaction in the mempool paying or spending one of the watched things; best effort. */
  onMempoolTransaction(listener: (transaction: { txid: Hex32; transaction: Hex }) => void): () => void;
  confirmedTransaction(txid: Hex32): Promise<ConfirmedTransaction | undefined>;
  /** The unspent output at an outpoint (mempool spends counted), or undefined. */
  unspentOutput(outpoint: OutPoint): Promise<{ value: Sat; script_pubkey: Hex; block_height: BlockHeight | undefined } | undefined>;
  /** Idempotent: what is known already is `ok`. */
  broadcast(transaction: Hex): Promise<BroadcastResult>;
  /** sat per 1000 weight units for confirmation within `blocks`. Never below 253. */
  estimateFeerate(blocks: number): Promise<number>;
  close(): Promise<void>;
}

/** What left the signer last for a channel: the peer's newest commitment that it signed, our newest that it revoked; -1n for none. */
export interface ChannelMarks {
  readonly signed: bigint;
  readonly revoked: bigint;
}

/** What a node keeps apart from its log, for the day on which the log is lost, or an older one is put in its place. */
export interface SafeKeeping {
  readonly marks: {
    /** By key_index. */
    all(): ReadonlyMap<number, ChannelMarks>;
    /** Raises a channel's marks. Written when it returns; throws when it cannot be, and then nothing may leave. */
    keep(key_index: number, marks: ChannelMarks): void;
    sync(): void;
  };
  /** Under a key of the seed. `unseal` answers undefined for what this seed did not seal. */
  readonly seal: { seal(content: Uint8Array): Uint8Array; unseal(sealed: Uint8Array): Uint8Array | undefined };
  /** Our own newest static backup, sealed. With `age` the one before it is kept, too. */
  readonly backups: { read(): Uint8Array | undefined; write(sealed: Uint8Array, age: boolean): void };
  /** What peers gave us to keep (BOLT 1, "peer_storage"). */
  readonly blobs: {
    peers(): readonly NodeId[];
    read(peer_id: NodeId): Hex | undefined;
    write(peer_id: NodeId, blob: Hex): Promise<void>;
    remove(peer_id: NodeId): Promise<void>;
  };
  /** Where peers were last reached. */
  addresses(): readonly { readonly node_id: NodeId; readonly host: string; readonly port: number }[];
}
