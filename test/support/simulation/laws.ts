/** What must hold once a simulated run has come to rest, whatever went wrong in it. */
import { expect } from 'vitest';
import { paymentDecider } from '../../../src/domain/payment/decide.ts';
import type { PaymentState } from '../../../src/domain/payment/state.ts';
import { invoiceDecider } from '../../../src/domain/invoice/decide.ts';
import type { InvoiceState } from '../../../src/domain/invoice/state.ts';
import { balances } from '../../../src/domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../../../src/domain/channel/state.ts';
import { satToMsat } from '../../../src/bolt/primitives.ts';
import { invoiceStream } from '../../../src/commands/create-invoice.ts';
import { paymentId, paymentStream } from '../../../src/commands/payment-facts.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import type { InvoiceEvent } from '../../../src/events/invoice.ts';
import type { PaymentEvent } from '../../../src/events/payment.ts';
import type { Event } from '../../../src/events/registry.ts';
import { auditLog, type LogLine } from '../../../src/projections/audit.ts';
import { comparePeers } from '../../../src/projections/audit/peers.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import type { Machine } from './machine.ts';
import { channelFunds, type SimulatedNetwork } from './network.ts';
import type { AskedPayment } from './payments.ts';

export type Log = readonly EventEnvelope[];
export type Logs = ReadonlyMap<string, Log>;

/** msat in channels by machine. */
export type Funds = ReadonlyMap<string, bigint>;

export const fundsOf = ({ machines }: SimulatedNetwork): Funds => new Map(machines.map((machine) => [machine.name, channelFunds(machine)]));

export interface Outcome {
  readonly succeeded: number;
  readonly failed: number;
}

/** Throws with both values. `before`: the funds when the run began. `suspects`: whose signatures are verified again; everyone's unless told. */
export async function assertLaws(network: SimulatedNetwork, asked: readonly AskedPayment[], before: Funds, suspects?: readonly string[]): Promise<Outcome> {
  const logs = await auditedLogs(network.machines, suspects);
  for (const machine of network.machines) channelsAreClean(machine);
  return assertStories(network, asked, before, logs);
}

/** The laws that hold wherever channels stand, closed ones too. */
export function assertStories(network: SimulatedNetwork, asked: readonly AskedPayment[], before: Funds, logs: Logs): Outcome {
  for (const machine of network.machines) {
    sagasAreDone(machine);
    replayIsLive(machine, logs.get(machine.name)!);
    nothingIsOfferedTwice(machine.name, logs.get(machine.name)!);
    halvesEndAlike(machine.name, logs.get(machine.name)!);
    fundsFollowTheStories(machine, logs.get(machine.name)!, before.get(machine.name)!);
  }
  endsAgree(network.machines);
  expect(network.refusals, 'what honest machines said and was refused').toEqual([]);
  const ended = asked.map((payment) => paidExactlyWhenClaimed(payment, logs));
  return { succeeded: ended.filter((success) => success).length, failed: ended.filter((success) => !success).length };
}

/** Each log as the disk has it, audited, and both ends of each channel held against one another. */
export async function auditedLogs(machines: readonly Machine[], suspects: readonly string[] = machines.map(({ name }) => name)): Promise<Logs> {
  const logs = new Map<string, Log>();
  const peers = comparePeers();
  for (const machine of machines) {
    const store = await machine.openLog();
    const log: EventEnvelope[] = [];
    const onEvent = (envelope: EventEnvelope) => void (log.push(envelope), peers.take(machine.name, envelope));
    const cryptography = suspects.includes(machine.name);
    const report = await auditLog({ lines: linesOf(store), checkpoints: await store.checkpoints(), cryptography, onEvent });
    expect(report.failures, `the audit of ${machine.name}'s log`).toEqual([]);
    expect(report.msat_difference, `msat missing at ${machine.name}`).toBe(0n);
    logs.set(machine.name, log);
  }
  expect(peers.failures(), 'logs of both ends').toEqual([]);
  return logs;
}

async function* linesOf(store: LogStore): AsyncGenerator<LogLine> {
  for await (const entry of store.entries()) yield { kind: 'entry', ...entry };
}

function sagasAreDone({ name, node }: Machine): void {
  expect(node.sagas.counters(), `sagas of ${name}`).toMatchObject({ outstanding: 0, parked: 0 });
}

/** No channel closes for a crash; nothing hangs; the money is whole. */
function channelsAreClean({ name, node }: Machine): void {
  for (const { stream, state, usable } of node.channels()) {
    const where = `${stream} of ${name}`;
    expect({ phase: state.phase, usable }, `where it stands: ${where}`).toEqual({ phase: 'normal', usable: true });
    const { commitments, terms } = state as EstablishedState;
    expect(commitments.htlcs, `HTLCs left on ${where}`).toEqual([]);
    expect(commitments.remote.awaiting_revocation, `${where} waits for a revocation`).toBe(false);
    const { local_msat, remote_msat } = balances(state as EstablishedState);
    expect(local_msat + remote_msat, `msat in ${where}`).toBe(satToMsat(terms.funding_satoshis));
  }
}

function replayIsLive({ name, node }: Machine, log: Log): void {
  for (const { stream, state } of node.channels()) {
    const replayed = eventsOf<ChannelEvent>(log, stream).reduce<ChannelState>(evolveChannel, initialChannel);
    expect(replayed, `${stream} of ${name}, replayed`).toEqual(state);
  }
}

const eventsOf = <E extends Event>(log: Log, stream: string): readonly E[] => log.filter((envelope) => envelope.stream === stream).map(({ event }) => event as E);

/** Safety 23: at most one outgoing HTLC for a relay, and for an attempt of a payment. */
function nothingIsOfferedTwice(name: string, log: Log): void {
  const offered = log.flatMap(({ event }) => (event.type === 'UpdateAddHtlcSent' ? [JSON.stringify(event.origin)] : []));
  const twice = offered.filter((origin, index) => offered.indexOf(origin) !== index);
  expect(twice, `offered twice by ${name}`).toEqual([]);
}

/** Every relay ends, and its two halves alike. */
function halvesEndAlike(name: string, log: Log): void {
  for (const { stream, event } of log) {
    if (event.type !== 'RelayStarted') continue;
    const { channel, htlc_id } = event.incoming;
    const outgoing = log.filter(({ event: other }) => other.type === 'OutgoingHtlcFulfilled' && other.origin.kind === 'relay' && other.origin.relay === stream);
    const incoming = log.filter((other) => other.stream === channel && other.event.type === 'UpdateFulfillHtlcSent' && other.event.id === htlc_id);
    const refunds = log.filter((other) => other.stream === channel && other.event.type === 'UpdateFailHtlcSent' && other.event.id === htlc_id);
    const halves = { paid_out: outgoing.length, claimed: incoming.length, refunded: refunds.length };
    const paid = outgoing.length > 0;
    expect(halves, `halves of ${stream} of ${name}`).toEqual(paid ? { paid_out: 1, claimed: 1, refunded: 0 } : { paid_out: 0, claimed: 0, refunded: 1 });
  }
}

/** What a machine has more or less is what its stories say: invoices settled, payments made, and the fees of forwards, which are never a loss. */
function fundsFollowTheStories(machine: Machine, log: Log, before: bigint): void {
  const sum = (amountOf: (envelope: EventEnvelope) => bigint) => log.reduce((total, envelope) => total + amountOf(envelope), 0n);
  const received = sum(({ event }) => (event.type === 'InvoiceSettled' ? event.received_msat : 0n));
  const paid = sum(({ event }) => (event.type === 'PaymentSucceeded' ? event.amount_msat + event.fee_msat : 0n));
  const fulfilled = new Set(log.filter(({ event }) => event.type === 'RelayFulfilled').map(({ stream }) => stream));
  const fees = sum(({ event, stream }) => (event.type === 'RelayStarted' && fulfilled.has(stream) ? event.fee_msat : 0n));
  expect(fees >= 0n, `fees earned by ${machine.name}: ${fees}`).toBe(true);
  expect(channelFunds(machine) - before, `msat won by ${machine.name}`).toBe(received - paid + fees);
}

function endsAgree(machines: readonly Machine[]): void {
  for (const [index, left] of machines.slice(0, -1).entries()) {
    const right = machines[index + 1]!;
    const [own, other] = [channelWith(left, right), channelWith(right, left)].map((state) => balances(state));
    expect({ local: own!.local_msat, remote: own!.remote_msat }, `${left.name} and ${right.name}`).toEqual({ local: other!.remote_msat, remote: other!.local_msat });
  }
}

const channelWith = (machine: Machine, peer: Machine): EstablishedState =>
  machine.node.channels().map(({ state }) => state).filter(isEstablished).find(({ terms }) => terms.peer_id === peer.node.node_id)!;

/** The payee claims exactly when the payer pays, with the same preimage; and what must fail fails. Answers whether it was paid. */
function paidExactlyWhenClaimed({ kind, from, to, payment_hash }: AskedPayment, logs: Logs): boolean {
  const payment = fold<PaymentState, PaymentEvent>(paymentDecider, logs.get(from)!, paymentStream(paymentId(payment_hash)));
  const invoice = fold<InvoiceState, InvoiceEvent>(invoiceDecider, logs.get(to)!, invoiceStream(payment_hash));
  const what = `${kind} payment from ${from} to ${to}`;
  expect(['succeeded', 'failed'], `the end of the ${what}`).toContain(payment.phase);
  const [paid, claimed] = [preimageOf(payment), preimageOf(invoice)];
  expect(paid, `preimage of the ${what}: the payer's, and the payee's`).toBe(claimed);
  if (kind !== 'sound') expect(paid, `the ${what} must fail`).toBeUndefined();
  return paid !== undefined;
}

const fold = <S, E extends Event>({ initial, evolve }: { readonly initial: S; evolve(state: S, event: E): S }, log: Log, stream: string): S =>
  eventsOf<E>(log, stream).reduce(evolve, initial);

const preimageOf = (state: PaymentState | InvoiceState): string | undefined => ('payment_preimage' in state ? state.payment_preimage : undefined);
