/** BOLT 4, "Receiving Failure Codes": what a failure teaches, and whether another attempt can help. */
import { BADONION, NODE } from '../../bolt/04-onion-routing/failure-codes.ts';
import type { RouteHop } from '../../events/payment.ts';
import type { Excluded } from '../routing/dijkstra.ts';
import type { AttemptOutcome } from './commands.ts';
import type { Started } from './state.ts';

type FailedOutcome = Extract<AttemptOutcome, { kind: 'failed' }>;

export type Verdict = { readonly retry: true } | { readonly retry: false; readonly code: string; readonly reason: string };

/** Asked by `decide`, and by the gatherer so that a route is only looked for where one is wanted. `now`, `expires_at`: unix seconds. */
export function retryVerdict(payment: Started, hops: readonly RouteHop[], outcome: FailedOutcome, now: number, expires_at: number): Verdict {
  const { max_attempts } = payment.terms;
  const tried = payment.attempts.length - payment.firstAttempt;
  if (outcome.erring_hop === hops.length) return { retry: false, code: 'refused_by_payee', reason: outcome.reason };
  if (tried >= max_attempts) return { retry: false, code: 'too_many_attempts', reason: `${tried} attempts of at most ${max_attempts}; the last: ${outcome.reason}` };
  if (now > expires_at) return { retry: false, code: 'invoice_expired', reason: `the invoice expired at ${expires_at}, it is ${now}; the last: ${outcome.reason}` };
  return { retry: true };
}

/** What not to try again after this failure. `erring_hop` counts from 0, our own node. */
export function exclude(excluded: Excluded, hops: readonly RouteHop[], failure_code: number, erring_hop: number | undefined): Excluded {
  // Nobody could be told: any hop between us and the payee may have garbled it, so none of these channels is tried again.
  if (erring_hop === undefined) return withChannels(excluded, hops.length > 1 ? hops.slice(1) : hops);
  const node = hops[erring_hop - 1]?.node_id;
  if ((failure_code & NODE) !== 0 && node !== undefined) return { ...excluded, nodes: new Set([...excluded.nodes, node]) };
  // A BADONION is reported by the node before the one that could not read; every other failure is of the channel after the erring node.
  const next = hops[erring_hop];
  if ((failure_code & BADONION) !== 0 && next !== undefined && erring_hop + 1 < hops.length) {
    return { ...excluded, nodes: new Set([...excluded.nodes, next.node_id]) };
  }
  return withChannels(excluded, next === undefined ? [] : [next]);
}

function withChannels(excluded: Excluded, hops: readonly RouteHop[]): Excluded {
  return { ...excluded, channels: new Set([...excluded.channels, ...hops.map((hop) => hop.short_channel_id)]) };
}
