/** What must hold when a channel has ended under power cuts: read from the logs, from the chain, and from what the world was told. */
import { ANCHOR_SAT } from '../../../src/bolt/03-transactions/fees.ts';
import type { Hex, Hex32 } from '../../../src/bolt/primitives.ts';
import { invoiceStream } from '../../../src/commands/create-invoice.ts';
import { commitmentSpec } from '../../../src/domain/channel/commitment-spec.ts';
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
import { auditedLog } from '../logs.ts';
import type { Losses } from '../losses.ts';
import { checkWords, heardIn } from '../wire-laws.ts';
import { nameOf, SIDES, type Story } from './plan.ts';
import type { Payment, Told } from './story.ts';

interface Ended {
  readonly side: Side;
  readonly log: readonly EventEnvelope[];
  readonly report: AuditReport;
  readonly state: EstablishedState;
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
export async function judge(story: Story, told: Told, losses: Losses): Promise<Judgement> {
  const ends = await Promise.all(SIDES.map((side) => endOf(side, told)));
  const lose: Losses['add'] = (kind, what) => losses.add(kind, `${nameOf(story)}: ${what}`);
  const peers = comparePeers();
  for (const { side, log, report } of ends) {
    for (const { code, reason, stream = 'the log' } of report.failures) lose('audit', `${side}: ${stream}: ${code}: ${reason}`);
    if (report.msat_difference !== 0n) lose('money', `${report.msat_difference} msat of the channel of ${side}`);
    for (const envelope of log) peers.take(side, envelope);
    const known = new Set(log.map(factOf));
    for (const fact of told.stage.told(side)) if (!known.has(fact)) lose('acknowledged', `${side} had said ${fact}: its log does not know of it`);
    offersOnce(side, log, lose);
  }
  for (const { log, reason } of peers.failures()) lose('audit', `${log} and its peer: ${reason}`);
  checkWire(ends, told, losses);
  told.payments.forEach((payment, i) => endsAlike(payment, told.results[i], ends, lose));
  const found = checkChain(story, told, ends, lose);
  const sum = (numberOf: (report: AuditReport) => number) => ends.reduce((total, { report }) => total + numberOf(report), 0);
  return { events: sum(({ events }) => events), signatures: sum(({ signatures_verified }) => signatures_verified), followers: found, replaced: ends.reduce((total, { log }) => total + replacements(log), 0) };
}

type Lose = Losses['add'];

async function endOf(side: Side, { stage }: Told): Promise<Ended> {
  const { log, report } = await auditedLog({ folder: stage.folder(side), nodeId: stage.nodeId(side) });
  const scripts = new Set(log.flatMap(({ event }) => (event.type === 'AddressIssued' ? [event.script_pubkey] : [])));
  return { side, log, report, scripts, state: channelOf(log) };
}

function channelOf(log: readonly EventEnvelope[]): EstablishedState {
  const states = new Map<string, ChannelState>();
  for (const { stream, event } of log) if (isChannelStream(stream)) states.set(stream, evolveChannel(states.get(stream) ?? initialChannel, event as ChannelEvent));
  return [...states.values()].find(isEstablished)!;
}

const replacements = (log: readonly EventEnvelope[]): number => log.filter(({ event }) => event.type === 'ClaimStarted' && event.replaces !== undefined).length;

/** Safety 23: one HTLC at most for an attempt of a payment. */
function offersOnce(side: Side, log: readonly EventEnvelope[], lose: Lose): void {
  const seen = new Set<string>();
  for (const { stream, event } of log) {
    if (event.type !== 'UpdateAddHtlcSent') continue;
    const origin = JSON.stringify(event.origin);
    if (seen.has(origin)) lose('relayed', `${side} offered ${origin} again on ${stream}`);
    seen.add(origin);
  }
}

function checkWire([ours, theirs]: readonly Ended[], { stage }: Told, losses: Losses): void {
  const [here, there] = [heardIn(ours!.log), heardIn(theirs!.log)];
  checkWords('ours', stage.wire('ours'), here, there, losses);
  checkWords('theirs', stage.wire('theirs'), there, here, losses);
}

/** The payer paid exactly when the payee settled, with one preimage; and as the story wanted it. */
function endsAlike({ by, fate, payment_hash, amount_msat }: Payment, result: Told['results'][number], ends: readonly Ended[], lose: Lose): void {
  const logOf = (side: Side) => ends.find((end) => end.side === side)!.log;
  const preimage = (log: readonly EventEnvelope[], type: 'PaymentSucceeded' | 'InvoiceSettled', of: (stream: string) => boolean) =>
    log.flatMap(({ stream, event }) => (event.type === type && of(stream) ? [event.payment_preimage] : []))[0];
  const what = `the payment of ${amount_msat} msat by ${by}`;
  if (result === undefined) return lose('stuck', `${what} has no end`);
  if (result.status !== (fate === 'fulfilled' ? 'succeeded' : 'failed')) lose('outcome', `${what} had to be ${fate}, it ${result.status}${'code' in result ? `: ${result.code}` : ''}`);
  if (result.status === 'refused') return;
  const said = result.status === 'succeeded' ? result.payment_preimage : undefined;
  const paid = preimage(logOf(by), 'PaymentSucceeded', (stream) => stream === `payment-${result.payment_id}`);
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
