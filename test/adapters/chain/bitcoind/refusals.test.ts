/** The daemon's words about a transaction, of several of its versions, and what we make of them. */
import { expect, it } from 'vitest';
import { classifyRefusal } from '../../../../src/adapters/chain/bitcoind/refusals.ts';

it.each([
  [-27, 'Transaction already in block chain'],
  [-27, 'transaction already in block chain'],
  [-27, 'Transaction outputs already in utxo set'],
  [-26, 'txn-already-in-mempool'],
  [-26, 'txn-already-known'],
  [-26, 'txn-same-nonwitness-data-in-mempool'],
])('%i "%s" is no refusal', (rpc_code, words) => {
  expect(classifyRefusal(rpc_code, words)).toBeUndefined();
});

it.each([
  [-22, 'TX decode failed. Make sure the tx has at least one input.', 'TX decode failed'],
  [-26, 'dust', 'dust'],
  [-26, 'dust, tx with dust output must be 0-fee', 'dust'],
  [-26, 'mandatory-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)', 'mandatory-script-verify-flag-failed'],
  [-26, 'non-mandatory-script-verify-flag (Witness program hash mismatch)', 'non-mandatory-script-verify-flag'],
  [-26, 'mempool-script-verify-flag-failed (Witness program hash mismatch), input 0 of 11', 'mempool-script-verify-flag-failed'],
  [-26, 'bad-txns-in-belowout, value in (0.001) < value out (0.00100001)', 'bad-txns-in-belowout'],
  [-26, 'scriptpubkey', 'scriptpubkey'],
  [-26, 'tx-size', 'tx-size'],
])('%i "%s" is for ever', (rpc_code, words, code) => {
  expect(classifyRefusal(rpc_code, words)).toEqual({ ok: false, code, reason: words, permanent: true });
});

it.each([
  [-26, 'min relay fee not met, 50 < 110', 'min relay fee not met'],
  [-26, 'mempool min fee not met, 50 < 110', 'mempool min fee not met'],
  [-26, 'insufficient fee, rejecting replacement 00ff; new feerate 0.00001 <= old feerate 0.00002', 'insufficient fee'],
  [-26, 'txn-mempool-conflict', 'txn-mempool-conflict'],
  [-26, 'non-final', 'non-final'],
  [-26, 'non-BIP68-final', 'non-BIP68-final'],
  [-26, 'too-long-mempool-chain, too many descendants for tx 00ff [limit: 25]', 'too-long-mempool-chain'],
  [-26, 'bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 4', 'bad-txns-premature-spend-of-coinbase'],
  [-25, 'bad-txns-inputs-missingorspent', 'bad-txns-inputs-missingorspent'],
  [-25, 'Missing inputs', 'Missing inputs'],
  [-25, 'Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)', 'Fee exceeds maximum configured by user'],
  [-1, 'something that no version has ever said', 'something that no version has ever said'],
  [-1, '', 'unknown'],
  [undefined, 'dustier than thou', 'dustier than thou'],
])('%s "%s" is for now', (rpc_code, words, code) => {
  expect(classifyRefusal(rpc_code, words)).toEqual({ ok: false, code, reason: words, permanent: false });
});
