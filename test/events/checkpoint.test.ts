/** C2SP signed notes and tlog checkpoints, and the statement that binds the log's key to the node's. */
import { describe, expect, it } from 'vitest';
import { crypto } from '../../src/bolt/crypto.ts';
import { fromHex, toHex, toPoint, toSignature, hex32 } from '../../src/bolt/primitives.ts';
import {
  InvalidCheckpoint,
  logKeyStatement,
  originOf,
  parseCheckpoint,
  signCheckpoint,
  verifyCheckpoint,
  verifyLogKey,
  vkeyOf,
} from '../../src/events/checkpoint.ts';

const seed = new Uint8Array(32).fill(1);
const publicKey = crypto().ed25519PublicKey(seed);
const nodeKey = new Uint8Array(32).fill(2);
const node_id = toPoint(crypto().publicKey(nodeKey));
const origin = originOf(node_id);
const vkey = vkeyOf(origin, publicKey);
const root = hex32('ab'.repeat(32));
const note = signCheckpoint({ origin, size: 42, root }, { seed, publicKey });

const fromBase64 = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));

describe('known keys of the Go checksum database', () => {
  it.each([
    'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
  ])('have the key id that %s names', (known) => {
    const [name, , key] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(known)!.slice(1) as [string, string, string];
    expect(vkeyOf(name, fromBase64(key).subarray(1))).toBe(known);
  });
});

describe('a checkpoint', () => {
  it('is a note of origin, size and root, an empty line and one signature', () => {
    const lines = note.split('\n');
    expect(lines.slice(0, 4)).toEqual([origin, '42', Buffer.from(root, 'hex').toString('base64'), '']);
    expect(lines[4]).toMatch(/^— fulgurite\/0[23][0-9a-f]{64} [A-Za-z0-9+/]{91}=$/);
    expect(lines[5]).toBe('');
    expect(Buffer.byteLength(note)).toBeLessThan(512);
  });

  it('reads back and verifies', () => {
    expect(verifyCheckpoint(note, vkey)).toMatchObject({ origin, size: 42, root });
  });

  it('may carry witnesses besides', () => {
    const witness = Buffer.concat([Buffer.from('01020304', 'hex'), Buffer.alloc(72)]).toString('base64');
    expect(verifyCheckpoint(`${note}— witness.example/w1 ${witness}\n`, vkey).signatures).toHaveLength(2);
  });

  it.each([
    ['a changed size', note.replace('\n42\n', '\n43\n')],
    ['a changed root', note.replace('\nq6', '\nr6')],
    ['a changed signature', note.replace(/.{10}=\n$/, 'AAAAAAAAAA=\n')],
    ['another origin', note.replaceAll('fulgurite/', 'fulgurita/')],
  ])('with %s does not verify', (_name, other) => {
    expect(other).not.toBe(note);
    expect(() => verifyCheckpoint(other, vkey)).toThrow(InvalidCheckpoint);
  });

  it('does not verify with another key', () => {
    const other = vkeyOf(origin, crypto().ed25519PublicKey(new Uint8Array(32).fill(9)));
    expect(() => verifyCheckpoint(note, other)).toThrow('is not signed by key');
  });

  it.each([
    ['nothing', ''],
    ['no empty line', note.replace('\n\n', '\n')],
    ['no last newline', note.slice(0, -1)],
    ['a size with a leading zero', note.replace('\n42\n', '\n042\n')],
    ['a short root', note.replace(/\n[^\n]+\n\n/, '\nq6s=\n\n')],
    ['a second spelling of base64', note.replace(/=\n\n/, '\n\n')],
    ['a hyphen for the dash', note.replace('—', '-')],
    ['endless text', note + 'x'.repeat(20_000)],
  ])('%s is refused', (_name, other) => {
    expect(() => parseCheckpoint(other)).toThrow(InvalidCheckpoint);
  });
});

describe("the node's word for the log's key", () => {
  const claim = { node_id, chain_hash: hex32('06'.repeat(32)), log_public_key: toHex(publicKey) };
  const signature = toSignature(crypto().sign(logKeyStatement(claim), nodeKey));

  it('verifies', () => {
    expect(verifyLogKey({ ...claim, signature })).toBe(true);
  });

  it('counts for no other node, chain or key', () => {
    const stranger = toPoint(crypto().publicKey(new Uint8Array(32).fill(3)));
    expect(verifyLogKey({ ...claim, node_id: stranger, signature })).toBe(false);
    expect(verifyLogKey({ ...claim, chain_hash: hex32('07'.repeat(32)), signature })).toBe(false);
    expect(verifyLogKey({ ...claim, log_public_key: toHex(fromHex(root)), signature })).toBe(false);
    expect(verifyLogKey({ ...claim, log_public_key: 'ab', signature })).toBe(false);
  });

  it('is tagged: the same bytes signed for gossip are another digest', () => {
    expect(toHex(logKeyStatement(claim))).not.toBe(
      toHex(crypto().sha256(fromHex(claim.node_id + claim.chain_hash + claim.log_public_key))),
    );
  });
});
