/** What transactions that are in no block yet tell our channels: preimages, and which commitment the peer has sent. */
import { readTx } from '../../bolt/03-transactions/tx-parse.ts';
import type { Hex32 } from '../../bolt/primitives.ts';
import type { Chain } from '../../domain/ports.ts';
import type { StreamId } from '../../events/store.ts';
import type { ChannelLoop } from '../channel-loop.ts';
import type { Channels } from '../channels.ts';
import { createPreimageWatch } from './mempool-preimages.ts';
import { createWaitingCommitments } from './waiting-commitments.ts';

export interface MempoolOptions {
  readonly chain: Pick<Chain, 'onMempoolTransaction' | 'unspentOutput'>;
  readonly channels: Pick<Channels, 'all'>;
  /** A peer's commitment has been seen on its way. */
  readonly onCommitment: (stream: StreamId) => void;
  readonly log: (line: string) => void;
}

export interface Mempool {
  /** The peer's commitment that waits for a block, if there is one. */
  waitingCommitment(loop: ChannelLoop): Promise<Hex32 | undefined>;
  stop(): void;
}

export function watchMempool({ chain, channels, onCommitment, log }: MempoolOptions): Mempool {
  const commitments = createWaitingCommitments(chain, channels);
  const concerned = createPreimageWatch(channels);
  const stop = chain.onMempoolTransaction(({ txid, transaction }) => {
    const tx = readTx(transaction);
    if (tx === undefined) return;
    const stream = commitments.note(tx);
    if (stream !== undefined) onCommitment(stream);
    for (const loop of concerned(tx)) {
      void loop.run({ type: 'ReceiveMempoolTransaction', txid, transaction }).catch((error: Error) => log(`${loop.stream}: ${txid} could not be looked at: ${error.message}`));
    }
  });
  return { waitingCommitment: (loop) => commitments.of(loop), stop };
}
