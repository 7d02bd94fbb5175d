/** BOLT 2, "Channel Close": a user's wish for a mutual close, and what a quiet channel asks for to get there. */
import type { FeatureName } from '../bolt/09-features/features.ts';
import type { Hex } from '../bolt/primitives.ts';
import type { ChannelCommand, CloseFeatures, CloseWish } from '../domain/channel/commands.ts';
import { scriptBreach, upfrontBreach } from '../domain/channel/shutdown-scripts.ts';
import { negotiationIsDue } from '../domain/channel/shutdown.ts';
import { proposalIsDue } from '../domain/channel/simple-close.ts';
import { isLive, type ChannelState } from '../domain/channel/state.ts';
import { refuse, type Refusal } from '../domain/decider.ts';

export type { CloseWish } from '../domain/channel/commands.ts';
export { closingPatience } from './closing-patience.ts';

/** What a close depends on, from what both peers offer on this connection. */
export const closeFeatures = (features: ReadonlySet<FeatureName> | undefined): CloseFeatures => ({
  anysegwit: features?.has('option_shutdown_anysegwit') ?? true,
  simple_close: features?.has('option_simple_close') ?? false,
});

/** BOLT 2, option_upfront_shutdown_script: whether our promise of a script can be made, and will be kept, on this connection. */
export function promiseBreach(script: Hex, features: ReadonlySet<FeatureName> | undefined): { readonly refused: Refusal } | undefined {
  if (features !== undefined && !features.has('option_upfront_shutdown_script')) return refuse('upfront_shutdown_script_unknown', { expected: 'a peer with option_upfront_shutdown_script', got: 'one without it' });
  return upfrontBreach(script, { ...closeFeatures(features), legacy: false });
}

/** sat per 1000 weight, and blocks. */
interface Moment {
  readonly feerate_per_kw: number;
  /** A user named it. */
  readonly chosen?: boolean;
  readonly height: number;
}

/** What a channel without HTLCs asks for by itself: our closing_complete, or the opener's first closing_signed. */
export function closingFollowUp(state: ChannelState, common: CloseFeatures, { feerate_per_kw, chosen, height }: Moment): ChannelCommand | undefined {
  if (!common.simple_close) return negotiationIsDue(state) ? { type: 'NegotiateClosing', feerate_per_kw } : undefined;
  return proposalIsDue(state) ? { type: 'ProposeClosing', feerate_per_kw, chosen, locktime: height, common } : undefined;
}

/** What becomes of a wish: it waits for the channel to be quiet, is a command at once, or cannot be. `common`: undefined while the peer is away. */
export function judgeWish(wish: CloseWish, state: ChannelState, common: CloseFeatures | undefined, moment: Moment): 'wait' | { readonly command: ChannelCommand } | { readonly refused: Refusal } {
  if (state.phase === 'closing') return judgeAnother(wish, common, moment);
  if (!isLive(state)) return refuse('channel_not_open', { phase: state.phase });
  return breachOf(wish.scriptpubkey, state, common) ?? 'wait';
}

function breachOf(script: Hex | undefined, state: Extract<ChannelState, { phase: 'normal' | 'shutdown' }>, common: CloseFeatures | undefined): { readonly refused: Refusal } | undefined {
  if (script === undefined) return undefined;
  const said = state.phase === 'shutdown' ? state.scripts.local : undefined;
  if (said !== undefined && said !== script) return refuse('shutdown_script_differs', { expected: said, got: script });
  return scriptBreach(script, state.terms.local.upfront_shutdown_script, { ...(common ?? { anysegwit: true, simple_close: true }), legacy: false });
}

/** The close is under way: with option_simple_close it can still be had dearer, or to another script. */
function judgeAnother(wish: CloseWish, common: CloseFeatures | undefined, { feerate_per_kw, height }: Moment): 'wait' | { readonly command: ChannelCommand } | { readonly refused: Refusal } {
  if (wish.feerate_per_kw === undefined && wish.scriptpubkey === undefined) return 'wait';
  if (common === undefined) return refuse('peer_not_connected', { expected: 'the peer, to sign another close', got: 'no connection' });
  return { command: { type: 'ProposeClosing', feerate_per_kw, locktime: height, common, wish } };
}
