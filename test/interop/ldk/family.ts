/** What came of a channel's funding on the chain: each transaction that followed, whose it is, and where each output ended. */
import type { ParsedTx } from '../../../src/bolt/03-transactions/tx-parse.ts';
import type { TxOutput } from '../../../src/bolt/03-transactions/tx.ts';
import { ANCHOR_SAT } from '../../../src/bolt/03-transactions/fees.ts';
import type { Hex, Hex32 } from '../../../src/bolt/primitives.ts';
import type { Place } from './ldk-notes.ts';

export type Side = 'ours' | 'theirs';

/** How an output is known to be somebody's for good. */
export interface Owners {
  /** Scripts of our wallet. */
  readonly ourScripts: ReadonlySet<Hex>;
  /** Of LDK's own coins. */
  readonly theirScript: Hex;
  /** What LDK says it can spend. */
  readonly theirPlaces: ReadonlySet<Place>;
  /** Claims of ours that a block holds. */
  readonly ourTxids: ReadonlySet<Hex32>;
}

/** One transaction: the close itself is nobody's. All in sat. */
export interface Member {
  readonly txid: Hex32;
  readonly by: Side | 'close';
  readonly fee: bigint;
  /** Coins that a side put in from elsewhere. */
  readonly put_in: Readonly<Record<Side, bigint>>;
  /** Outputs that are a side's own from now on. */
  readonly taken: Readonly<Record<Side, bigint>>;
  /** Anchors that it spends. */
  readonly anchors: bigint;
}

export interface Family {
  readonly members: readonly Member[];
  /** Anchors that nobody took, sat. */
  readonly left: bigint;
}

/** What the chain can be asked. */
export interface ChainReader {
  /** The transaction in a block that spends an output. */
  spender(place: Place): ParsedTx | undefined;
  transaction(txid: Hex32): Promise<ParsedTx>;
}

/** Follows every output until it is somebody's. Throws when one is nobody's and no anchor. */
export async function familyOf(close: ParsedTx, chain: ChainReader, owners: Owners): Promise<Family> {
  const found = new Map<Hex32, ParsedTx>([[close.txid, close]]);
  let left = 0n;
  for (const tx of found.values()) {
    for (const [index, output] of tx.outputs.entries()) {
      const place: Place = `${tx.txid}:${index}`;
      if (ownerOf(place, output, owners) !== undefined) continue;
      const next = chain.spender(place);
      if (next !== undefined) found.set(next.txid, next);
      else if (tx === close && output.value === ANCHOR_SAT) left += ANCHOR_SAT;
      else throw new Error(`nobody has the ${output.value} sat of ${place}`);
    }
  }
  return { left, members: await Promise.all([...found.values()].map((tx) => memberOf(tx, close, chain, owners))) };
}

function ownerOf(place: Place, { script_pubkey }: TxOutput, { ourScripts, theirScript, theirPlaces }: Owners): Side | undefined {
  if (script_pubkey === theirScript || theirPlaces.has(place)) return 'theirs';
  return ourScripts.has(script_pubkey) ? 'ours' : undefined;
}

async function memberOf(tx: ParsedTx, close: ParsedTx, chain: ChainReader, owners: Owners): Promise<Member> {
  const put_in = { ours: 0n, theirs: 0n };
  const taken = { ours: 0n, theirs: 0n };
  let [value_in, anchors] = [0n, 0n];
  for (const { txid, index } of tx.inputs) {
    const output = (await chain.transaction(txid)).outputs[index]!;
    const owner = ownerOf(`${txid}:${index}`, output, owners);
    value_in += output.value;
    if (owner !== undefined) put_in[owner] += output.value;
    else if (txid === close.txid && output.value === ANCHOR_SAT) anchors += ANCHOR_SAT;
  }
  for (const [index, output] of tx.outputs.entries()) {
    const owner = ownerOf(`${tx.txid}:${index}`, output, owners);
    if (owner !== undefined) taken[owner] += output.value;
  }
  const by = tx === close ? 'close' : owners.ourTxids.has(tx.txid) ? 'ours' : 'theirs';
  return { txid: tx.txid, by, anchors, put_in, taken, fee: value_in - tx.outputs.reduce((sum, { value }) => sum + value, 0n) };
}
