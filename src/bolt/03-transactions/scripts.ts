/** BOLT 3's scripts, each laid out like the spec: "Funding Transaction Output", "Commitment Transaction Outputs". */
import { crypto, hash160 } from '../crypto.ts';
import { fromHex, type Hex, type Hex32, type Point, toHex } from '../primitives.ts';
import type { CommitmentFormat } from './fees.ts';
import type { HtlcScriptKeys } from './keys.ts';
import { rememberLast, rememberRecent } from './remember.ts';

/** BIP 141's opcodes as bytes of hex. */
const OP = {
  OP_0: '00', OP_16: '60', OP_IF: '63', OP_NOTIF: '64', OP_ELSE: '67', OP_ENDIF: '68', OP_DROP: '75', OP_DUP: '76',
  OP_IFDUP: '73', OP_SWAP: '7c', OP_SIZE: '82', OP_EQUAL: '87', OP_EQUALVERIFY: '88', OP_HASH160: 'a9',
  OP_CHECKSIG: 'ac', OP_CHECKSIGVERIFY: 'ad', OP_CHECKMULTISIG: 'ae', OP_CHECKLOCKTIMEVERIFY: 'b1', OP_CHECKSEQUENCEVERIFY: 'b2',
} as const;

/** `2 <pubkey1> <pubkey2> 2 OP_CHECKMULTISIG`, keys in lexicographical order. Witness: `0 <sig1> <sig2>`. */
export function fundingScript(a: Point, b: Point): Hex {
  const [pubkey1, pubkey2] = a < b ? [a, b] : [b, a];
  return script(number(2), push(pubkey1), push(pubkey2), number(2), OP.OP_CHECKMULTISIG);
}

/** Witness: `<local_delayedsig> <>` after `to_self_delay` blocks, `<revocation_sig> 1` at once. */
export function toLocalScript(revocationpubkey: Point, to_self_delay: number, local_delayedpubkey: Point): Hex {
  return script(
    OP.OP_IF,
      // Penalty transaction
      push(revocationpubkey),
    OP.OP_ELSE,
      number(to_self_delay),
      OP.OP_CHECKSEQUENCEVERIFY,
      OP.OP_DROP,
      push(local_delayedpubkey),
    OP.OP_ENDIF,
    OP.OP_CHECKSIG,
  );
}

/** The output of HTLC-timeout and HTLC-success transactions waits and is punished like `to_local`. */
export const htlcOutputScript = toLocalScript;

/** `to_remote` with option_anchors. Witness: `<remote_sig>`, after one block. */
export function toRemoteAnchorScript(remotepubkey: Point): Hex {
  return script(push(remotepubkey), OP.OP_CHECKSIGVERIFY, number(1), OP.OP_CHECKSEQUENCEVERIFY);
}

/** Witness: `<sig>` of its owner, or `<>` by anyone after 16 blocks. */
export function anchorScript(funding_pubkey: Point): Hex {
  return script(
    push(funding_pubkey), OP.OP_CHECKSIG, OP.OP_IFDUP,
    OP.OP_NOTIF,
      OP.OP_16, OP.OP_CHECKSEQUENCEVERIFY,
    OP.OP_ENDIF,
  );
}

/** Witness for remote: `<remotehtlcsig> <payment_preimage>`, or `<revocation_sig> <revocationpubkey>`; for local, HTLC-timeout. */
export function offeredHtlcScript(format: CommitmentFormat, keys: HtlcScriptKeys, payment_hash: Hex32): Hex {
  return script(
    // To remote node with revocation key
    OP.OP_DUP, OP.OP_HASH160, push(revocationHash(keys.revocationpubkey)), OP.OP_EQUAL,
    OP.OP_IF,
      OP.OP_CHECKSIG,
    OP.OP_ELSE,
      push(keys.remote_htlcpubkey), OP.OP_SWAP, OP.OP_SIZE, number(32), OP.OP_EQUAL,
      OP.OP_NOTIF,
        // To local node via HTLC-timeout transaction (timelocked).
        OP.OP_DROP, number(2), OP.OP_SWAP, push(keys.local_htlcpubkey), number(2), OP.OP_CHECKMULTISIG,
      OP.OP_ELSE,
        // To remote node with preimage.
        OP.OP_HASH160, push(ripemd160Hex(payment_hash)), OP.OP_EQUALVERIFY,
        OP.OP_CHECKSIG,
      OP.OP_ENDIF,
      ...oneBlock(format),
    OP.OP_ENDIF,
  );
}

/** Witness for remote: `<remotehtlcsig> <>` after cltv_expiry, or `<revocation_sig> <revocationpubkey>`; for local, HTLC-success. */
export function receivedHtlcScript(format: CommitmentFormat, keys: HtlcScriptKeys, payment_hash: Hex32, cltv_expiry: number): Hex {
  return script(
    // To remote node with revocation key
    OP.OP_DUP, OP.OP_HASH160, push(revocationHash(keys.revocationpubkey)), OP.OP_EQUAL,
    OP.OP_IF,
      OP.OP_CHECKSIG,
    OP.OP_ELSE,
      push(keys.remote_htlcpubkey), OP.OP_SWAP, OP.OP_SIZE, number(32), OP.OP_EQUAL,
      OP.OP_IF,
        // To local node via HTLC-success transaction.
        OP.OP_HASH160, push(ripemd160Hex(payment_hash)), OP.OP_EQUALVERIFY,
        number(2), OP.OP_SWAP, push(keys.local_htlcpubkey), number(2), OP.OP_CHECKMULTISIG,
      OP.OP_ELSE,
        // To remote node after timeout.
        OP.OP_DROP, number(cltv_expiry), OP.OP_CHECKLOCKTIMEVERIFY, OP.OP_DROP,
        OP.OP_CHECKSIG,
      OP.OP_ENDIF,
      ...oneBlock(format),
    OP.OP_ENDIF,
  );
}

/** The output script that pays a witness script: `OP_0 <SHA256(script)>`. All commitments of a channel share some. */
export const p2wsh = rememberRecent(512, (witness_script: Hex): Hex => script(OP.OP_0, push(crypto().sha256Hex(fromHex(witness_script)))));

/** The output script that pays a key: `OP_0 <HASH160(pubkey)>`. */
export const p2wpkh = (pubkey: Point): Hex => script(OP.OP_0, push(hash160Hex(pubkey)));

/** What a signature for a P2WPKH input commits to (BIP 143). */
export const p2wpkhScriptCode = (pubkey: Point): Hex =>
  script(OP.OP_DUP, OP.OP_HASH160, push(hash160Hex(pubkey)), OP.OP_EQUALVERIFY, OP.OP_CHECKSIG);

/** With anchors every output but the anchors waits a block, so that only the anchors can carry a child into the mempool. */
const oneBlock = (format: CommitmentFormat): readonly Hex[] =>
  format === 'anchors_zero_fee_htlc_tx' ? [number(1), OP.OP_CHECKSEQUENCEVERIFY, OP.OP_DROP] : [];

function script(...parts: readonly Hex[]): Hex {
  let bytes = '';
  for (const part of parts) bytes += part;
  return bytes;
}

/** Pushes up to 75 bytes: all that these scripts need. */
const push = (bytes: Hex): Hex => byte(bytes.length / 2) + bytes;

/** The shortest push of a number from 0 to 2^32 - 1 (BIP 62): an opcode up to 16, else little-endian with room for the sign. */
function number(value: number): Hex {
  if (value === 0) return OP.OP_0;
  if (value <= 16) return byte(0x50 + value);
  let bytes = '';
  let last = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes += byte((last = rest % 256));
  return push(last >= 0x80 ? `${bytes}00` : bytes);
}

const byte = (value: number): Hex => (value < 16 ? '0' : '') + value.toString(16);

const hash160Hex = (data: Hex): Hex => toHex(hash160(fromHex(data)));
/** All HTLCs of a commitment share it: hashed once for all of them. */
const revocationHash = rememberLast(hash160Hex);
/** An HTLC stands in several commitments of both sides: hashed once for all of them. */
const ripemd160Hex = rememberRecent(2048, (data: Hex): Hex => toHex(crypto().ripemd160(fromHex(data))));
