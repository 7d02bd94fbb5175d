/** Preimages from transactions that are in no block yet: with replacement cycling no block may ever hold them (safety 05, 15). */
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import { crypto } from '../../bolt/crypto.ts';
import { fromHex, type Hex, toHex } from '../../bolt/primitives.ts';
import { type ChannelState, isEstablished } from '../../domain/channel/state.ts';
import type { ChannelLoop } from '../channel-loop.ts';
import type { Channels } from '../channels.ts';

/** An HTLC's script is at least so long, a preimage has 32 bytes: in hex digits. */
const SHORTEST_SCRIPT = 200;
const PREIMAGE = 64;

/** The channels that offered an HTLC whose preimage a transaction shows, whichever output it spends. */
export function createPreimageWatch(channels: Pick<Channels, 'all'>): (tx: ParsedTx) => readonly ChannelLoop[] {
  const waitsFor = rememberByState(hashesWaitedFor);
  return (tx) => {
    const hashes = hashesShown(tx);
    return hashes.length === 0 ? [] : channels.all().filter(({ state }) => hashes.some((hash) => waitsFor(state).has(hash)));
  };
}

/** BOLT 3: a claim by preimage ends in `<payment_preimage> <script>`. */
function hashesShown({ witnesses }: ParsedTx): readonly Hex[] {
  return witnesses.flatMap((witness) => {
    const [preimage = '', script = ''] = witness.slice(-2);
    return preimage.length === PREIMAGE && script.length >= SHORTEST_SCRIPT ? [toHex(crypto().sha256(fromHex(preimage)))] : [];
  });
}

const hashesWaitedFor = (state: ChannelState): ReadonlySet<Hex> =>
  new Set(isEstablished(state) ? state.commitments.htlcs.flatMap(({ direction, known_preimage, payment_hash }) => (direction === 'offered' && known_preimage === undefined ? [payment_hash] : [])) : []);

/** States are values: what was found of one stays true of it. */
function rememberByState<T>(find: (state: ChannelState) => T): (state: ChannelState) => T {
  const known = new WeakMap<ChannelState, T>();
  return (state) => {
    const found = known.get(state) ?? find(state);
    known.set(state, found);
    return found;
  };
}
