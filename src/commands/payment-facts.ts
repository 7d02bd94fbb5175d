/** Gathers what a payment's rules need: a route with its onion (BOLT 4, "Packet Structure"), and the meaning of a failure ("Returning Errors"). */
import { encodeFailure, failureCode, failureName, unwrapFailurePacket } from '../bolt/04-onion-routing/failure.ts';
import { ephemeralHops } from '../bolt/04-onion-routing/keys.ts';
import { encodePayload } from '../bolt/04-onion-routing/payload.ts';
import { buildOnion } from '../bolt/04-onion-routing/sphinx.ts';
import type { Invoice } from '../bolt/11-payment-encoding/invoice.ts';
import { crypto } from '../bolt/crypto.ts';
import { fromHex, type BlockHeight, type Hex, type Hex32 } from '../bolt/primitives.ts';
import type { AttemptOutcome, Plan } from '../domain/payment/commands.ts';
import { excludedAfter } from '../domain/payment/decide.ts';
import { retryVerdict } from '../domain/payment/retry.ts';
import type { Attempt, PaymentState, PaymentTerms } from '../domain/payment/state.ts';
import type { Signer } from '../domain/ports.ts';
import { findRoute, NOTHING_EXCLUDED, type Excluded, type FirstHop, type HintEdge } from '../domain/routing/dijkstra.ts';
import type { RoutingGraph } from '../domain/routing/graph.ts';
import type { RouteHop } from '../events/payment.ts';
import type { OfferedFailure } from '../events/channel/updates.ts';
import type { Attachment, EventStore, StreamId } from '../events/store.ts';
import type { PaymentCommand } from '../domain/payment/commands.ts';
import type { Gathered } from './execute.ts';
import type { AttemptEnd, PaymentIntent } from './intents.ts';

export interface PaymentWorld {
  readonly store: Pick<EventStore, 'attachment'>;
  readonly signer: Pick<Signer, 'nodeId' | 'sessionKey'>;
  readonly graph: () => RoutingGraph;
  readonly firstHops: () => readonly FirstHop[];
  readonly height: () => BlockHeight;
  /** Unix seconds. */
  readonly now: () => number;
  /** Throws InvoiceError. */
  readonly readInvoice: (bolt11: string) => Invoice;
}

/** Blocks that may be found while the payment travels, before the payee would find its expiry too near. */
const FINAL_CLTV_GRACE = 3;

const encoder = new TextEncoder();

/** One stream per payment_hash: who pays an invoice twice meets the first payment there. */
export function paymentId(payment_hash: Hex32): Hex32 {
  return crypto().sha256Hex(encoder.encode(`fulgurite/payment/${payment_hash}`)) as Hex32;
}

export const paymentStream = (payment_id: Hex32): StreamId => `payment-${payment_id}`;

/** `gather` of the payment family. */
export function gatherPayment(world: PaymentWorld): (intent: PaymentIntent, state: PaymentState) => Gathered<PaymentCommand> | Promise<Gathered<PaymentCommand>> {
  return (intent, state) => (intent.type === 'StartPayment' ? gatherStart(world, intent, state) : gatherResolve(world, intent, state));
}

type IntentOf<T extends PaymentIntent['type']> = Extract<PaymentIntent, { type: T }>;

function gatherStart(world: PaymentWorld, intent: IntentOf<'StartPayment'>, state: PaymentState): Gathered<PaymentCommand> {
  const { bolt11, amount_msat, fee_limit_msat, max_attempts } = intent;
  const invoice = world.readInvoice(bolt11);
  const { payment_hash, payee: destination, min_final_cltv_expiry_delta } = invoice;
  const terms: PaymentTerms = { payment_id: paymentId(payment_hash), payment_hash, destination, amount_msat, fee_limit_msat, min_final_cltv_expiry_delta, bolt11, max_attempts };
  const now = world.now();
  const expires_at = invoice.timestamp + invoice.expiry;
  const attempt = state.phase === 'none' ? 0 : state.attempts.length;
  const wanted = now <= expires_at && (state.phase === 'none' || state.phase === 'failed');
  const { plan, attachments } = wanted ? planAttempt(world, terms, invoice, attempt, NOTHING_EXCLUDED) : noPlan('none was looked for');
  return { command: { type: 'StartPayment', ...terms, now, expires_at, plan }, attachments };
}

interface Planned {
  readonly plan: Plan;
  readonly attachments?: readonly Attachment[];
}

const noPlan = (reason: string): Planned => ({ plan: { kind: 'none', reason } });

function planAttempt(world: PaymentWorld, terms: PaymentTerms, invoice: Invoice, attempt: number, excluded: Excluded): Planned {
  const { destination, amount_msat, fee_limit_msat, min_final_cltv_expiry_delta } = terms;
  const source = world.signer.nodeId;
  if (destination === source) return noPlan('the invoice is our own');
  const final_cltv_expiry = world.height() + min_final_cltv_expiry_delta + FINAL_CLTV_GRACE;
  const hints = hintEdges(invoice);
  const route = findRoute(world.graph(), { source, destination, amount_msat, final_cltv_expiry, fee_limit_msat, firstHops: world.firstHops(), hints, excluded });
  if (route === undefined) return noPlan(`no way to ${destination} for ${amount_msat} msat with at most ${fee_limit_msat} msat of fees`);
  const bytes = onionFor(world, terms, invoice, attempt, route.hops);
  const onion_hash = crypto().sha256Hex(fromHex(bytes)) as Hex32;
  return { plan: { kind: 'route', channel: route.channel, onion_hash, hops: route.hops }, attachments: [{ hash: onion_hash, bytes }] };
}

/** BOLT 11, `r`: each entry leads to the next one's node, the last to the payee. */
function hintEdges({ routing_hints, payee }: Invoice): readonly HintEdge[] {
  return routing_hints.flatMap((hint) => hint.map((hop, index) => ({ ...hop, target: hint[index + 1]?.node_id ?? payee })));
}

/** Each hop is told what to send on; the last what it is for. */
function onionFor({ signer }: PaymentWorld, terms: PaymentTerms, invoice: Invoice, attempt: number, hops: readonly RouteHop[]): Hex {
  const { payment_secret, payment_metadata } = invoice;
  const payloads = hops.map((hop, index) => {
    const next = hops[index + 1];
    if (next !== undefined) {
      return encodePayload({ kind: 'forward', short_channel_id: next.short_channel_id, amt_to_forward: next.amount_msat, outgoing_cltv_value: next.cltv_expiry });
    }
    const paid = { amt_to_forward: hop.amount_msat, outgoing_cltv_value: hop.cltv_expiry, total_msat: terms.amount_msat };
    return encodePayload({ kind: 'final', ...paid, payment_secret, ...(payment_metadata === undefined ? {} : { payment_metadata }) });
  });
  return buildOnion({
    session_key: signer.sessionKey(terms.payment_id, attempt),
    hops: hops.map(({ node_id }, index) => ({ node_id, payload: payloads[index]! })),
    associated_data: fromHex(terms.payment_hash),
  }).packet;
}

function gatherResolve(world: PaymentWorld, { attempt, end }: IntentOf<'ResolveAttempt'>, state: PaymentState): Gathered<PaymentCommand> | Promise<Gathered<PaymentCommand>> {
  if (end.kind === 'fulfilled') return { command: { type: 'ResolveAttempt', attempt, outcome: end, now: world.now(), expires_at: 0 } };
  return gatherFailure(world, attempt, end, state);
}

type FailedEnd = Exclude<AttemptEnd, { kind: 'fulfilled' }>;
type FailedOutcome = Extract<AttemptOutcome, { kind: 'failed' }>;

/** Reads the failure, and looks for another route where the rules would take one. */
async function gatherFailure(world: PaymentWorld, number: number, end: FailedEnd, state: PaymentState): Promise<Gathered<PaymentCommand>> {
  const now = world.now();
  const attempt = state.phase === 'none' ? undefined : state.attempts[number];
  const outcome = await readEnd(world, state, attempt, end);
  const command = { type: 'ResolveAttempt', attempt: number, outcome, now, expires_at: 0 } as const;
  if (state.phase !== 'in_flight' || attempt?.status !== 'in_flight') return { command };
  const invoice = world.readInvoice(state.terms.bolt11);
  const expires_at = invoice.timestamp + invoice.expiry;
  if (!retryVerdict(state, attempt.hops, outcome, now, expires_at).retry) return { command: { ...command, expires_at } };
  const { plan, attachments } = planAttempt(world, state.terms, invoice, state.attempts.length, excludedAfter(state, attempt, outcome));
  return { command: { ...command, expires_at, next: plan }, attachments };
}

async function readEnd(world: PaymentWorld, state: PaymentState, attempt: Attempt | undefined, end: FailedEnd): Promise<FailedOutcome> {
  if (end.kind === 'declined') return ofOurChannel(end.failure_code, `our channel declined: ${end.code} (${end.detail})`);
  if (state.phase === 'none' || attempt === undefined) return unreadable('no such attempt');
  return readFailure(world, state.terms, attempt, end.failure);
}

/** `erring_hop` 0: our own node is the one that knows. */
const ofOurChannel = (failure_code: number, reason: string, failure_data: Hex = ''): FailedOutcome => ({
  kind: 'failed',
  failure_code,
  failure_name: failureName(failure_code) ?? 'unknown',
  failure_data,
  erring_hop: 0,
  reason,
});

const unreadable = (reason: string): FailedOutcome => ({ kind: 'failed', failure_code: 0, failure_name: 'unreadable', failure_data: '', reason });

async function readFailure({ store, signer }: PaymentWorld, terms: PaymentTerms, { attempt, hops }: Attempt, failure: OfferedFailure): Promise<FailedOutcome> {
  switch (failure.kind) {
    case 'malformed':
      return ofOurChannel(failure.failure_code, 'the first node could not read the onion', failure.sha256_of_onion);
    case 'on_chain':
      return ofOurChannel(failureCode('permanent_channel_failure'), 'the HTLC timed out on chain');
    case 'reason': {
      const reason = await store.attachment(failure.reason_hash);
      if (reason === undefined) return unreadable(`the failure ${failure.reason_hash} is no longer kept`);
      return openReason(secretsOf(signer, terms, attempt, hops), hops, reason);
    }
  }
}

const secretsOf = (signer: PaymentWorld['signer'], terms: PaymentTerms, attempt: number, hops: readonly RouteHop[]): readonly Uint8Array[] =>
  ephemeralHops(signer.sessionKey(terms.payment_id, attempt), hops.map((hop) => hop.node_id)).map((hop) => hop.shared_secret);

function openReason(secrets: readonly Uint8Array[], hops: readonly RouteHop[], packet: Hex): FailedOutcome {
  const opened = unwrapFailurePacket(secrets, packet);
  if (opened === undefined) return unreadable('no node of the route can be shown to have said why');
  const { hop_index, failure } = opened;
  const erring_hop = hop_index + 1;
  return {
    kind: 'failed',
    failure_code: failure.code,
    failure_name: failure.name,
    failure_data: encodeFailure(failure).slice(4),
    erring_hop,
    reason: `${failure.name} from hop ${erring_hop} of ${hops.length} (${hops[hop_index]!.node_id})`,
  };
}
