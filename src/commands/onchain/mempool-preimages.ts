/** Preimages from transactions that are in no block yet: with replacement cycling no block may ever hold them (safety 05, 15). */
import { parseTx, type ParsedTx, TxParseError } from '../../bolt/03-transactions/tx-parse.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex, toHex } from '../../bolt/primitives.ts';
import { type ChannelState, isEstablished } from '../../domain/channel/state.ts';
import type { Chain } from '../../domain/ports.ts';
import type { Channels } from '../channels.ts';

export interface MempoolOptions {
  readonly chain: Pick<Chain, 'onMempoolTransaction'>;
  readonly channels: Pick<Channels, 'all'>;
  readonly log: (line: string) => void;
}

/** An HTLC's script is at least so long, a preimage has 32 bytes: in hex digits. */
const SHORTEST_SCRIPT = 200;
const PREIMAGE = 64;

/** Tells each channel of the transactions that show a preimage of an HTLC it offered, whichever output they spend. Answers how to stop. */
export function watchMempoolForPreimages({ chain, channels, log }: MempoolOptions): () => void {
  const waitsFor = rememberByState(hashesWaitedFor);
  return chain.onMempoolTransaction(({ txid, transaction }) => {
    const hashes = hashesShown(transaction);
    if (hashes.length === 0) return;
    for (const loop of channels.all()) {
      if (!hashes.some((hash) => waitsFor(loop.state).has(hash))) continue;
      void loop.run({ type: 'ReceiveMempoolTransaction', txid, transaction }).catch((error: Error) => log(`${loop.stream}: ${txid} could not be looked at: ${error.message}`));
    }
  });
}

/** BOLT 3: a claim by preimage ends in `<payment_preimage> <script>`. */
function hashesShown(transaction: Hex): readonly Hex[] {
  const witnesses = read(transaction)?.witnesses ?? [];
  return witnesses.flatMap((witness) => {
    const [preimage = '', script = ''] = witness.slice(-2);
    return preimage.length === PREIMAGE && script.length >= SHORTEST_SCRIPT ? [toHex(crypto().sha256(fromHex(preimage)))] : [];
  });
}

const hashesWaitedFor = (state: ChannelState): ReadonlySet<Hex> =>
  new Set(isEstablished(state) ? state.commitments.htlcs.flatMap(({ direction, known_preimage, payment_hash }) => (direction === 'offered' && known_preimage === undefined ? [payment_hash] : [])) : []);

function read(transaction: Hex): ParsedTx | undefined {
  try {
    return parseTx(transaction);
  } catch (error) {
    if (error instanceof TxParseError) return undefined;
    throw error;
  }
}

/** States are values: what was found of one stays true of it. */
function rememberByState<T>(find: (state: ChannelState) => T): (state: ChannelState) => T {
  const known = new WeakMap<ChannelState, T>();
  return (state) => {
    const found = known.get(state) ?? find(state);
    known.set(state, found);
    return found;
  };
}
