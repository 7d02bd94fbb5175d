/** BOLT 5: commitments of the peer's that wait in the mempool. Ours cannot enter beside one, so it is theirs that our anchor pays for. */
import type { ParsedTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { Hex32 } from '../../bolt/primitives.ts';
import { type EstablishedState, isEstablished } from '../../domain/channel/state.ts';
import { unrevokedCommitments } from '../../domain/onchain/unrevoked.ts';
import type { Chain } from '../../domain/ports.ts';
import type { StreamId } from '../../events/store.ts';
import type { ChannelLoop } from '../channel-loop.ts';
import type { Channels } from '../channels.ts';

export interface WaitingCommitments {
  /** Takes note of a transaction of the mempool; answers the channel whose peer's commitment it is. */
  note(tx: ParsedTx): StreamId | undefined;
  /** The peer's commitment that still waits, if there is one. */
  of(loop: ChannelLoop): Promise<Hex32 | undefined>;
}

export function createWaitingCommitments(chain: Pick<Chain, 'unspentOutput'>, channels: Pick<Channels, 'all'>): WaitingCommitments {
  /** One for each channel: at most one spend of an output is in a mempool. */
  const seen = new Map<StreamId, Hex32>();

  return {
    note(tx) {
      if (tx.inputs.length !== 1) return undefined;
      const loop = channels.all().find(({ state }) => isEstablished(state) && state.phase !== 'closed' && spendsFunding(tx, state));
      const isTheirs = loop !== undefined && unrevokedCommitments(loop.state as EstablishedState).some(({ owner, commitment }) => owner === 'remote' && commitment.txid === tx.txid);
      if (!isTheirs) return undefined;
      seen.set(loop.stream, tx.txid);
      return loop.stream;
    },
    async of({ stream, state }) {
      const waiting = seen.get(stream);
      if (waiting === undefined || !isEstablished(state)) return undefined;
      const { txid, output_index: index } = state.funding;
      // Gone from the mempool, for whatever reason: our own commitment may go there now.
      if ((await chain.unspentOutput({ txid, index })) !== undefined) seen.delete(stream);
      return seen.get(stream);
    },
  };
}

const spendsFunding = ({ inputs }: ParsedTx, { funding }: EstablishedState): boolean =>
  inputs[0]!.txid === funding.txid && inputs[0]!.index === funding.output_index;
