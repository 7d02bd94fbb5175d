/** Makes blocks: headers, coinbase and Merkle roots as Bitcoin's (BIPs 34 and 141), without the proof of work. */
import { parseTx, type ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { serialize, type UnsignedTx } from '../../bolt/03-transactions/tx.ts';
import { hash256 } from '../../bolt/crypto.ts';
import { concatBytes, fromHex, type Hex, type Hex32, reverseHex32, sat, type Sat, toHex, toHex32, ZERO_32 } from '../../bolt/primitives.ts';
import type { Block } from '../../domain/ports.ts';

/** A block with its header; `time` in seconds since 1970. */
export interface MadeBlock extends Block {
  /** 80 bytes. */
  readonly header: Hex;
  readonly time: number;
}

export interface BlockParts {
  readonly previous: MadeBlock;
  readonly time: number;
  readonly coinbase_script: Hex;
  /** What the transactions pay, in sat. */
  readonly fees: Sat;
  /** Behind the coinbase, in order. */
  readonly transactions: readonly { readonly txid: Hex32; readonly transaction: Hex }[];
  /** Makes two blocks of one height differ, as two miners' would. */
  readonly extra_nonce: number;
}

/** The next block. Pure: the same parts make the same block. */
export function makeBlock(parts: BlockParts): MadeBlock {
  const height = parts.previous.height + 1;
  const coinbase = makeCoinbase(parts, height);
  const transactions = [coinbase, ...parts.transactions];
  const header = makeHeader(parts.previous.block_hash, merkleRoot(transactions.map(({ txid }) => reverseHex32(txid))), parts.time);
  return { height, block_hash: hashOfHeader(header), previous_block_hash: parts.previous.block_hash, transactions, header, time: parts.time };
}

/** Regtest's first block, whose hash is the chain's name. */
export function genesisBlock(): MadeBlock {
  const { txid } = parseTx(GENESIS_COINBASE);
  const header = u32(1) + ZERO_32 + reverseHex32(txid) + u32(GENESIS_TIME) + u32(EASIEST_BITS) + u32(2);
  return {
    height: 0, block_hash: hashOfHeader(header), previous_block_hash: ZERO_32, header, time: GENESIS_TIME,
    transactions: [{ txid, transaction: GENESIS_COINBASE }],
  };
}

/** What a block of regtest may create: it halves every 150 blocks. In sat. */
export function subsidyAt(height: number): Sat {
  return sat(5_000_000_000n >> BigInt(Math.floor(height / 150)));
}

function makeHeader(previous_block_hash: Hex32, root: Hex, time: number): Hex {
  // Regtest's target lets every second hash pass. Nobody checks it here, so we do not search for one: the nonce is 0.
  return u32(0x2000_0000) + reverseHex32(previous_block_hash) + root + u32(time) + u32(EASIEST_BITS) + u32(0);
}

const hashOfHeader = (header: Hex): Hex32 => toHex32(hash256(fromHex(header)).reverse());

function makeCoinbase({ coinbase_script, fees, transactions, extra_nonce }: BlockParts, height: number): { txid: Hex32; transaction: Hex } {
  const tx: UnsignedTx = {
    version: 2,
    locktime: 0,
    // BIP 34: the height comes first.
    inputs: [{ txid: ZERO_32, index: 0xffffffff, sequence: 0xffffffff, script_sig: pushNumber(height) + `04${u32(extra_nonce)}` }],
    outputs: [
      { value: sat(subsidyAt(height) + fees), script_pubkey: coinbase_script },
      { value: sat(0), script_pubkey: `6a24aa21a9ed${witnessCommitment(transactions)}` },
    ],
  };
  const transaction = serialize(tx, [[WITNESS_RESERVED]]);
  return { txid: parseTx(transaction).txid, transaction };
}

const WITNESS_RESERVED = ZERO_32;

/** BIP 141, "Commitment structure": the coinbase itself counts as zeros. */
function witnessCommitment(transactions: BlockParts['transactions']): Hex {
  const root = merkleRoot([ZERO_32, ...transactions.map(({ transaction }) => toHex(hash256(fromHex(transaction))))]);
  return toHex(hash256(fromHex(root + WITNESS_RESERVED)));
}

/** Of hashes in wire order; an odd one is paired with itself. */
export function merkleRoot(hashes: readonly Hex[]): Hex {
  let level = hashes.map(fromHex);
  while (level.length > 1) {
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) =>
      hash256(concatBytes(level[2 * i]!, level[2 * i + 1] ?? level[2 * i]!)));
  }
  return toHex(level[0]!);
}

/** BIP 113: the median of a block's and the ten blocks' times before it, in seconds. `times` ends with the block. */
export function medianTime(times: readonly number[]): number {
  const last = times.slice(-11).sort((a, b) => a - b);
  return last[Math.floor(last.length / 2)]!;
}

/** All transactions of a block, read. */
export const parseBlock = (block: Block): readonly ParsedTx[] => block.transactions.map(({ transaction }) => parseTx(transaction));

function pushNumber(value: number): Hex {
  if (value <= 16) return (0x50 + value).toString(16);
  const bytes = u32(value).replace(/(00)+$/, '');
  const positive = parseInt(bytes.slice(-2), 16) >= 0x80 ? `${bytes}00` : bytes;
  return (positive.length / 2).toString(16).padStart(2, '0') + positive;
}

/** Little-endian. */
function u32(value: number): Hex {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return toHex(bytes);
}

const GENESIS_TIME = 1_296_688_602;
const EASIEST_BITS = 0x207fffff;
const GENESIS_COINBASE =
  '01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f' +
  '32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a010000004341' +
  '04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000';
