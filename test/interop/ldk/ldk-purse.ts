/** LDK's own coins on the chain: P2WPKH, one key, with which it pays for what carries no fee of its own (anchors, HTLC transactions). */
import * as ldk from 'lightningdevkit';
import { crypto } from '../../../src/bolt/crypto.ts';
import { concatBytes, fromHex, type Hex, type Hex32, reverseHex32, type Sat, toHex, toPoint, toSignature } from '../../../src/bolt/primitives.ts';
import { p2wpkh, p2wpkhScriptCode } from '../../../src/bolt/03-transactions/scripts.ts';
import { derSignature, serialize, type UnsignedTx, type Witness, witnessSighasher } from '../../../src/bolt/03-transactions/tx.ts';
import { parseTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { LdkNotes, Place } from './ldk-notes.ts';

export interface LdkPurse {
  readonly script_pubkey: Hex;
  readonly source: ldk.WalletSource;
  /** Looks for coins that a block brings and takes. The same block again changes nothing. */
  onBlock(transactions: readonly Hex[]): void;
}

/** Empty script_sig, and a witness of two elements: 4 + 1 + 1 + 73 + 1 + 33 weight units. */
const SATISFACTION_WEIGHT = 113n;

export function openPurse(seed: Uint8Array, notes: LdkNotes): LdkPurse {
  const secret = crypto().sha256(concatBytes(seed, new TextEncoder().encode('purse')));
  const pubkey = toPoint(crypto().publicKey(secret));
  const script_pubkey = p2wpkh(pubkey);

  function utxo(place: Place, value: Sat): ldk.Utxo {
    const [txid, index] = place.split(':') as [Hex32, string];
    const outpoint = ldk.OutPoint.constructor_new(fromHex(reverseHex32(txid)), Number(index));
    return ldk.Utxo.constructor_new(outpoint, ldk.TxOut.constructor_new(value, fromHex(script_pubkey)), SATISFACTION_WEIGHT);
  }

  /** Its inputs of ours get their witness; the others are LDK's to sign. */
  function sign(tx: UnsignedTx): Hex {
    const sighash = witnessSighasher(tx);
    const witnesses = tx.inputs.map(({ txid, index }, i): Witness => {
      const value = notes.coins.get(`${txid}:${index}`);
      if (value === undefined) return [];
      return [derSignature(toSignature(crypto().sign(sighash(i, p2wpkhScriptCode(pubkey), value), secret))), pubkey];
    });
    return serialize(tx, witnesses);
  }

  return {
    script_pubkey,
    source: ldk.WalletSource.new_impl({
      list_confirmed_utxos: () => ldk.Result_CVec_UtxoZNoneZ.constructor_ok([...notes.coins].map(([place, value]) => utxo(place, value))),
      get_change_script: () => ldk.Result_CVec_u8ZNoneZ.constructor_ok(fromHex(script_pubkey)),
      sign_psbt: (psbt) => ldk.Result_TransactionNoneZ.constructor_ok(fromHex(sign(parseTx(unsignedTx(toHex(psbt)))))),
    }),
    onBlock(transactions) {
      for (const { txid, inputs, outputs } of transactions.map(parseTx)) {
        for (const input of inputs) notes.coinSpent(`${input.txid}:${input.index}`);
        for (const [index, output] of outputs.entries()) if (output.script_pubkey === script_pubkey) notes.coinFound(`${txid}:${index}`, output.value);
      }
    },
  };
}

const PSBT_MAGIC = '70736274ff';

/** BIP 174: the first of a PSBT's global map, key 00, is the transaction without its witnesses. */
function unsignedTx(psbt: Hex): Hex {
  const key = psbt.slice(PSBT_MAGIC.length, PSBT_MAGIC.length + 4);
  if (!psbt.startsWith(PSBT_MAGIC) || key !== '0100') throw new Error(`expected a PSBT that begins with its transaction, got ${psbt.slice(0, 20)}`);
  const at = PSBT_MAGIC.length + 4;
  const first = parseInt(psbt.slice(at, at + 2), 16);
  const [start, length] = first < 0xfd ? [at + 2, first] : [at + 6, parseInt(psbt.slice(at + 4, at + 6) + psbt.slice(at + 2, at + 4), 16)];
  return psbt.slice(start, start + 2 * length);
}
