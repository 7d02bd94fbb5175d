/** What a channel waits for, read from its state and from the chain as it stands now. */
import type { BlockHeight, Hex32 } from '../bolt/primitives.ts';
import { SETTLED_DEPTH } from '../domain/channel/depths.ts';
import { bestClose } from '../domain/channel/mutual-closes.ts';
import { hasLostData } from '../domain/channel/recovery.ts';
import type { ChannelState } from '../domain/channel/state.ts';
import { liveClaims } from '../domain/onchain/claims.ts';
import type { Chain } from '../domain/ports.ts';
import type { Waiting } from '../http/control.ts';

export interface Around {
  readonly chain: Pick<Chain, 'confirmedTransaction'>;
  readonly height: BlockHeight;
  readonly usable: boolean;
  readonly connected: boolean;
}

/** Undefined when it waits for nothing. */
export async function waitingOf(state: ChannelState, around: Around): Promise<Waiting | undefined> {
  switch (state.phase) {
    case 'opening':
      return state.step === 'funded' && state.funding.confirmed === undefined
        ? { for: 'funding_confirmations', txid: state.funding.txid, confirmations: await confirmations(state.funding.txid, around), needed: state.terms.minimum_depth }
        : forPeer(around);
    case 'normal':
      return around.usable ? undefined : forPeer(around);
    case 'shutdown':
      return forPeer(around);
    case 'closing':
      return closingTogether(state, around);
    case 'resolving':
      return resolving(state, around);
    case 'none':
    case 'closed':
    case 'abandoned':
      return undefined;
  }
}

const forPeer = ({ connected }: Around): Waiting => ({ for: connected ? 'peer_messages' : 'peer_connection' });
const closing = (txid: Hex32 | undefined, confirmations: number): Waiting => ({ for: 'closing_confirmations', txid, confirmations, needed: SETTLED_DEPTH });

/** Of several closes that both signed, the one that pays most. */
async function closingTogether(state: Extract<ChannelState, { phase: 'closing' }>, around: Around): Promise<Waiting> {
  const best = bestClose(state);
  // Ours is on its way to the peer, and will stand in place of what the peer has sent.
  const answerComes = state.proposal === 'sent' && around.connected;
  return best === undefined || answerComes ? forPeer(around) : closing(best.closing_txid, await confirmations(best.closing_txid, around));
}

function resolving(state: Extract<ChannelState, { phase: 'resolving' }>, around: Around): Waiting {
  const { spend, onchain, terms } = state;
  const { height } = around;
  // Only the peer may close what we have lost the newest state of.
  if (spend === undefined && hasLostData(state)) return forPeer(around);
  if (spend === undefined) return closing(bestClose(state)?.closing_txid, 0);
  const [claim] = liveClaims(state);
  const confirming = onchain?.outputs.find(({ spent }) => spent?.by === 'local' && depth(spent.block_height, height) < SETTLED_DEPTH)?.spent;
  if (claim !== undefined || confirming !== undefined) {
    return { for: 'sweep_confirmations', txid: claim?.claim_txid ?? confirming!.txid, confirmations: claim === undefined ? depth(confirming!.block_height, height) : 0, needed: SETTLED_DEPTH };
  }
  const blocks_left = spend.block_height + terms.remote.to_self_delay - height;
  if (spend.kind === 'local' && blocks_left > 0) return { for: 'to_self_delay', txid: spend.txid, blocks_left };
  return closing(spend.txid, depth(spend.block_height, height));
}

async function confirmations(txid: Hex32, { chain, height }: Around): Promise<number> {
  return depth((await chain.confirmedTransaction(txid))?.block_height, height);
}

const depth = (block_height: BlockHeight | undefined, height: BlockHeight): number => (block_height === undefined ? 0 : Math.max(0, height - block_height + 1));
