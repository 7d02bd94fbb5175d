/** The wallet stream under audit: coins are worth what transactions pay, and every transaction of ours is signed and adds up. */
import { p2wpkh, p2wpkhScriptCode } from '../../bolt/03-transactions/scripts.ts';
import { parseTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { fromDer, SIGHASH_ALL, type TxOutput, witnessSighasher } from '../../bolt/03-transactions/tx.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex, type Point } from '../../bolt/primitives.ts';
import type { Event } from '../../events/registry.ts';
import type { WalletEvent } from '../../events/wallet.ts';
import { CheckFailed, mustEqual, type Tally } from './report.ts';

type EventOf<T extends WalletEvent['type']> = Extract<WalletEvent, { type: T }>;

export interface WalletAudit {
  /** Takes each event of the log in order. Throws CheckFailed. */
  take(event: Event): void;
}

/** Memory: a hundred bytes for each output of a transaction that stands in the log. */
export function auditWallet(tally: Tally, cryptography: boolean): WalletAudit {
  /** What transactions in the log pay, and what the wallet says it received: whichever comes second is compared. */
  const paid = new Map<string, TxOutput>();
  const received = new Map<string, TxOutput>();

  function learn(raw: Hex): ParsedTx {
    const tx = parseTx(raw);
    tx.outputs.forEach((output, index) => agree(`${tx.txid}:${index}`, output, paid, received));
    return tx;
  }

  return {
    take(event) {
      switch (event.type) {
        case 'FundingSpent':
          return void learn(event.transaction);
        case 'FundingCreatedSent':
        case 'FundingConfirmed':
          return void learn(event.funding_transaction);
        case 'CoinReceived':
          return agree(`${event.txid}:${event.output_index}`, event, received, paid);
        case 'CoinsContributed':
          return mustEqual('wallet_txid', 'txid of the transaction that coins were given to', learn(event.transaction).txid, event.txid);
        case 'TransactionCreated':
          return checkTransaction(event, learn(event.transaction), (outpoint) => received.get(outpoint) ?? paid.get(outpoint), tally, cryptography);
        default:
          return;
      }
    },
  };
}

function agree(outpoint: string, { value, script_pubkey }: TxOutput, mine: Map<string, TxOutput>, others: ReadonlyMap<string, TxOutput>): void {
  const other = others.get(outpoint);
  mine.set(outpoint, { value, script_pubkey });
  if (other === undefined) return;
  mustEqual('coin_value', `value of coin ${outpoint} in the transaction and in the wallet, sat`, other.value, value);
  mustEqual('coin_script', `script of coin ${outpoint} in the transaction and in the wallet`, other.script_pubkey, script_pubkey);
}

function checkTransaction(event: EventOf<'TransactionCreated'>, tx: ParsedTx, outputAt: (outpoint: string) => TxOutput | undefined, tally: Tally, cryptography: boolean): void {
  mustEqual('wallet_txid', 'txid of the wallet\'s transaction', tx.txid, event.txid);
  const outpoints = tx.inputs.map(({ txid, index }) => `${txid}:${index}`);
  mustEqual('wallet_inputs', 'coins that the wallet\'s transaction spends', outpoints.join(' '), event.inputs.map(({ txid, output_index }) => `${txid}:${output_index}`).join(' '));
  const spent = outpoints.map((outpoint) => {
    const output = outputAt(outpoint);
    if (output === undefined) throw new CheckFailed('unknown_coin', 'a coin of the wallet', 'one that was received', outpoint);
    return output;
  });
  const total = (outputs: readonly TxOutput[]) => outputs.reduce((sum, { value }) => sum + value, 0n);
  mustEqual('wallet_fee', `fee of the wallet's transaction ${tx.txid}, sat`, total(spent) - total(tx.outputs), event.fee_satoshis as bigint);
  if (cryptography) spent.forEach((output, index) => checkInput(tx, index, output, tally));
  tally.transactions_verified += 1;
}

/** BIP 143 signs the coin's value too: the witness of a P2WPKH is `<sig> <pubkey>`. */
function checkInput(tx: ParsedTx, index: number, { value, script_pubkey }: TxOutput, tally: Tally): void {
  const [der = '', pubkey = ''] = tx.witnesses[index] ?? [];
  const signed = fromDer(der);
  const key = pubkey as Point;
  const valid = signed?.sighashType === SIGHASH_ALL && script_pubkey === p2wpkh(key)
    && crypto().verify(fromHex(signed.signature), witnessSighasher(tx)(index, p2wpkhScriptCode(key), value), fromHex(key));
  if (!valid) throw new CheckFailed('wrong_wallet_signature', `signature of input ${index} of ${tx.txid}, worth ${value} sat`, `one for ${script_pubkey}`, der);
  tally.signatures_verified += 1;
}
