/** Signed checkpoints of the log: C2SP tlog-checkpoint inside a C2SP signed-note, and the statement that binds the log's key to the node. */
import { crypto } from '../bolt/crypto.ts';
import {
  concatBytes,
  fromHex,
  isHex,
  toHex,
  toHex32,
  type Hex,
  type Hex32,
  type NodeId,
  type Point,
  type Signature,
} from '../bolt/primitives.ts';
import { StoreError } from './store.ts';

/** The root of the log's Merkle tree (RFC 6962) when it held `size` events. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Hex32;
}

/** A note as parsed, its signatures not yet checked. */
export interface CheckpointNote extends Checkpoint {
  /** The signed text, with its last newline. */
  readonly text: string;
  readonly signatures: readonly { readonly name: string; readonly keyId: Hex; readonly signature: Uint8Array }[];
}

/** A note that is no checkpoint, or not one of this log's. */
export class InvalidCheckpoint extends StoreError {
  constructor(message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super('invalid_checkpoint', message, detail);
  }
}

const ED25519 = 0x01;
const MAX_NOTE_LENGTH = 10_000;
const utf8 = new TextEncoder();

/** The log's name in its checkpoints, also the name of its key. */
export const originOf = (node_id: NodeId): string => `fulgurite/${node_id}`;

/** A note for this size and root, signed with the Ed25519 key of that seed. */
export function signCheckpoint(
  checkpoint: Checkpoint,
  key: { readonly seed: Uint8Array; readonly publicKey: Uint8Array },
): string {
  const text = `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(fromHex(checkpoint.root))}\n`;
  const signature = crypto().ed25519Sign(utf8.encode(text), key.seed);
  return `${text}\n— ${checkpoint.origin} ${toBase64(concatBytes(keyHash(checkpoint.origin, key.publicKey), signature))}\n`;
}

/** Reads a note without checking its signatures. Throws InvalidCheckpoint. */
export function parseCheckpoint(note: string): CheckpointNote {
  if (note.length > MAX_NOTE_LENGTH)
    throw new InvalidCheckpoint(`a checkpoint has at most ${MAX_NOTE_LENGTH} characters, got ${note.length}`);
  const split = note.lastIndexOf('\n\n');
  if (split < 0 || !note.endsWith('\n'))
    throw new InvalidCheckpoint('a checkpoint has a text, an empty line and signature lines', { got: note });
  const text = note.slice(0, split + 1);
  const [origin, size, root] = text.split('\n');
  if (!origin || !size || !/^(0|[1-9]\d{0,15})$/.test(size) || !root)
    throw new InvalidCheckpoint('a checkpoint names its origin, size and root', { got: text });
  const rootBytes = fromBase64(root);
  if (rootBytes?.length !== 32)
    throw new InvalidCheckpoint(`a checkpoint's root has 32 bytes, got "${root}"`, { got: root });
  const signatures = note
    .slice(split + 2, -1)
    .split('\n')
    .map(parseSignature);
  return { origin, size: Number(size), root: toHex32(rootBytes), text, signatures };
}

/** Reads a note and checks that the key named by `vkey` signed it, and as the log of that name. Throws InvalidCheckpoint. */
export function verifyCheckpoint(note: string, vkey: string): CheckpointNote {
  const checkpoint = parseCheckpoint(note);
  checkSignature(checkpoint, vkey);
  return checkpoint;
}

/** The same for a note that is parsed already. */
export function checkSignature(checkpoint: CheckpointNote, vkey: string): void {
  const key = parseVkey(vkey);
  if (checkpoint.origin !== key.name)
    throw new InvalidCheckpoint(`the checkpoint is of ${checkpoint.origin}, expected ${key.name}`, {
      expected: key.name,
      got: checkpoint.origin,
    });
  const keyId = toHex(keyHash(key.name, key.publicKey));
  const ours = checkpoint.signatures.find((line) => line.name === key.name && line.keyId === keyId);
  if (ours === undefined)
    throw new InvalidCheckpoint(`the checkpoint of size ${checkpoint.size} is not signed by key ${keyId}`, {
      expected: keyId,
      got: checkpoint.signatures.map((line) => line.keyId).join(' '),
    });
  if (!crypto().ed25519Verify(ours.signature, utf8.encode(checkpoint.text), key.publicKey)) {
    throw new InvalidCheckpoint(`the signature of the checkpoint of size ${checkpoint.size} is wrong`, {
      expected: keyId,
      got: toHex(ours.signature),
    });
  }
}

/** A verifier key in C2SP's form: `<name>+<key id>+<base64 of 0x01 and the Ed25519 public key>`. */
export function vkeyOf(origin: string, publicKey: Uint8Array): string {
  return `${origin}+${toHex(keyHash(origin, publicKey))}+${toBase64(concatBytes(Uint8Array.of(ED25519), publicKey))}`;
}

function parseVkey(vkey: string): { name: string; publicKey: Uint8Array } {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
  const bytes = encoded === undefined ? undefined : fromBase64(encoded);
  if (name === undefined || bytes?.length !== 33 || bytes[0] !== ED25519)
    throw new InvalidCheckpoint(`not an Ed25519 verifier key: ${vkey}`, { got: vkey });
  const publicKey = bytes.subarray(1);
  const expected = toHex(keyHash(name, publicKey));
  if (id !== expected)
    throw new InvalidCheckpoint(`the verifier key's id is ${expected}, got ${id}`, { expected, got: id });
  return { name, publicKey };
}

/** C2SP signed-note: the first four bytes of SHA-256(name || 0x0A || type || public key). */
function keyHash(name: string, publicKey: Uint8Array): Uint8Array {
  return crypto()
    .sha256(concatBytes(utf8.encode(`${name}\n`), Uint8Array.of(ED25519), publicKey))
    .subarray(0, 4);
}

function parseSignature(line: string): CheckpointNote['signatures'][number] {
  const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) ?? [];
  const bytes = encoded === undefined ? undefined : fromBase64(encoded);
  if (name === undefined || bytes === undefined || bytes.length < 5)
    throw new InvalidCheckpoint('a signature line of the checkpoint is malformed', { got: line });
  return { name, keyId: toHex(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
}

/** What NodeInitialized says of the log's key. */
export interface LogKeyClaim {
  readonly node_id: Point;
  readonly chain_hash: Hex32;
  /** Ed25519, 32 bytes. */
  readonly log_public_key: Hex;
}

/**
 * The digest that the node's secp256k1 key signs once, in NodeInitialized: this Ed25519 key speaks for my log.
 * Tagged as BOLT 12 tags its signatures, so that it can be taken for nothing else this key signs.
 */
export function logKeyStatement(claim: LogKeyClaim): Uint8Array {
  const tag = crypto().sha256(utf8.encode('fulgurite/log-key'));
  return crypto().sha256(
    concatBytes(tag, tag, fromHex(claim.node_id), fromHex(claim.chain_hash), fromHex(claim.log_public_key)),
  );
}

/** True when the node's key signed for this log key. Never throws on malformed fields. */
export function verifyLogKey(claim: LogKeyClaim & { readonly signature: Signature }): boolean {
  if (!isHex(claim.log_public_key, 32)) return false;
  return crypto().verify(fromHex(claim.signature), logKeyStatement(claim), fromHex(claim.node_id));
}

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** Standard base64 with padding, or undefined: no second spelling of the same bytes is taken. */
function fromBase64(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    return toBase64(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}
