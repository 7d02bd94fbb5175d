/** Transactions from strangers: what is refused, by name, and what must not be. */
import { describe, expect, it } from 'vitest';
import { dustLimitOf, isValidShutdownScript, scriptKind } from '../../../src/bolt/03-transactions/shutdown-script.ts';
import { parseTx, TxParseError } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { derSignature, fromDer, serialize, SIGHASH_SINGLE_ANYONECANPAY, witnessSighash } from '../../../src/bolt/03-transactions/tx.ts';
import { hex32, sat, signature, toHex } from '../../../src/bolt/primitives.ts';

const tx = {
  version: 2, locktime: 0,
  inputs: [{ txid: hex32('ab'.repeat(32)), index: 0, sequence: 0xffffffff }],
  outputs: [{ value: sat(1000), script_pubkey: '51' }],
};

const codeOf = (raw: string) => {
  try {
    parseTx(raw);
    return 'parsed';
  } catch (error) {
    expect(error).toBeInstanceOf(TxParseError);
    return (error as TxParseError).code;
  }
};

describe('parseTx', () => {
  const plain = serialize(tx);
  const segwit = serialize(tx, [['aa']]);
  const afterCounts = plain.slice(10);

  it.each([
    ['nothing', '', 'truncated'],
    ['an odd digit', '0', 'not_hex'],
    ['no hex', 'zz', 'not_hex'],
    ['its end missing', plain.slice(0, -2), 'truncated'],
    ['a byte too many', `${plain}00`, 'trailing_bytes'],
    ['no inputs', `020000000001${'00'.repeat(12)}`, 'no_inputs'],
    ['a flag that is none', `0200000000020101`, 'bad_flag'],
    ['segwit without a witness', `${segwit.slice(0, -14)}00${'00'.repeat(4)}`, 'empty_witness'],
    ['a size in a longer form than needed', `02000000fd0100${afterCounts}`, 'not_minimal'],
    ['four billion inputs', '02000000feffffffff', 'truncated'],
    ['2^64 - 1 inputs', '02000000ffffffffffffffffff', 'truncated'],
    ['a script of four gigabytes', `02000000${plain.slice(8, 82)}feffffffff`, 'truncated'],
  ])('%s', (_, raw, code) => {
    expect(codeOf(raw)).toBe(code);
  });

  it('more than a block', () => {
    expect(codeOf('00'.repeat(4_000_001))).toBe('too_long');
  });

  it('safety 17: a witness as large as consensus allows is read', () => {
    const witness = ['00'.repeat(3_900_000), ...Array.from({ length: 500 }, () => '')];
    const parsed = parseTx(serialize(tx, [witness]));
    expect(parsed.witnesses[0]).toHaveLength(501);
    expect(parsed).toMatchObject(tx);
  });

  it('more outputs than one byte counts', () => {
    const many = { ...tx, outputs: Array.from({ length: 0x1_0001 }, () => tx.outputs[0]!) };
    expect(parseTx(serialize(many)).outputs).toHaveLength(0x1_0001);
  });
});

describe('DER signatures', () => {
  it.each([
    ['small numbers', '00'.repeat(31) + '01' + '00'.repeat(31) + '7f', '300602010102017f01'],
    ['a sign byte', '80' + '00'.repeat(31) + '00'.repeat(31) + '80', `302702210080${'00'.repeat(31)}0202008001`],
  ])('%s', (_, compact, der) => {
    expect(derSignature(signature(compact))).toBe(der);
    expect(fromDer(der)).toEqual({ signature: compact, sighashType: 1 });
  });

  it.each([
    ['nothing', ''],
    ['no sequence', '31060201010201017f01'],
    ['a wrong length', '300702010102017f01'],
    ['a needless zero', '30070202000102017f01'],
    ['a negative number', '300602018102017f01'],
    ['33 bytes', `3026022101${'00'.repeat(32)}02010101`],
    ['bytes behind', '300602010102017f0000'],
    ['capital letters', '300602010102017F01'],
  ])('%s is refused', (_, der) => expect(fromDer(der)).toBeUndefined());
});

describe('witnessSighash', () => {
  it('SINGLE without an output of that index commits to none (BIP 143)', () => {
    const two = { ...tx, inputs: [...tx.inputs, { ...tx.inputs[0]!, index: 1 }] };
    const digest = (outputs: typeof tx.outputs) => toHex(witnessSighash({ ...two, outputs }, 1, '51', sat(5), SIGHASH_SINGLE_ANYONECANPAY));
    expect(digest(tx.outputs)).toBe(digest([]));
  });
  it('is for inputs that exist and for the two types that Lightning uses', () => {
    expect(() => witnessSighash(tx, 1, '51', sat(5))).toThrow('has 1 inputs, asked for 1');
    expect(() => witnessSighash(tx, 0, '51', sat(5), 0x02)).toThrow('no use for sighash type 2');
  });
});

describe('shutdown scripts (BOLT 2, "Closing Initiation")', () => {
  const h = (length: number) => '11'.repeat(length);
  const all = { anysegwit: true, simple_close: true };

  it.each([
    ['p2wpkh', `0014${h(20)}`, {}],
    ['p2wsh', `0020${h(32)}`, {}],
    ['p2pkh', `76a914${h(20)}88ac`, {}],
    ['p2sh', `a914${h(20)}87`, {}],
    ['unknown_segwit', `5120${h(32)}`, { anysegwit: true }],
    ['unknown_segwit', `6002${h(2)}`, { anysegwit: true }],
    ['unknown_segwit', `5128${h(40)}`, { anysegwit: true }],
    ['op_return', `6a06${h(6)}`, { simple_close: true }],
    ['op_return', `6a4b${h(75)}`, { simple_close: true }],
    ['op_return', `6a4c4c${h(76)}`, { simple_close: true }],
    ['op_return', `6a4c50${h(80)}`, { simple_close: true }],
  ] as const)('%s %s', (kind, script, rules) => {
    expect(scriptKind(script)).toBe(kind);
    expect(dustLimitOf(script)).toBeTypeOf('bigint');
    expect(isValidShutdownScript(script, rules)).toBe(true);
    if (Object.keys(rules).length > 0) expect(isValidShutdownScript(script)).toBe(false);
  });

  it('legacy scripts can be turned away', () => {
    expect(isValidShutdownScript(`76a914${h(20)}88ac`, { legacy: false })).toBe(false);
    expect(isValidShutdownScript(`a914${h(20)}87`, { legacy: false })).toBe(false);
  });

  it.each([
    '', '00', `0014${h(19)}`, `0014${h(21)}`, `0020${h(31)}`, `0015${h(21)}`, `5101${h(1)}`, `5129${h(41)}`, `5120${h(31)}`, `6102${h(2)}`, `4f02${h(2)}`,
    `6a`, `6a05${h(5)}`, `6a4c4b${h(75)}`, `6a4c51${h(81)}`, `6a4c${h(76)}`, `6a06${h(7)}`, `76a914${h(20)}88`, '51',
  ])('never %s', (script) => {
    expect(isValidShutdownScript(script, all)).toBe(false);
    expect(scriptKind(script)).toBeUndefined();
  });
});
