/** BOLT 5: starts the claims that a channel plans at the tip, and gives the wallet back what claims no longer need. */
import type { BlockHeight, Hex, Hex32 } from '../../bolt/primitives.ts';
import type { ChannelState } from '../../domain/channel/state.ts';
import type { Feerates } from '../../domain/feerates.ts';
import { claimStatus } from '../../domain/onchain/claims.ts';
import { isBuried } from '../../domain/onchain/output-lifecycle.ts';
import { plannedClaims, type PlanningFacts } from '../../domain/onchain/planning.ts';
import type { Claim, PlannedClaim } from '../../domain/onchain/types.ts';
import type { Chain } from '../../domain/ports.ts';
import type { ChannelLoop } from '../channel-loop.ts';
import type { Channels } from '../channels.ts';
import type { Wallet } from '../wallet.ts';
import { channelOfPurpose, claimPurpose, fundClaims, provideCoins } from './fund-claims.ts';

export interface ClaimDeskOptions {
  readonly channels: Pick<Channels, 'get'>;
  readonly wallet: Pick<Wallet, 'contribute' | 'contributions' | 'freeCoins' | 'provideCoins' | 'release' | 'scriptFor'>;
  readonly chain: Pick<Chain, 'broadcast'>;
  readonly feerates: () => Feerates;
  /** The peer's commitment that waits for a block, if there is one. */
  readonly waitingCommitment: (loop: ChannelLoop) => Promise<Hex32 | undefined>;
  readonly log: (line: string) => void;
}

export interface ClaimDesk {
  /** Starts or raises what is due of a channel with `height` as the tip; one plan of a channel at a time. Rejects when the store fails. */
  plan(loop: ChannelLoop, height: BlockHeight): Promise<void>;
  /** Gives back the coins of claims that can no longer come to anything. */
  giveBack(height: BlockHeight): Promise<void>;
}

export function createClaimDesk({ channels, wallet, chain, feerates, waitingCommitment, log }: ClaimDeskOptions): ClaimDesk {
  const broadcast = async (transaction: Hex): Promise<void> => {
    const result = await chain.broadcast(transaction);
    if (!result.ok) log(`coins for claims: the transaction was refused: ${result.code} (${result.reason}); it is tried again with each block`);
  };
  const underWay = new WeakMap<ChannelLoop, Promise<void>>();

  async function planNow(loop: ChannelLoop, height: BlockHeight): Promise<void> {
    if (loop.state.phase !== 'resolving') return;
    const waiting_commitment = loop.state.spend === undefined ? await waitingCommitment(loop).catch(() => undefined) : undefined;
    const facts: PlanningFacts = { height, feerates: feerates(), waiting_commitment };
    const planned = await affordable(loop, plannedClaims(loop.state, facts), facts);
    if (planned.length === 0) return;
    const claims = await fundClaims(planned, { stream: loop.stream, wallet, log });
    // What the chain or the peer did meanwhile is judged again: a claim that no longer fits is left out.
    if (claims.length > 0) await loop.run({ type: 'ReceiveBlock', height, claims });
  }

  /**
   * Where coins are short, those of claims that somebody outran are taken first, though a reorganisation may bring these
   * back; then one coin is made into many; and if that is not enough, outputs share.
   */
  async function affordable(loop: ChannelLoop, wished: readonly PlannedClaim[], facts: PlanningFacts): Promise<readonly PlannedClaim[]> {
    const wanting = wished.filter(({ needs, replaces }) => needs === 'wallet' && replaces === undefined);
    if (wanting.length === 0 || wanting.length <= (await wallet.freeCoins())) return wished;
    await giveBackLost(loop);
    const split = await provideCoins(wanting, wallet);
    if (split !== undefined) await broadcast(split);
    return plannedClaims(loop.state, { ...facts, coins: await wallet.freeCoins() });
  }

  async function giveBackLost({ state, stream }: ChannelLoop): Promise<void> {
    if (!needsCoins(state)) return;
    const waiting = new Set((await wallet.contributions()).map(({ purpose }) => purpose));
    const claims = state.onchain?.claims ?? [];
    const kept = new Set(claims.filter((claim) => claimStatus(state, claim) !== 'lost').map((claim) => claimPurpose(stream, claim)));
    for (const purpose of new Set(claims.map((claim) => claimPurpose(stream, claim)))) {
      if (waiting.has(purpose) && !kept.has(purpose)) await wallet.release(purpose, 'somebody outran the claim that it was for, and others need coins');
    }
  }

  return {
    plan(loop, height) {
      const before = underWay.get(loop) ?? Promise.resolve();
      const planned = before.then(() => planNow(loop, height));
      underWay.set(loop, planned.catch(() => undefined));
      return planned;
    },

    async giveBack(height) {
      const waiting = new Set((await wallet.contributions()).map(({ purpose }) => purpose));
      for (const purpose of waiting) {
        const stream = channelOfPurpose(purpose);
        if (stream === undefined || isNeeded(channels.get(stream)?.state, purpose, stream, height)) continue;
        await wallet.release(purpose, 'the claim that it was for can no longer confirm');
      }
    },
  };
}

const needsCoins = (state: ChannelState | undefined): state is Extract<ChannelState, { phase: 'resolving' }> => state?.phase === 'resolving';

function isNeeded(state: ChannelState | undefined, purpose: string, stream: string, height: BlockHeight): boolean {
  if (!needsCoins(state)) return false;
  return (state.onchain?.claims ?? []).some((claim) => claimPurpose(stream, claim) === purpose && mayStillConfirm(state, claim, height));
}

/** A claim that somebody outran keeps its coins until no reorganisation will bring it back. */
function mayStillConfirm(state: Extract<ChannelState, { phase: 'resolving' }>, claim: Claim, height: BlockHeight): boolean {
  const status = claimStatus(state, claim);
  if (status === 'live' || status === 'replaced' || status === 'waiting') return true;
  return state.spend === undefined || !isBuried(newestSpend(state, claim) ?? state.spend.block_height, height);
}

/** Of the inputs that blocks have spent, the last one's height. */
function newestSpend({ onchain }: Extract<ChannelState, { phase: 'resolving' }>, { inputs }: Claim): BlockHeight | undefined {
  const heights = inputs.flatMap(({ txid, output_index }) => onchain?.outputs.find((output) => output.txid === txid && output.output_index === output_index)?.spent?.block_height ?? []);
  return heights.length === 0 ? undefined : Math.max(...heights);
}
