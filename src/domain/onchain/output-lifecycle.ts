/** BOLT 5: what each output of a commitment is to us, from when and until when we may take it, and how far it has come. */
import type { BlockHeight, Hex32 } from '../../bolt/primitives.ts';
import type { ClaimKind } from '../../events/channel/onchain.ts';
import { SETTLED_DEPTH } from '../channel/depths.ts';
import type { ResolvingState } from '../channel/spending.ts';
import type { Htlc, Terms } from '../channel/state.ts';
import type { ChainOutput } from './types.ts';

/** An output as we see it: HTLCs by who offered them. */
export type Role = 'to_local' | 'to_remote' | 'anchor_owner' | 'anchor_other' | 'second_stage' | Htlc['direction'];

export interface Rule {
  readonly claim: ClaimKind;
  readonly from: 'at_once' | 'after_to_self_delay' | 'cltv_expiry' | 'preimage';
  /** Until when it has to be ours; absent where nobody else can take it. */
  readonly until?: 'cltv_expiry' | 'soon_after_cltv_expiry' | 'to_self_delay';
}

/** Blocks after its cltv_expiry by which an HTLC of ours should be back: the incoming one expires not long after. */
export const TIMEOUT_ROOM = 12;

/** What is missing here is not ours, or is left alone (an anchor is worth less than its place in a block). */
const rules: Readonly<Record<'ours' | 'theirs' | 'revoked' | 'future', Readonly<Partial<Record<Role, Rule>>>>> = {
  ours: {
    to_local:     { claim: 'sweep', from: 'after_to_self_delay' },
    offered:      { claim: 'htlc_timeout', from: 'cltv_expiry', until: 'soon_after_cltv_expiry' },
    received:     { claim: 'htlc_success', from: 'preimage', until: 'cltv_expiry' },
    second_stage: { claim: 'sweep', from: 'after_to_self_delay' },
  },
  theirs: {
    to_remote:    { claim: 'sweep', from: 'at_once' },
    offered:      { claim: 'htlc_claim', from: 'cltv_expiry', until: 'soon_after_cltv_expiry' },
    received:     { claim: 'htlc_claim', from: 'preimage', until: 'cltv_expiry' },
  },
  // All of it is ours. An HTLC that the peer moves on to its second stage waits there, and is punished there.
  revoked: {
    to_remote:    { claim: 'sweep', from: 'at_once' },
    to_local:     { claim: 'penalty', from: 'at_once', until: 'to_self_delay' },
    offered:      { claim: 'penalty', from: 'at_once', until: 'to_self_delay' },
    received:     { claim: 'penalty', from: 'at_once', until: 'to_self_delay' },
    second_stage: { claim: 'penalty', from: 'at_once', until: 'to_self_delay' },
  },
  future: {
    to_remote:    { claim: 'sweep', from: 'at_once' },
  },
};

const table = {
  local: rules.ours, remote: rules.theirs, remote_pending: rules.theirs, revoked: rules.revoked, future: rules.future, unknown: rules.future,
  mutual: {},
} as const satisfies Record<NonNullable<ResolvingState['spend']>['kind'], Readonly<Partial<Record<Role, Rule>>>>;

export const roleOf = ({ kind, htlc }: ChainOutput): Role => (kind === 'htlc' ? htlc!.direction : kind);

export function ruleFor({ spend }: Pick<ResolvingState, 'spend'>, output: ChainOutput): Rule | undefined {
  return spend === undefined ? undefined : (table[spend.kind] as Partial<Record<Role, Rule>>)[roleOf(output)];
}

/** A transaction that takes the output may stand in the block after `height`. */
export function isRipe(state: ResolvingState, output: ChainOutput, rule: Rule, height: BlockHeight): boolean {
  switch (rule.from) {
    case 'at_once':
      return height >= output.block_height;
    case 'after_to_self_delay':
      return height + 1 >= output.block_height + ownDelay(state.terms);
    case 'cltv_expiry':
      return height >= output.htlc!.cltv_expiry;
    case 'preimage':
      return preimageFor(state, output) !== undefined;
  }
}

/** The block by which a claim of the output should be confirmed. */
export function deadlineOf(state: ResolvingState, output: ChainOutput, rule: Rule): BlockHeight | undefined {
  switch (rule.until) {
    case 'cltv_expiry':
      return output.htlc!.cltv_expiry;
    case 'soon_after_cltv_expiry':
      return output.htlc!.cltv_expiry + TIMEOUT_ROOM;
    case 'to_self_delay':
      return output.block_height + peersDelay(state.terms);
    case undefined:
      return undefined;
  }
}

/** Blocks that we wait for our own main output: as the peer asked. */
export const ownDelay = ({ remote }: Terms): number => remote.to_self_delay;
export const peersDelay = ({ local }: Terms): number => local.to_self_delay;

/** The preimage of an HTLC that was offered to us, told by whoever may: an HTLC is (channel, direction, id), never its hash. */
export function preimageFor({ commitments }: Pick<ResolvingState, 'commitments'>, { htlc }: ChainOutput): Hex32 | undefined {
  const own = commitments.htlcs.find(({ direction, id }) => htlc !== undefined && direction === htlc.direction && id === htlc.htlc_id);
  return own === undefined ? undefined : preimageOf(own);
}

export const preimageOf = ({ known_preimage, removal }: Htlc): Hex32 | undefined =>
  known_preimage ?? (removal?.kind === 'fulfilled' ? removal.payment_preimage : undefined);

/** Confirmations that count as settled. */
export const isBuried = (block_height: BlockHeight, height: BlockHeight): boolean => height - block_height + 1 >= SETTLED_DEPTH;

/**
 * unclaimed -> claimed -> spent -> buried, and back from any by a reorganisation. `waiting`: not ripe yet, or for a preimage.
 * `expired`: offered to us, without a preimage, and for long the peer's to take back. `not_ours`: no rule.
 */
export type Phase = 'not_ours' | 'waiting' | 'expired' | 'unclaimed' | 'claimed' | 'spent' | 'buried';

export function phaseOf(state: ResolvingState, output: ChainOutput, height: BlockHeight, isClaimed: boolean): Phase {
  const rule = ruleFor(state, output);
  if (rule === undefined) return 'not_ours';
  if (output.spent !== undefined) return isBuried(output.spent.block_height, height) ? 'buried' : 'spent';
  if (isClaimed) return 'claimed';
  if (isRipe(state, output, rule, height)) return 'unclaimed';
  return rule.from === 'preimage' && isBuried(output.htlc!.cltv_expiry, height) ? 'expired' : 'waiting';
}
