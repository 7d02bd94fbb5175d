/** Every script is executed: the old forms, segwit, taproot, and the locks that Lightning stands on. */
import { schnorr } from '@noble/curves/secp256k1.js';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bitcore } from '../../../src/adapters/chain/bitcore.ts';
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { p2wpkhScriptCode, p2wsh } from '../../../src/bolt/03-transactions/scripts.ts';
import {
  derSignature, serialize, SIGHASH_ALL, SIGHASH_SINGLE_ANYONECANPAY, type UnsignedTx, type Witness, witnessSighash,
} from '../../../src/bolt/03-transactions/tx.ts';
import { crypto, hash160, hash256 } from '../../../src/bolt/crypto.ts';
import { chooseCryptoBackend } from '../../../src/bolt/crypto-native.ts';
import { concatBytes, fromHex, type Hex, sat, toHex, toSignature } from '../../../src/bolt/primitives.ts';
import { codeOf, FINAL, fundKey, type Key, keyNumber, pays, REPLACEABLE } from '../../support/coins.ts';

const SCRIPT_FAILED = 'mandatory-script-verify-flag-failed';

let chain: RegtestChain;
let alice: Key;
let bob: Key;

beforeAll(() => chooseCryptoBackend());
beforeEach(() => {
  chain = createRegtestChain();
  [alice, bob] = [keyNumber(1), keyNumber(2)];
});

interface Spending {
  readonly sequence?: number;
  readonly locktime?: number;
  readonly witness: (tx: UnsignedTx) => Witness;
  readonly script_sig?: Hex | ((tx: UnsignedTx) => Hex);
}

/** Funds a script, and answers how to spend it to Alice: the code of the refusal, or `ok`. */
function locked(script_pubkey: Hex, value = 50_000n) {
  const { txid, output_index } = chain.fund(script_pubkey, sat(value));
  chain.mineBlocks(1);
  return ({ sequence = REPLACEABLE, locktime = 0, witness, script_sig }: Spending): Promise<string> => {
    const tx: UnsignedTx = { version: 2, locktime, inputs: [{ txid, index: output_index, sequence }], outputs: [pays(alice.script, value - 1000n)] };
    const signed = { ...tx, inputs: [{ ...tx.inputs[0]!, script_sig: typeof script_sig === 'function' ? script_sig(tx) : script_sig }] };
    return codeOf(chain.broadcast(serialize(signed, [witness(tx)])));
  };
}

const sign = (tx: UnsignedTx, script: Hex, key: Key, type = SIGHASH_ALL, value = 50_000n): Hex =>
  derSignature(toSignature(crypto().sign(witnessSighash(tx, 0, script, sat(value), type), key.secret)), type);

const push = (bytes: Hex) => (bytes.length / 2).toString(16).padStart(2, '0') + bytes;
const hash160Hex = (bytes: Hex) => toHex(hash160(fromHex(bytes)));

describe('P2WSH', () => {
  it('takes a preimage, and no other', async () => {
    const preimage = '42'.repeat(32);
    const script = `a820${crypto().sha256Hex(fromHex(preimage))}87`;
    const spend = locked(p2wsh(script));
    expect(await spend({ witness: () => ['43'.repeat(32), script] })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: () => [preimage, '51'] })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: () => [preimage, script] })).toBe('ok');
  });

  it('asks OP_CHECKMULTISIG for both keys, in order', async () => {
    const script = `5221${alice.point}21${bob.point}52ae`;
    const spend = locked(p2wsh(script));
    const by = (...keys: readonly Key[]) => (tx: UnsignedTx) => ['', ...keys.map((key) => sign(tx, script, key)), script];
    expect(await spend({ witness: by(alice, alice) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: by(bob, alice) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: by(alice) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: by(alice, bob) })).toBe('ok');
  });

  it('opens OP_CHECKLOCKTIMEVERIFY at its height, to a transaction that says so', async () => {
    const script = `0170b17521${alice.point}ac`; // 112
    const spend = locked(p2wsh(script));
    const witness = (tx: UnsignedTx) => [sign(tx, script, alice), script];
    expect(await spend({ locktime: 111, witness })).toBe('non-final');
    chain.mineBlocks(20);
    expect(await spend({ locktime: 111, witness })).toBe(SCRIPT_FAILED);
    expect(await spend({ locktime: 112, sequence: FINAL, witness }), 'a final sequence switches the lock off').toBe(SCRIPT_FAILED);
    expect(await spend({ locktime: 112, witness })).toBe('ok');
  });

  it('opens OP_CHECKSEQUENCEVERIFY so many blocks after it confirmed', async () => {
    const script = `5ab27521${alice.point}ac`; // 10
    const spend = locked(p2wsh(script));
    const witness = (tx: UnsignedTx) => [sign(tx, script, alice), script];
    expect(await spend({ sequence: 9, witness })).toBe('non-BIP68-final');
    chain.mineBlocks(8);
    expect(await spend({ sequence: 9, witness }), 'the transaction waits less than the script asks').toBe(SCRIPT_FAILED);
    expect(await spend({ sequence: 10, witness }), 'nine blocks deep').toBe('non-BIP68-final');
    expect(await spend({ sequence: REPLACEABLE, witness }), 'no relative lock at all').toBe(SCRIPT_FAILED);
    chain.mineBlocks(1);
    expect(await spend({ sequence: 0x40000a, witness }), 'seconds are no blocks').toBe(SCRIPT_FAILED);
    expect(await spend({ sequence: 10, witness })).toBe('ok');
  });

  it('lets SINGLE|ANYONECANPAY be joined by other inputs and outputs, but not have its own output changed', async () => {
    const script = `21${alice.point}ac`;
    const { txid, output_index } = chain.fund(p2wsh(script), sat(50_000));
    const coin = fundKey(chain, bob, 20_000n);
    const own = { txid, index: output_index, sequence: REPLACEABLE };
    const alone: UnsignedTx = { version: 2, locktime: 0, inputs: [own], outputs: [pays(alice.script, 50_000n)] };
    const signature = sign(alone, script, alice, SIGHASH_SINGLE_ANYONECANPAY);
    const joined = (value: bigint): Hex => {
      const tx: UnsignedTx = { ...alone, inputs: [own, { txid: coin.txid, index: coin.index, sequence: REPLACEABLE }], outputs: [pays(alice.script, value), pays(bob.script, 15_000n)] };
      const bobs = derSignature(toSignature(crypto().sign(witnessSighash(tx, 1, p2wpkhScriptCode(bob.point), coin.value), bob.secret)));
      return serialize(tx, [[signature, script], [bobs, bob.point]]);
    };
    expect(await codeOf(chain.broadcast(joined(49_999n)))).toBe(SCRIPT_FAILED);
    expect(await codeOf(chain.broadcast(joined(50_000n)))).toBe('ok');
  });

  it('refuses a failed signature that is not empty, and a branch not chosen by 0 or 1: nodes relay neither', async () => {
    const policy = 'non-mandatory-script-verify-flag';
    const either = `21${alice.point}ac6351675168`; // OP_CHECKSIG OP_IF 1 OP_ELSE 1 OP_ENDIF
    const spend = locked(p2wsh(either));
    expect(await spend({ witness: (tx) => [sign(tx, either, bob), either] }), 'NULLFAIL').toBe(policy);
    expect(await spend({ witness: () => ['', either] })).toBe('ok');
    const branch = '6351675168';
    expect(await locked(p2wsh(branch))({ witness: () => ['02', branch] }), 'MINIMALIF').toBe(policy);
  });
});

describe('older scripts', () => {
  /** The digest before BIP 143, for a transaction of one input: the script stands where the signature will. */
  const legacySighash = (tx: UnsignedTx, script: Hex) =>
    hash256(concatBytes(fromHex(serialize({ ...tx, inputs: [{ ...tx.inputs[0]!, script_sig: script }] })), Uint8Array.of(1, 0, 0, 0)));
  const legacySign = (tx: UnsignedTx, script: Hex, key: Key) => derSignature(toSignature(crypto().sign(legacySighash(tx, script), key.secret)));

  it('P2PKH', async () => {
    const script = p2wpkhScriptCode(alice.point);
    const spend = locked(script);
    const by = (key: Key) => (tx: UnsignedTx) => push(legacySign(tx, script, key)) + push(alice.point);
    expect(await spend({ witness: () => [], script_sig: by(bob) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: () => [], script_sig: by(alice) })).toBe('ok');
  });

  it('P2SH around P2WPKH', async () => {
    const spend = locked(`a914${hash160Hex(alice.script)}87`);
    const witness = (tx: UnsignedTx) => [sign(tx, p2wpkhScriptCode(alice.point), alice), alice.point];
    expect(await spend({ witness, script_sig: push(bob.script) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: () => ['', alice.point], script_sig: push(alice.script) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness, script_sig: push(alice.script) })).toBe('ok');
  });
});

describe('taproot', () => {
  const tagged = (tag: string, ...parts: readonly Uint8Array[]) => {
    const name = crypto().sha256(new TextEncoder().encode(tag));
    return crypto().sha256(concatBytes(name, name, ...parts));
  };
  const sha = (hex: Hex) => crypto().sha256(fromHex(hex));

  /** BIP 341, SIGHASH_DEFAULT, key path, one input and one output. */
  function digest(tx: UnsignedTx, script_pubkey: Hex, value: bigint): Uint8Array {
    const raw = serialize(tx);
    const [outpoint, sequence, output] = [raw.slice(10, 82), raw.slice(84, 92), raw.slice(94, -8)];
    const amount = Buffer.alloc(8);
    amount.writeBigUInt64LE(value);
    return tagged('TapSighash', Uint8Array.of(0, 0), fromHex(raw.slice(0, 8)), fromHex(raw.slice(-8)),
      sha(outpoint), crypto().sha256(amount), sha(push(script_pubkey)), sha(sequence), sha(output), Uint8Array.of(0, 0, 0, 0, 0));
  }

  it('takes a Schnorr signature of its key', async () => {
    const [mine, other] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
    const script = `5120${toHex(schnorr.getPublicKey(mine))}`;
    const spend = locked(script);
    const by = (secret: Uint8Array) => (tx: UnsignedTx) => [toHex(schnorr.sign(digest(tx, script, 50_000n), secret, new Uint8Array(32)))];
    expect(await spend({ witness: by(other) })).toBe(SCRIPT_FAILED);
    expect(await spend({ witness: by(mine) })).toBe('ok');
  });
});

describe("our curve arithmetic inside bitcore's interpreter", () => {
  it("agrees with bitcore's own", async () => {
    const { ECDSA } = bitcore().crypto;
    const bitcoreLib = bitcore() as unknown as { crypto: { Signature: { fromDER(der: Buffer): Parameters<typeof ECDSA.verify>[1] } }; PublicKey: { fromDER(key: Buffer): Parameters<typeof ECDSA.verify>[2] } };
    const hash = Buffer.alloc(32, 5);
    const signature = bitcoreLib.crypto.Signature.fromDER(Buffer.from(derSignature(toSignature(crypto().sign(hash, alice.secret))).slice(0, -2), 'hex'));
    for (const key of [alice, bob]) {
      // A key that says it is not compressed takes the library's own way.
      const slow = Object.create(bitcoreLib.PublicKey.fromDER(Buffer.from(key.point, 'hex')), { compressed: { value: false } });
      expect(ECDSA.verify(hash, signature, bitcore().PublicKey.fromBuffer(Buffer.from(key.point, 'hex')))).toBe(key === alice);
      expect(ECDSA.verify(hash, signature, slow)).toBe(key === alice);
      expect(ECDSA.verify(Buffer.from(hash).reverse(), signature, bitcore().PublicKey.fromBuffer(Buffer.from(key.point, 'hex')), { endian: 'little' })).toBe(key === alice);
    }
  });
});
