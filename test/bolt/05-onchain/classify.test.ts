/** BOLT 5: the spend of a funding output, told apart. */
import { describe, expect, it } from 'vitest';
import { commitmentLocktime, commitmentSequence, obscureCommitmentNumber } from '../../../src/bolt/03-transactions/obscured-number.ts';
import { txidOf, type UnsignedTx } from '../../../src/bolt/03-transactions/tx.ts';
import { type ChannelSpendFacts, classifyFundingSpend } from '../../../src/bolt/05-onchain/classify.ts';
import { hex32, point, sat } from '../../../src/bolt/primitives.ts';

const opener_payment_basepoint = point(`02${'11'.repeat(32)}`);
const accepter_payment_basepoint = point(`03${'22'.repeat(32)}`);

const spend = (locktime: number, sequence: number, ...scripts: readonly string[]): UnsignedTx => ({
  version: 2, locktime,
  inputs: [{ txid: hex32('ab'.repeat(32)), index: 0, sequence }],
  outputs: (scripts.length > 0 ? scripts : ['51']).map((script_pubkey) => ({ value: sat(1000), script_pubkey })),
});
const commitment = (number: bigint, script = '51') => {
  const obscured = obscureCommitmentNumber(number, opener_payment_basepoint, accepter_payment_basepoint);
  return spend(commitmentLocktime(obscured), commitmentSequence(obscured), script);
};

const ours = commitment(10n, '0001');
const theirs = commitment(10n, '0002');
const pending = commitment(11n, '0003');
const facts: ChannelSpendFacts = {
  opener_payment_basepoint, accepter_payment_basepoint,
  local_commitment_number: 10n, local_txid: txidOf(ours),
  remote_commitment_number: 10n, remote_txid: txidOf(theirs),
  remote_pending_commitment_number: 11n, remote_pending_txid: txidOf(pending),
  shutdown_scripts: ['0014aa', '0014bb'],
};

describe('classifyFundingSpend', () => {
  it.each([
    ['our commitment', ours, { kind: 'local', commitment_number: 10n }],
    ['theirs, of the same number', theirs, { kind: 'remote', commitment_number: 10n }],
    ['the one we signed last, the older not revoked', pending, { kind: 'remote_pending', commitment_number: 11n }],
    ['one they revoked', commitment(9n), { kind: 'revoked', commitment_number: 9n }],
    ['the first, revoked', commitment(0n), { kind: 'revoked', commitment_number: 0n }],
    ['one of a future that we forgot', commitment(12n), { kind: 'future', commitment_number: 12n }],
    ['a known number, but not that transaction', commitment(10n, '0009'), { kind: 'unknown' }],
    ['a legacy close', spend(0, 0xffffffff, '0014aa', '0014bb'), { kind: 'mutual' }],
    ['a close by one side with a locktime', spend(800_000, 0xfffffffd, '0014bb'), { kind: 'mutual' }],
    ['a close that pays a stranger', spend(0, 0xffffffff, '0014aa', '0014cc'), { kind: 'unknown' }],
  ] as const)('%s', (_, tx, expected) => expect(classifyFundingSpend(tx, facts)).toEqual(expected));

  it('a close that both sides signed, whatever it pays', () => {
    const close = spend(0, 0xffffffff, '0014cc');
    expect(classifyFundingSpend(close, { ...facts, mutual_close_txids: [txidOf(close)] })).toEqual({ kind: 'mutual' });
  });

  it('by number alone, where no txid is known', () => {
    const { local_txid: _l, remote_txid: _r, remote_pending_txid: _p, ...numbers } = facts;
    const kind = (number: bigint) => classifyFundingSpend(commitment(number), { ...numbers, local_commitment_number: 12n }).kind;
    expect([9n, 10n, 11n, 12n, 13n].map(kind)).toEqual(['revoked', 'remote', 'remote_pending', 'local', 'future']);
  });

  it('two inputs are no commitment', () => {
    const tx = commitment(9n);
    expect(classifyFundingSpend({ ...tx, inputs: [...tx.inputs, ...tx.inputs] }, facts).kind).toBe('unknown');
  });
});
