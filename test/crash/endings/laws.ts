/** What must hold when a channel has ended under power cuts: read from the logs, from the chain, and from what the world was told. */
import { ANCHOR_SAT } from '../../../src/bolt/03-transactions/fees.ts';
import type { Hex, Hex32 } from '../../../src/bolt/primitives.ts';
import { invoiceStream } from '../../../src/commands/create-invoice.ts';
import { balances, commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
import { evolveChannel } from '../../../src/domain/channel/evolve.ts';
import { initialChannel, isEstablished, type ChannelState, type EstablishedState } from '../../../src/domain/channel/state.ts';
import type { ChannelEvent } from '../../../src/events/channel/index.ts';
import type { EventEnvelope } from '../../../src/events/envelope.ts';
import { comparePeers } from '../../../src/projections/audit/peers.ts';
import type { AuditReport } from '../../../src/projections/audit.ts';
import { isChannelStream } from '../../../src/projections/streams.ts';
import { factOf } from '../../support/node-past.ts';
import { followers, gains, other, unspentOf, type BookedState, type Side } from '../../support/onchain/books.ts';
import { placed } from '../../support/onchain/local-world.ts';
import type { PlacedTransaction } from '../../support/onchain/world.ts';
import { halvesEndAlike } from '../laws.ts';
import { auditedLog } from '../logs.ts';
import type { Losses } from '../losses.ts';
import { checkWords, heardIn } from '../wire-laws.ts';
import { CAST, nameOf, SIDES, type Story, type Who } from './plan.ts';
import type { Payment, Told } from './story.ts';

interface Ended {
  readonly side: Who;
  readonly log: readonly EventEnvelope[];
  readonly report: AuditReport;
  readonly state: EstablishedState;
  /** Of the channel beside it that lives on. */
  readonly upstream: EstablishedState | undefined;
  readonly scripts: ReadonlySet<Hex>;
}

export interface Judgement {
  readonly events: number;
  readonly signatures: number;
  /** Transactions of ours and theirs that followed the one that ended the channel. */
  readonly followers: number;
  readonly replaced: number;
}

/** Judges a story that came to its end. What is wrong is a loss. */
export async function judge(story: Story, asTold: Told, losses: Losses): Promise<Judgement> {
  const everybody = await Promise.all((story.ending === 'relay' ? CAST : SIDES).map((side) => endOf(side, asTold)));
  const told = withRefusals(asTold, everybody);
  const lose: Losses['add'] = (kind, what) => losses.add(kind, `${nameOf(story)}: ${what}`);
  const peers = comparePeers();
  for (const { side, log, report } of everybody) {
    for (const { code, reason, stream = 'the log' } of report.failures) lose('audit', `${side}: ${stream}: ${code}: ${reason}`);
    if (report.msat_difference !== 0n) lose('money', `${report.msat_difference} msat of the channel of ${side}`);
    for (const envelope of log) peers.take(side, envelope);
    const known = new Set(log.map(factOf));
    for (const fact of told.stage.told(side)) if (!known.has(fact)) lose('acknowledged', `${side} had said ${fact}: its log does not know of it`);
    offersOnce(side, log, lose);
    halvesEndAlike({ name: side, log }, losses);
  }
  for (const { log, reason } of peers.failures()) lose('audit', `${log} and its peer: ${reason}`);
  const [ours, theirs, payer] = everybody as [Ended, Ended, Ended?];
  const ends = [ours, theirs];
  checkWire(ours, theirs, ours.state.funding.channel_id, told, losses);
  if (payer !== undefined) {
    checkWire(payer, ours, payer.state.funding.channel_id, told, losses);
    checkUpstream(ours, payer, lose);
  }
  told.payments.forEach((payment, i) => endsAlike(payment, told.results[i], everybody, lose));
  const found = checkChain(story, told, ends, lose);
  const sum = (numberOf: (report: AuditReport) => number) => everybody.reduce((total, { report }) => total + numberOf(report), 0);
  return { events: sum(({ events }) => events), signatures: sum(({ signatures_verified }) => signatures_verified), followers: found, replaced: ends.reduce((total, { log }) => total + replacements(log), 0) };
}

/** A payee that looks at an HTLC anew after a power cut, with too few blocks left, refuses it: then its payer has it back. */
function withRefusals(told: Told, everybody: readonly Ended[]): Told {
  const refused = new Set(everybody.flatMap(({ log }) => log.filter(({ event }) => event.type === 'InvoiceHtlcRefused').map(({ stream }) => stream)));
  const asItWas = (payment: Payment): Payment => (refused.has(invoiceStream(payment.payment_hash)) ? { ...payment, fate: 'timed_out', winner: payment.by } : payment);
  return { ...told, payments: told.payments.map(asItWas), booked: told.booked.map(asItWas) };
}

type Lose = Losses['add'];

async function endOf(side: Who, { stage, funding }: Told): Promise<Ended> {
  const { log, report } = await auditedLog({ folder: stage.folder(side), nodeId: stage.nodeId(side) });
  const scripts = new Set(log.flatMap(({ event }) => (event.type === 'AddressIssued' ? [event.script_pubkey] : [])));
  const channels = channelsOf(log);
  const ended = channels.find((state) => state.funding.txid === funding.txid);
  return { side, log, report, scripts, state: ended ?? channels[0]!, upstream: channels.find((state) => state !== ended) };
}

function channelsOf(log: readonly EventEnvelope[]): readonly EstablishedState[] {
  const states = new Map<string, ChannelState>();
  for (const { stream, event } of log) if (isChannelStream(stream)) states.set(stream, evolveChannel(states.get(stream) ?? initialChannel, event as ChannelEvent));
  return [...states.values()].filter(isEstablished);
}

const replacements = (log: readonly EventEnvelope[]): number => log.filter(({ event }) => event.type === 'ClaimStarted' && event.replaces !== undefined).length;

/** Safety 23: one HTLC at most for an attempt of a payment. */
function offersOnce(side: Who, log: readonly EventEnvelope[], lose: Lose): void {
  const seen = new Set<string>();
  for (const { stream, event } of log) {
    if (event.type !== 'UpdateAddHtlcSent') continue;
    const origin = JSON.stringify(event.origin);
    if (seen.has(origin)) lose('relayed', `${side} offered ${origin} again on ${stream}`);
    seen.add(origin);
  }
}

function checkWire(one: Ended, another: Ended, channel_id: Hex32, { stage }: Told, losses: Losses): void {
  const [here, there] = [heardIn(one.log), heardIn(another.log)];
  const wordsOf = ({ side }: Ended) => stage.wire(side).filter((word) => word.channel_id === channel_id);
  checkWords(one.side, wordsOf(one), here, there, losses);
  checkWords(another.side, wordsOf(another), there, here, losses);
}

/** The channel that was not closed lives, rests, and has paid for exactly what was paid through it. */
function checkUpstream({ upstream }: Ended, payer: Ended, lose: Lose): void {
  for (const [who, state] of [['ours', upstream], ['payer', payer.state]] as const) {
    if (state?.phase !== 'normal') lose('resumed', `the channel of the payer is ${state?.phase} at ${who}`);
    else if (state.commitments.htlcs.length > 0) lose('stuck', `${state.commitments.htlcs.length} HTLCs of the payer at ${who}`);
  }
  const paid = payer.log.reduce((sum, { event }) => (event.type === 'PaymentSucceeded' ? sum + event.amount_msat + event.fee_msat : sum), 0n);
  const earned = upstream === undefined ? 0n : balances(upstream).local_msat;
  if (earned !== paid) lose('money', `ours has ${earned} msat upstream, the payer paid ${paid}`);
}

/** The payer paid exactly when the payee settled, with one preimage; and as the story wanted it. */
function endsAlike({ by, from, fate, payment_hash, amount_msat }: Payment, result: Told['results'][number], ends: readonly Ended[], lose: Lose): void {
  const logOf = (side: Who) => ends.find((end) => end.side === side)!.log;
  const preimage = (log: readonly EventEnvelope[], type: 'PaymentSucceeded' | 'InvoiceSettled', of: (stream: string) => boolean) =>
    log.flatMap(({ stream, event }) => (event.type === type && of(stream) ? [event.payment_preimage] : []))[0];
  const what = `the payment of ${amount_msat} msat by ${by}`;
  if (result === undefined) return lose('stuck', `${what} has no end`);
  if (result.status !== (fate === 'fulfilled' ? 'succeeded' : 'failed')) lose('outcome', `${what} had to be ${fate}, it ${result.status}${'code' in result ? `: ${result.code}` : ''}`);
  if (result.status === 'refused') return;
  const said = result.status === 'succeeded' ? result.payment_preimage : undefined;
  const paid = preimage(logOf(from), 'PaymentSucceeded', (stream) => stream === `payment-${result.payment_id}`);
  const settled = preimage(logOf(other(by)), 'InvoiceSettled', (stream) => stream === invoiceStream(payment_hash));
  if (paid !== said || settled !== said) lose('outcome', `${what}: preimage told ${said}, paid ${paid}, settled ${settled}`);
}

// ---- the chain

/** Answers how many transactions followed the one that ended the channel. */
function checkChain(story: Story, told: Told, ends: readonly Ended[], lose: Lose): number {
  const transactions = placed(told.stage.chain);
  const [ours, theirs] = ends as readonly [Ended, Ended];
  const funding = ours.state.funding;
  const end = [...transactions.values()].find(({ inputs }) => inputs.some(({ txid, index }) => txid === funding.txid && index === funding.output_index));
  if (end === undefined) return lose('unresolved', 'nothing spends the funding output'), 0;
  for (const { side, state, report } of told.stage.gone.has('theirs') ? [ours] : ends) {
    const spend = 'spend' in state ? state.spend : undefined;
    if (spend?.txid !== end.txid) lose('unresolved', `${side} believes in ${spend?.txid}, the chain has ${end.txid}`);
    const [close] = report.closes;
    if (close?.resolved !== true) lose('unresolved', `${side}: its audit does not call the channel resolved`);
    if (close?.outputs_equal_state !== 'yes') lose('audit', `${side}: outputs equal the last state: ${close?.outputs_equal_state}`);
  }
  const mutual = story.ending.startsWith('closing_');
  if (!mutual) leavesNothing(end, transactions, lose);
  const owner: Side = !mutual && 'spend' in ours.state && ours.state.spend?.kind === 'local' ? 'ours' : 'theirs';
  const found = followers(end.txid, transactions, { ours: ours.scripts, theirs: theirs.scripts }, owner);
  const expected = mutual ? mutualGains(story, told, end, ours.scripts, found) : gains(bookedState(story, told, ours, owner), found);
  for (const { side, scripts } of ends) {
    if (side === 'payer') continue;
    if (story.ending === 'theft' && side === 'theirs') continue;
    const gained = unspentOf(scripts, transactions) - told.before[side];
    if (gained !== expected[side]) lose('wallet', `${side} should have gained ${expected[side]} sat, it gained ${gained} (${end.txid}, ${found.map(({ by, fee, anchors, txid }) => `${by} paid ${fee} for ${txid.slice(0, 8)}${anchors > 0 ? ` with ${anchors} anchors` : ''}`).join(', ')})`);
  }
  const waiting = told.stage.chain.mempool().length;
  if (waiting > 0) lose('unclaimed', `${waiting} transactions wait for a block`);
  return found.length;
}

function leavesNothing({ txid, outputs }: PlacedTransaction, transactions: ReadonlyMap<Hex32, PlacedTransaction>, lose: Lose): void {
  const spent = new Set([...transactions.values()].flatMap(({ inputs }) => inputs.map((input) => `${input.txid}:${input.index}`)));
  outputs.forEach(({ value }, index) => {
    if (value !== ANCHOR_SAT && !spent.has(`${txid}:${index}`)) lose('unclaimed', `output ${index} of ${txid}, ${value} sat`);
  });
}

function bookedState({ format, opener, ending }: Story, { booked, balances }: Told, { state }: Ended, owner: Side): BookedState {
  return { format, feerate_per_kw: commitmentSpec(state, 'local').feerate_per_kw, opener, owner, balances, htlcs: booked, ...(ending === 'theft' ? { spoils: 'ours' } : {}) };
}

/** Everybody has what it had, its payments made; one side has paid the fee: the opener, or whose closing_complete it was. */
function mutualGains({ ending, opener }: Story, { booked, balances }: Told, end: PlacedTransaction, scripts: ReadonlySet<Hex>, found: ReturnType<typeof followers>): Record<Side, bigint> {
  const owned = { ...balances };
  for (const { winner, amount_msat } of booked) owned[winner] += amount_msat;
  const expected: Record<Side, bigint> = { ours: owned.ours / 1_000n, theirs: owned.theirs / 1_000n };
  const total = end.outputs.reduce((sum, { value }) => sum + value, 0n);
  const paid = end.outputs.filter(({ script_pubkey }) => scripts.has(script_pubkey)).reduce((sum, { value }) => sum + value, 0n);
  const payer: Side = ending === 'closing_signed' ? opener : paid < expected.ours ? 'ours' : 'theirs';
  // What the two are short of together is the fee, and half a sat of each.
  expected[payer] -= expected.ours + expected.theirs - total;
  for (const { by, fee } of found) if (by !== 'nobody') expected[by] -= fee;
  return expected;
}
