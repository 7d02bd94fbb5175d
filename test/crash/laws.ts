/** What must hold when the line has come to rest, read from the logs alone and held against what the world was told. */
import { balances } from '../../src/domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../src/domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../../src/domain/channel/state.ts';
import { satToMsat, type Hex32 } from '../../src/bolt/primitives.ts';
import { invoiceStream } from '../../src/commands/create-invoice.ts';
import { paymentStream } from '../../src/commands/payment-facts.ts';
import type { ChannelEvent } from '../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../src/events/envelope.ts';
import type { StreamId } from '../../src/events/store.ts';
import { comparePeers } from '../../src/projections/audit/peers.ts';
import { isChannelStream } from '../../src/projections/streams.ts';
import type { WireWord } from '../support/wire-record.ts';
import { factOf } from '../support/node-past.ts';
import { auditedLog } from './logs.ts';
import type { Losses } from './losses.ts';
import { NAMES, type Name } from './plan.ts';
import type { Paid } from './traffic.ts';
import { checkWords, heardIn } from './wire-laws.ts';
import type { World } from './world.ts';

/** One node at rest. */
interface Resting {
  readonly name: Name;
  readonly log: readonly EventEnvelope[];
  readonly wire: readonly WireWord[];
  readonly channels: readonly EstablishedState[];
  readonly preimages: ReadonlyMap<StreamId, Hex32>;
}

export interface AtRest {
  readonly events: number;
  readonly signatures: number;
}

/** Audits every log, compares neighbours, and follows each payment from its payer to its payee. Answers how much that was. */
export async function checkAtRest(world: World, paid: readonly Paid[], funds: ReadonlyMap<Name, bigint>, losses: Losses, esdb?: string): Promise<AtRest> {
  const nodes: Resting[] = [];
  const peers = comparePeers();
  const sum = { events: 0, signatures: 0 };
  for (const name of NAMES) {
    const { log, report } = await auditedLog({ folder: world.folder(name), nodeId: world.nodeId(name), esdb });
    for (const { code, reason, stream = 'the log' } of report.failures) losses.add('audit', `${name}: ${stream}: ${code}: ${reason}`);
    if (report.msat_difference !== 0n) losses.add('money', `${report.msat_difference} msat of ${name}'s channels`);
    for (const envelope of log) peers.take(name, envelope);
    sum.events += report.events;
    sum.signatures += report.signatures_verified;
    nodes.push({ name, log, wire: world.wire(name), channels: channelsOf(log), preimages: preimagesOf(log) });
  }
  for (const { log, reason } of peers.failures()) losses.add('audit', `${log} and its peer: ${reason}`);
  for (const node of nodes) {
    knowsWhatItTold(node, world, losses);
    offersOnce(node, losses);
    halvesEndAlike(node, losses);
    fundsFollowStories(node, funds.get(node.name)!, losses);
  }
  for (const [index, left] of nodes.slice(0, -1).entries()) checkLink(left, nodes[index + 1]!, losses);
  for (const payment of paid) endsAlike(payment, nodes, losses);
  const closing = world.chain.mempool().length;
  if (closing > 0) losses.add('resumed', `${closing} transactions wait for a block: a channel was closed`);
  return sum;
}

function channelsOf(log: readonly EventEnvelope[]): readonly EstablishedState[] {
  const states = new Map<string, ChannelState>();
  for (const { stream, event } of log) {
    if (isChannelStream(stream)) states.set(stream, evolveChannel(states.get(stream) ?? initialChannel, event as ChannelEvent));
  }
  return [...states.values()].filter(isEstablished);
}

function knowsWhatItTold({ name, log }: Resting, world: World, losses: Losses): void {
  const known = new Set(log.map(factOf));
  for (const fact of world.told(name)) if (!known.has(fact)) losses.add('acknowledged', `${name} had said ${fact}: its log does not know of it`);
}

/** Safety 23: one HTLC at most for a relay, and for an attempt of a payment. */
function offersOnce({ name, log }: Resting, losses: Losses): void {
  const seen = new Set<string>();
  for (const { stream, event } of log) {
    if (event.type !== 'UpdateAddHtlcSent') continue;
    const origin = JSON.stringify(event.origin);
    if (seen.has(origin)) losses.add('relayed', `${name} offered ${origin} again on ${stream}`);
    seen.add(origin);
  }
}

/** Every relay ends, and its two halves alike. */
export function halvesEndAlike({ name, log }: { readonly name: string; readonly log: readonly EventEnvelope[] }, losses: Losses): void {
  const paidOut = new Set<string>();
  const incoming = new Map<string, string>();
  for (const { stream, event } of log) {
    if (event.type === 'OutgoingHtlcFulfilled' && event.origin.kind === 'relay') paidOut.add(event.origin.relay);
    if (event.type === 'UpdateFulfillHtlcSent') incoming.set(`${stream}#${event.id}`, 'claimed');
    if (event.type === 'UpdateFailHtlcSent') incoming.set(`${stream}#${event.id}`, 'refunded');
  }
  for (const { stream, event } of log) {
    if (event.type !== 'RelayStarted') continue;
    const [out, back] = [paidOut.has(stream) ? 'claimed' : 'refunded', incoming.get(`${event.incoming.channel}#${event.incoming.htlc_id}`) ?? 'neither'];
    if (out !== back) losses.add('halves', `${name}: ${stream} had to be ${out}, it was ${back}`);
  }
}

/** What a node has more or less is what its stories say: invoices settled, payments made, and the fees of forwards. */
function fundsFollowStories({ name, log, channels }: Resting, before: bigint, losses: Losses): void {
  const relayed = new Set(log.filter(({ event }) => event.type === 'RelayFulfilled').map(({ stream }) => stream));
  const told = log.reduce((sum, { stream, event }) => sum + gainOf(event, relayed.has(stream)), 0n);
  const won = channels.reduce((sum, state) => sum + balances(state).local_msat, 0n) - before;
  if (won !== told) losses.add('money', `${name} should have won ${told} msat, it won ${won}`);
}

function gainOf(event: EventEnvelope['event'], relayed: boolean): bigint {
  switch (event.type) {
    case 'InvoiceSettled':
      return event.received_msat;
    case 'PaymentSucceeded':
      return -event.amount_msat - event.fee_msat;
    case 'RelayStarted':
      return relayed ? event.fee_msat : 0n;
    default:
      return 0n;
  }
}

/** Both ends of a channel hold the same, with nothing under way, and kept to BOLT 2 on the wire. */
function checkLink(left: Resting, right: Resting, losses: Losses): void {
  const what = `${left.name} - ${right.name}`;
  const ours = left.channels.find(({ funding }) => right.channels.some((other) => other.funding.channel_id === funding.channel_id))!;
  const { channel_id } = ours.funding;
  const theirs = right.channels.find(({ funding }) => funding.channel_id === channel_id)!;
  const [here, there, whole] = [balances(ours).local_msat, balances(theirs).local_msat, satToMsat(ours.terms.funding_satoshis)];
  if (here + there !== whole) losses.add('money', `${what}: ${here} + ${there} msat, the channel has ${whole}`);
  for (const state of [ours, theirs]) {
    if (state.phase !== 'normal') losses.add('resumed', `${what} is ${state.phase}`);
    if (state.commitments.htlcs.length > 0) losses.add('stuck', `${state.commitments.htlcs.length} HTLCs of ${what}`);
  }
  const wordsOf = ({ wire }: Resting) => wire.filter((word) => word.channel_id === channel_id);
  const [leftHeard, rightHeard] = [heardIn(left.log), heardIn(right.log)];
  checkWords(left.name, wordsOf(left), leftHeard, rightHeard, losses);
  checkWords(right.name, wordsOf(right), rightHeard, leftHeard, losses);
}

/** The payer paid exactly when the payee settled, with one preimage; and both as the payer said. */
function endsAlike({ from, to, result }: Paid, nodes: readonly Resting[], losses: Losses): void {
  const said = result.status === 'succeeded' ? result.payment_preimage : undefined;
  const paid = nodes[NAMES.indexOf(from)]!.preimages.get(paymentStream(result.payment_id));
  const settled = nodes[NAMES.indexOf(to)]!.preimages.get(invoiceStream(result.payment_hash));
  if (paid !== settled || paid !== said) losses.add('outcome', `payment ${result.payment_id} from ${from} to ${to}: preimage told ${said}, paid ${paid}, settled ${settled}`);
}

/** Of payments made and of invoices settled, by their streams. */
function preimagesOf(log: readonly EventEnvelope[]): ReadonlyMap<StreamId, Hex32> {
  return new Map(log.flatMap(({ stream, event }) => (event.type === 'PaymentSucceeded' || event.type === 'InvoiceSettled' ? [[stream, event.payment_preimage] as const] : [])));
}
