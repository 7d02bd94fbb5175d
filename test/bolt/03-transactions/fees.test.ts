/** BOLT 3, "Fees", "Dust Limits", Appendices A, B and G; BOLT 5, "Penalty Transactions Weight Calculation". */
import { describe, expect, it } from 'vitest';
import { type Spend, type SweepInput, sweepWeight } from '../../../src/bolt/03-transactions/claim-tx.ts';
import * as fees from '../../../src/bolt/03-transactions/fees.ts';
import { anchorScript, fundingScript, offeredHtlcScript, p2wpkhScriptCode, p2wsh, receivedHtlcScript, toLocalScript } from '../../../src/bolt/03-transactions/scripts.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import { fromDer, serialize, weightOf, witnessSighash } from '../../../src/bolt/03-transactions/tx.ts';
import { crypto } from '../../../src/bolt/crypto.ts';
import { fromHex, type Hex32, msat, type Point, sat, ZERO_32 } from '../../../src/bolt/primitives.ts';
import { readVectors } from './vectors.ts';

type FeeCase = { readonly name: string; readonly kind: string } & Readonly<Record<string, never>>;
const cases = readVectors<{ cases: FeeCase[] }>('bolt03-fees').cases;
const named = (name: string) => cases.find((test) => test.name === name) as unknown as Record<string, number> & Record<string, number[]>;
const formats = [['static_remotekey', 'no_anchors'], ['anchors_zero_fee_htlc_tx', 'anchors']] as const;

describe.each(formats)('expected weights, %s', (format, column) => {
  it.each([
    ['weight commitment_base', fees.COMMITMENT_WEIGHT[format]],
    ['weight per_untrimmed_htlc', fees.HTLC_OUTPUT_WEIGHT],
    ['weight htlc_timeout', fees.HTLC_TIMEOUT_WEIGHT[format]],
    ['weight htlc_success', fees.HTLC_SUCCESS_WEIGHT[format]],
  ])('%s', (name, weight) => expect(weight).toBe(named(name)[column]));

  it('the scripts have the sizes that the weights assume', () => {
    const key = `02${'11'.repeat(32)}` as Point;
    const keys = { revocationpubkey: key, local_htlcpubkey: key, remote_htlcpubkey: key };
    // The spec reckons with a cltv_expiry of 4 bytes and a sign byte; a block height takes 3.
    expect(receivedHtlcScript(format, keys, ZERO_32, 0x7fffffff).length / 2).toBe(named('size accepted_htlc_script')[column]);
    expect(offeredHtlcScript(format, keys, ZERO_32).length / 2).toBe(named('size offered_htlc_script')[column]);
    expect(fundingScript(key, key).length / 2).toBe(71);
    expect(anchorScript(key).length / 2).toBe(40);
  });
});

describe('fees', () => {
  const example = named('fee example');
  const format = 'static_remotekey';
  const feerate = example.feerate_per_kw!;
  const dust = sat(example.dust_limit_satoshis!);

  it('the example of the spec', () => {
    expect(fees.htlcTimeoutFee(format, feerate)).toBe(sat(example.htlc_timeout_fee_sat!));
    expect(fees.htlcSuccessFee(format, feerate)).toBe(sat(example.htlc_success_fee_sat!));
    const kept = (direction: 'offered' | 'received', amounts: readonly number[]) =>
      amounts.filter((amount) => !fees.isTrimmed(format, feerate, dust, { direction, amount_msat: msat(amount) }));
    const offered = kept('offered', example.offered_msat as unknown as number[]);
    const received = kept('received', example.received_msat as unknown as number[]);
    expect({ offered, received }).toEqual({ offered: example.untrimmed_offered_msat, received: example.untrimmed_received_msat });
    expect(fees.commitmentWeight(format, 2)).toBe(example.commitment_weight);
    expect(fees.commitmentFee(format, feerate, 2)).toBe(sat(example.base_fee_sat!));
  });

  it('HTLC transactions pay nothing with anchors, and fees do not trim', () => {
    const anchors = 'anchors_zero_fee_htlc_tx';
    expect([fees.htlcTimeoutFee(anchors, 50_000), fees.htlcSuccessFee(anchors, 50_000)]).toEqual([0n, 0n]);
    const htlc = (amount: bigint) => ({ direction: 'offered', amount_msat: msat(amount) }) as const;
    expect(fees.isTrimmed(anchors, 50_000, sat(354), htlc(354_000n))).toBe(false);
    expect(fees.isTrimmed(anchors, 50_000, sat(354), htlc(353_999n))).toBe(true);
  });

  it('anchors', () => {
    expect(fees.ANCHOR_SAT).toBe(sat(named('anchor amount').anchor_sat!));
    expect(fees.anchorsCost('anchors_zero_fee_htlc_tx')).toBe(660n);
    expect(fees.anchorsCost('static_remotekey')).toBe(0n);
  });

  it.each(cases.filter(({ kind }) => kind === 'dust_limit'))('$name', (test) => {
    const { script_type, dust_sat } = test as unknown as { script_type: keyof typeof fees.DUST_LIMIT; dust_sat: number };
    expect(fees.DUST_LIMIT[script_type]).toBe(sat(dust_sat));
  });
});

describe('penalty weights', () => {
  const key = `02${'11'.repeat(32)}` as Point;
  const destination = p2wsh('51');
  /** Version, counts, one P2WSH output, locktime; the marker and flag. */
  const rest = 4 * 53 + 2;
  const weightOfInput = (witness_script: string | undefined, spend: Spend) => {
    const input: SweepInput = { txid: ZERO_32, index: 0, value: sat(1), sequence: 0, witness_script, spend };
    return sweepWeight([input], destination) - rest;
  };
  const scriptKeys = { revocationpubkey: key, local_htlcpubkey: key, remote_htlcpubkey: key };

  it('to_local', () => {
    // The spec reckons with 8 bytes for the delay, where 3 are the most, and with one for `1`, whose push takes two.
    expect(weightOfInput(toLocalScript(key, 0xffff, key), { branch: 'penalty' })).toBe(named('to_local_penalty_input_weight').value! - 5 + 1);
  });
  it.each([
    ['offered_htlc_penalty_input_weight', offeredHtlcScript('static_remotekey', scriptKeys, ZERO_32)],
    ['accepted_htlc_penalty_input_weight', receivedHtlcScript('static_remotekey', scriptKeys, ZERO_32, 0x7fffffff)],
  ])('%s', (name, script) => {
    expect(Math.abs(weightOfInput(script, { branch: 'htlc_penalty', revocationpubkey: key }) - (named(name).value! as number))).toBeLessThanOrEqual(1);
  });
  it('to_remote', () => {
    expect(Math.abs(weightOfInput(undefined, { branch: 'p2wpkh', pubkey: key }) - named('to_remote_p2wpkh_input_weight').value!)).toBeLessThanOrEqual(1);
  });
});

describe('funding transactions', () => {
  const funding = readVectors<Record<string, string> & { funding_satoshis: number; change_satoshis: number }>('bolt03-funding');

  it('pay to the 2-of-2 of both keys (Appendix B)', () => {
    const script = fundingScript(funding.local_funding_pubkey as Point, funding.remote_funding_pubkey as Point);
    expect(script).toBe(funding.funding_witness_script);
    expect(fundingScript(funding.remote_funding_pubkey as Point, funding.local_funding_pubkey as Point)).toBe(script);
    const tx = parseTx(funding.funding_tx!);
    expect(tx.txid).toBe(funding.funding_txid);
    expect(tx.inputs[0]).toMatchObject({ txid: funding.input_txid, index: 0 });
    expect(tx.outputs.map(({ value }) => value)).toEqual([sat(funding.funding_satoshis), sat(funding.change_satoshis)]);
    expect(tx.outputs[0]!.script_pubkey).toBe(p2wsh(script));
    expect(serialize(tx)).toBe(funding.funding_tx);
  });

  it('of both sides: bytes, txid, fees and the signature of Appendix G', () => {
    type Side = { prev_vout: number; sequence: number; witness: string[]; pubkey: Point };
    const dual = readVectors<Record<string, string> & {
      locktime: number; feerate_per_kw: number; opener_input: Side; accepter_input: Side; funding_pubkeys: [Point, Point];
      opener_outputs: { sats: number; script_pubkey: string }[]; accepter_outputs: { sats: number; script_pubkey: string }[];
      opener_fee_sat: number; accepter_fee_sat: number; opener_weight: number; accepter_weight_in_formula: number;
    }>('bolt03-dual-funding');
    const parent = parseTx(dual.parent_tx!);
    expect(parent.txid).toBe(dual.parent_txid);
    const input = (side: Side) => ({ txid: dual.parent_txid as Hex32, index: side.prev_vout, sequence: side.sequence });
    const output = ({ sats, script_pubkey }: { sats: number; script_pubkey: string }) => ({ value: sat(sats), script_pubkey });
    const [openerChange, fundingOutput] = dual.opener_outputs.map(output);
    const tx = {
      version: 2, locktime: dual.locktime,
      inputs: [input(dual.accepter_input), input(dual.opener_input)],
      outputs: [openerChange!, output(dual.accepter_outputs[0]!), fundingOutput!],
    };
    expect(fundingOutput!.script_pubkey).toBe(p2wsh(fundingScript(...dual.funding_pubkeys)));
    expect(serialize(tx)).toBe(dual.unsigned_tx);
    const signed = parseTx(dual.signed_tx!);
    expect(signed).toMatchObject({ ...tx, txid: dual.txid });
    expect(serialize(tx, signed.witnesses)).toBe(dual.signed_tx);
    const roundedUp = (weight: number) => Math.ceil((weight * dual.feerate_per_kw) / 1000);
    expect([roundedUp(dual.opener_weight), roundedUp(dual.accepter_weight_in_formula)]).toEqual([dual.opener_fee_sat, dual.accepter_fee_sat]);
    const { signature } = fromDer(signed.witnesses[0]![0]!)!;
    const spent = parent.outputs[dual.accepter_input.prev_vout]!;
    const digest = witnessSighash(tx, 0, p2wpkhScriptCode(dual.accepter_input.pubkey), spent.value);
    expect(crypto().verify(fromHex(signature), digest, fromHex(dual.accepter_input.pubkey))).toBe(true);
    expect(weightOf(tx, signed.witnesses)).toBe(3 * (dual.unsigned_tx!.length / 2) + dual.signed_tx!.length / 2);
  });
});
