/** Events and payments in one line for people, in the words of the log. */
import type { PaymentResult } from '../commands/pay.ts';
import { describeRefusal } from '../domain/decider.ts';
import type { EventEnvelope } from '../events/envelope.ts';
import { grouped, inSat } from './paint.ts';
import type { Name } from './cast.ts';
import type { Wish } from './payments.ts';

/** One line: when, at whose node, and what. */
export interface Told {
  /** Local time, `hh:mm:ss`. */
  readonly time: string;
  readonly name: Name;
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'bad';
}

type NameOf = (node_id: string) => Name | undefined;

const timeOf = (recorded_at: string | number): string => new Date(recorded_at).toLocaleTimeString('en-GB');

/** Undefined for events that only repeat what another one says. */
export function describeEvent(name: Name, { stream, position, event, recorded_at }: EventEnvelope, nameOf: NameOf): Told | undefined {
  if (SILENT.has(event.type)) return undefined;
  const place = placeOf(stream, nameOf);
  const text = `#${position} ${place} ${event.type}${detailOf(event)}`;
  return { time: timeOf(recorded_at), name, text, tone: toneOf(event.type) };
}

/** What a wallet or the gossip notes for itself. */
const SILENT: ReadonlySet<string> = new Set(['BlockScanned', 'AddressIssued', 'NodeAnnounced']);

function toneOf(type: string): Told['tone'] {
  if (/Failed|Refused|Declined|Fail(Malformed)?Htlc/.test(type)) return 'bad';
  return /Succeeded|Settled|Fulfilled|FulfillHtlc/.test(type) ? 'good' : 'plain';
}

/** `channel-<node id>-0` -> `bob/0`; the ids of payments, invoices and relays are too long to say. */
function placeOf(stream: string, nameOf: NameOf): string {
  const [kind, ...rest] = stream.split('-');
  if (kind === 'channel') return `${nameOf(rest[0]!) ?? rest[0]!.slice(0, 8)}/${rest[1]}`;
  if (kind === 'relay') return `relay ${nameOf(rest[1]!) ?? '?'}/${rest[2]}`;
  return rest.length === 0 ? kind! : `${kind} ${rest[0]!.slice(0, 8)}`;
}

/** The figures of an event that the eye looks for. */
function detailOf(event: EventEnvelope['event']): string {
  const id = 'htlc_id' in event ? event.htlc_id : 'id' in event ? event.id : undefined;
  const parts = [
    id === undefined ? '' : ` htlc ${id}`,
    'commitment_number' in event && event.commitment_number !== undefined ? ` number ${event.commitment_number}` : '',
    'amount_msat' in event && event.amount_msat !== undefined ? ` ${grouped(event.amount_msat)} msat` : '',
    'failure_name' in event && event.failure_name !== undefined ? ` ${event.failure_name}` : '',
  ];
  return parts.join('');
}

export function describePayment(wish: Wish, result: PaymentResult, milliseconds: number, nameOf: NameOf): Told {
  const { from, to, amount_msat } = wish;
  const base = { time: timeOf(Date.now()), name: from };
  if (result.status === 'succeeded') {
    const fee = result.fee_msat === 0n ? 'no fee' : `fee ${grouped(result.fee_msat)} msat`;
    return { ...base, text: `paid ${to} ${inSat(amount_msat)} in ${Math.round(milliseconds)} ms, ${fee}`, tone: 'good' };
  }
  const by = result.status === 'failed' && result.erring_node !== undefined ? ` at ${nameOf(result.erring_node) ?? result.erring_node}` : '';
  const reason = result.status === 'failed' ? (result.failure_name ?? result.code) : describeRefusal(result.refusal);
  return { ...base, text: `could not pay ${to} ${inSat(amount_msat)}${by}: ${reason}`, tone: 'bad' };
}

export const describeBroken = ({ from, to, amount_msat }: Wish, error: Error): Told =>
  ({ time: timeOf(Date.now()), name: from, text: `paying ${to} ${inSat(amount_msat)} went wrong: ${error.message}`, tone: 'bad' });
