/** BOLT 4, "Returning Errors": the table of failures, and the specification's error on its way back to the origin. */
import { describe, expect, it } from 'vitest';
import { type Hex, fromHex, hex32, msat, point, toHex } from '../../../src/bolt/primitives.ts';
import { deriveKey, ephemeralHops } from '../../../src/bolt/04-onion-routing/keys.ts';
import {
  BADONION, type FailureName, type FailureToEncode, NODE, PERM, UPDATE, createFailurePacket, decodeFailure, encodeFailure,
  failureCode, failureFields, failureName, unwrapFailurePacket, wrapFailurePacket,
} from '../../../src/bolt/04-onion-routing/failure.ts';
import codes from '../../vectors/bolt04-failure-codes.json' with { type: 'json' };
import errors from '../../vectors/bolt04-onion-error.json' with { type: 'json' };

const FLAGS: Readonly<Record<string, number>> = { BADONION, PERM, NODE, UPDATE };

describe.each(codes.cases)('the failure $name', ({ name, flags, code, fields }) => {
  it('has the number, the flags and the fields of the specification', () => {
    expect(failureCode(name as FailureName)).toBe(code);
    expect(failureName(code)).toBe(name);
    expect(code & 0xf000).toBe(flags.reduce((sum, flag) => sum | FLAGS[flag]!, 0));
    expect(failureFields(name as FailureName)).toEqual(fields.map(([, field]) => field).filter((field) => field !== 'len'));
  });
});

describe('a failure message', () => {
  it.each<[Hex, FailureToEncode]>([
    ['2002', { name: 'temporary_node_failure' }],
    ['c005' + '11'.repeat(32), { name: 'invalid_onion_hmac', data: { sha256_of_onion: hex32('11'.repeat(32)) } }],
    ['10070000', { name: 'temporary_channel_failure', data: { channel_update: '' } }],
    ['100c00000000000003e80002abcd', { name: 'fee_insufficient', data: { htlc_msat: msat(1000), channel_update: 'abcd' } }],
    ['400f0000000000000064000c3500', { name: 'incorrect_or_unknown_payment_details', data: { htlc_msat: msat(100), height: 800_000 } }],
    ['4016fd01000010', { name: 'invalid_onion_payload', data: { type: 256n, offset: 16 } }],
  ])('%s is written and read', (hex, failure) => {
    expect(encodeFailure(failure)).toBe(hex);
    expect(decodeFailure(hex)).toEqual({ code: Number.parseInt(hex.slice(0, 4), 16), data: {}, ...failure });
  });

  it('keeps bytes after its data, which the origin must ignore', () => {
    const failure = decodeFailure('0017fd84d10100');
    expect(failure).toEqual({ name: 'mpp_timeout', code: 23, data: {}, extra: 'fd84d10100' });
    expect(encodeFailure(failure)).toBe('0017fd84d10100');
  });

  it('of an unknown code, or too short for its data, keeps its code and flags', () => {
    expect(decodeFailure('4063beef')).toEqual({ name: 'unknown', code: PERM | 99, data: { raw: 'beef' } });
    expect(decodeFailure('400f0000')).toEqual({ name: 'unknown', code: PERM | 15, data: { raw: '0000' } });
    expect(encodeFailure(decodeFailure('400f0000'))).toBe('400f0000');
    expect(decodeFailure('')).toEqual({ name: 'unknown', code: 0, data: { raw: '' } });
  });
});

describe.each(errors.cases)('the error of the specification: $name', (vector) => {
  const secrets = vector.hops.map((hop) => fromHex(hop.shared_secret));

  it('has the keys of the specification', () => {
    const chain = ephemeralHops(fromHex(vector.session_key), vector.hops.map((hop) => point(hop.node_id)));
    expect(chain.map((hop) => toHex(hop.shared_secret))).toEqual(vector.hops.map((hop) => hop.shared_secret));
    expect(secrets.map((secret) => toHex(deriveKey('ammag', secret)))).toEqual(vector.hops.map((hop) => hop.ammag_key));
    expect(toHex(deriveKey('um', secrets.at(-1)!))).toBe(vector.hops.at(-1)!.um_key);
  });

  it('is made by hop 4, wrapped by the others, byte for byte', () => {
    const made = createFailurePacket(secrets.at(-1)!, vector.failure);
    expect(wrapFailurePacket(secrets.at(-1)!, made).slice(64)).toBe(vector.hops.at(-1)!.plaintext);
    expect(secrets.slice(0, -1).reduceRight((reason, secret) => wrapFailurePacket(secret, reason), made)).toBe(vector.reason);
  });

  it('is read by the origin, who learns which hop failed', () => {
    expect(unwrapFailurePacket(secrets, vector.reason)).toEqual({
      hop_index: 4, failure: { name: 'temporary_node_failure', code: 0x2002, data: {} },
    });
  });
});

describe('an error that nobody of the route made', () => {
  const secrets = errors.cases[0]!.hops.map((hop) => fromHex(hop.shared_secret));

  it.each([['empty', ''], ['shorter than its HMAC', 'ab'.repeat(31)], ['noise', '5c'.repeat(292)]])('is not attributed: %s', (_, reason) => {
    expect(unwrapFailurePacket(secrets, reason)).toBeUndefined();
  });

  it('is not attributed when the key of a dummy round fits', () => {
    expect(unwrapFailurePacket(secrets, secrets.reduceRight(
      (reason, secret) => wrapFailurePacket(secret, reason), createFailurePacket(new Uint8Array(32), '2002')))).toBeUndefined();
  });

  it('is attributed to a hop that wrote nonsense behind a right HMAC', () => {
    // 0 bytes of failure and of padding: too short, but authentic.
    const made = createFailurePacket(secrets[0]!, '', 0);
    expect(unwrapFailurePacket(secrets, made)).toEqual({ hop_index: 0, failure: { name: 'unknown', code: 0, data: { raw: '' } } });
  });
});
