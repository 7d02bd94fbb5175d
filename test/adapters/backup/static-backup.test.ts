/** Static backups: what is written is read, sealed for our seed alone, of one length at peers; files replaced whole and kept to a bound. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openBackupFolder, openBlobFolder } from '../../../src/adapters/backup/files.ts';
import { createBackupSeal, isSealedBackup, SEAL_BYTES } from '../../../src/adapters/backup/sealed-backup.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { hex32, msat, point, sat, toPoint, type Point } from '../../../src/bolt/primitives.ts';
import { decodeStaticBackup, encodeStaticBackup, type StaticBackup } from '../../../src/domain/channel/static-backup.ts';
import { MAX_PEER_BLOB } from '../../../src/bolt/01-messaging/messaging.ts';

const POINTS: readonly Point[] = Array.from({ length: 8 }, (_, index) => toPoint(crypto().publicKey(new Uint8Array(32).fill(index + 1))));
const somePoint = fc.constantFrom(...POINTS);
const hex = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hex32(Buffer.from(bytes).toString('hex')));
const u64 = fc.bigInt(0n, 2n ** 63n);
const limits = { dust_limit_satoshis: u64.map(sat), to_self_delay: fc.nat(65_535) };

const channel: fc.Arbitrary<StaticBackup['channels'][number]> = fc.record({
  peer_id: somePoint, key_index: fc.nat(2 ** 31), role: fc.constantFrom('opener', 'accepter'), format: fc.constantFrom('static_remotekey', 'anchors_zero_fee_htlc_tx'),
  funding_txid: hex, funding_output_index: fc.nat(65_535), funding_satoshis: u64.map(sat), push_msat: u64.map(msat), feerate_per_kw: fc.nat(100_000),
  local: fc.record(limits),
  remote: fc.record({
    ...limits, per_commitment_point: somePoint,
    keys: fc.record({ funding_pubkey: somePoint, revocation_basepoint: somePoint, payment_basepoint: somePoint, delayed_payment_basepoint: somePoint, htlc_basepoint: somePoint }),
  }),
});

const backup = (channels: fc.Arbitrary<readonly StaticBackup['channels'][number][]>): fc.Arbitrary<StaticBackup> =>
  fc.record({
    log_id: hex, epoch: fc.nat(100), size: u64, birthday: fc.nat(1_000_000), written_at: fc.nat(2 ** 31), channels,
    peers: fc.array(fc.record({ node_id: somePoint, host: fc.constantFrom('203.0.113.7', '::1', 'nöde.example'), port: fc.nat(65_535) }), { maxLength: 3 }),
  });

describe('a static backup', () => {
  it('is read as it was written, padded or not', () => {
    fc.assert(
      fc.property(backup(fc.array(channel, { maxLength: 6 })), (content) => {
        expect(decodeStaticBackup(encodeStaticBackup(content))).toEqual(content);
        const padded = encodeStaticBackup(content, MAX_PEER_BLOB - SEAL_BYTES);
        expect(padded).toHaveLength(MAX_PEER_BLOB - SEAL_BYTES);
        expect(decodeStaticBackup(padded)).toEqual(content);
      }),
      { numRuns: 50 },
    );
  });

  it('of more channels than a peer keeps leaves out those with the least money', () => {
    const [sample] = fc.sample(backup(fc.constant([])), { numRuns: 1, seed: 1 });
    const [one] = fc.sample(channel, { numRuns: 1, seed: 1 });
    const channels = Array.from({ length: 1_000 }, (_, index) => ({ ...one!, key_index: index, funding_satoshis: sat(index) }));
    const padded = encodeStaticBackup({ ...sample!, channels }, MAX_PEER_BLOB - SEAL_BYTES);
    expect(padded).toHaveLength(MAX_PEER_BLOB - SEAL_BYTES);
    const kept = decodeStaticBackup(padded).channels;
    expect(kept.length).toBeGreaterThan(200);
    expect(kept.map(({ key_index }) => key_index)).toEqual(Array.from({ length: kept.length }, (_, index) => 999 - index));
  });

  it('is for our seed alone, and no byte of it can be changed', () => {
    const [seal, other] = [createBackupSeal(new Uint8Array(32).fill(1)), createBackupSeal(new Uint8Array(32).fill(2))];
    const content = new Uint8Array(300).fill(7);
    const sealed = seal.seal(content);
    expect(sealed).toHaveLength(300 + SEAL_BYTES);
    expect(isSealedBackup(sealed)).toBe(true);
    expect(seal.unseal(sealed)).toEqual(content);
    expect(other.unseal(sealed)).toBeUndefined();
    expect(seal.seal(content)).not.toEqual(sealed);
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice();
      changed[at]! ^= 1;
      expect(seal.unseal(changed), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length++) expect(seal.unseal(sealed.subarray(0, length))).toBeUndefined();
  });
});

describe('the files', () => {
  const inFolder = async (story: (folder: string) => void | Promise<void>): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), 'fulgurite-backups-'));
    try {
      await story(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  it('of backups: the newest under its name, nine before it, none older', () => inFolder((folder) => {
    const backups = openBackupFolder(join(folder, 'backups'));
    expect(backups.read()).toBeUndefined();
    for (let version = 1; version <= 15; version++) {
      backups.write(Uint8Array.of(0), true);
      backups.write(Uint8Array.of(version), false);
    }
    expect(backups.read()).toEqual(Uint8Array.of(15));
    const names = readdirSync(join(folder, 'backups'));
    expect(names).toHaveLength(10);
    const kept = names.map((name) => readFileSync(join(folder, 'backups', name))[0]).toSorted((a, b) => a! - b!);
    expect(kept).toEqual([6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(statSync(backups.file).mode & 0o777).toBe(0o600);
  }));

  it('of peers: one blob each, replaced and removed', () => inFolder(async (folder) => {
    const blobs = openBlobFolder(folder);
    const peer = point(`02${'ab'.repeat(32)}`);
    await blobs.write(peer, '00ff');
    await blobs.write(peer, 'aa'.repeat(65_531));
    expect(blobs.peers()).toEqual([peer]);
    expect(blobs.read(peer)).toBe('aa'.repeat(65_531));
    expect(statSync(join(folder, peer)).mode & 0o777).toBe(0o600);
    writeFileSync(join(folder, peer), new Uint8Array(70_000));
    expect(blobs.read(peer), 'a file that is no blob').toBeUndefined();
    await blobs.remove(peer);
    expect([blobs.peers(), blobs.read(peer)]).toEqual([[], undefined]);
  }));
});
