/** A channel between two residents, brought to any state: open, with HTLCs in flight, signed but not revoked, long moved on. */
import type { CommitmentFormat } from '../../../src/bolt/03-transactions/commitment-tx.ts';
import { CHANNEL_TYPES } from '../../../src/bolt/09-features/features.ts';
import { msat, sat, type Hex32, type Msat } from '../../../src/bolt/primitives.ts';
import type { PaymentResult } from '../../../src/commands/pay.ts';
import { type ChannelState, type EstablishedState, isEstablished } from '../../../src/domain/channel/state.ts';
import type { StreamId } from '../../../src/events/store.ts';
import { until } from './patience.ts';
import { connect, type Link } from './link.ts';
import { MINIMUM_DEPTH, type Resident } from './resident.ts';
import type { World } from './world.ts';

export const FUNDING = sat(10_000_000);
export const PUSHED = msat(4_000_000_000);

/** How an HTLC is meant to end on chain. */
export type Fate = 'fulfilled' | 'timed_out';

export interface InFlight {
  readonly payer: Resident;
  readonly payee: Resident;
  readonly payment_hash: Hex32;
  readonly amount_msat: Msat;
  readonly fate: Fate;
  /** Resolves at the payment's end. */
  readonly ended: Promise<PaymentResult | undefined>;
}

export interface Channel {
  readonly opener: Resident;
  readonly accepter: Resident;
  readonly link: Link;
  streamOf(end: Resident): StreamId;
  state(end: Resident): EstablishedState;
  phase(end: Resident): ChannelState['phase'];
}

/** Connects two residents and proposes a channel. Resolves when its funding transaction waits in the mempool. */
export async function propose(world: World, opener: Resident, accepter: Resident, format: CommitmentFormat): Promise<Channel> {
  const link = connect(world, opener, accepter);
  const request = { peer_id: accepter.node.node_id, funding_satoshis: FUNDING, push_msat: PUSHED, announce: false, channel_type: CHANNEL_TYPES[format] };
  const stream = await opener.node.openChannel(request);
  const streams = new Map<Resident, StreamId>([[opener, stream]]);
  const raw = (end: Resident): ChannelState => end.state(streams.get(end)!);
  const channel: Channel = {
    opener, accepter, link,
    streamOf: (end) => streams.get(end)!,
    phase: (end) => raw(end).phase,
    state(end) {
      const state = raw(end);
      if (!isEstablished(state)) throw new Error(`${end.name}: expected an established channel, it is ${state.phase}`);
      return state;
    },
  };
  await until(`the funding of ${opener.name} and ${accepter.name}`, () => {
    const other = accepter.node.channels()[0];
    if (other !== undefined) streams.set(accepter, other.stream);
    const states = other === undefined ? [] : [raw(opener), other.state];
    return states.length === 2 && states.every((state) => state.phase === 'opening' && state.step === 'funded') ? [] : [`${states.map(({ phase }) => phase).join(', ')} ${opener.log.at(-1)}`];
  });
  return channel;
}

/** Mines until every channel of these can be used by both ends. */
export async function confirmAll(world: World, channels: readonly Channel[]): Promise<void> {
  // A funding is on its way to the daemon when its channel says so: what comes after the blocks would wait for ever.
  await until('the funding transactions', () => channels.filter(({ opener, state }) => !hasTaken(world, state(opener).funding.txid)).map(({ opener }) => opener.name));
  await world.mine(MINIMUM_DEPTH);
  await until('usable channels', () => channels.flatMap(({ opener, accepter }) => [opener, accepter]).filter((end) => !end.node.channels().some(({ usable }) => usable)).map(({ name }) => name));
  await world.settled();
}

/** Whether the chain has taken a node's transaction. */
export const hasTaken = ({ broadcasts }: World, txid: Hex32): boolean => broadcasts.some((broadcast) => broadcast.txid === txid && broadcast.result.ok);

/** Begins a payment for which the payee keeps the invoice open. The HTLC is on its way when this resolves. */
export async function offer(payer: Resident, payee: Resident, amount_msat: Msat, fate: Fate, min_final_cltv_expiry_delta = 18): Promise<InFlight> {
  const invoice = await payee.node.createInvoice({ amount_msat, description: 'held open', min_final_cltv_expiry_delta });
  if (invoice.status !== 'created') throw new Error(`no invoice: ${invoice.refusal.code}`);
  const started = await payer.node.payments.start({ bolt11: invoice.bolt11, max_attempts: 1 });
  if (started.status !== 'started') throw new Error(`no payment: ${started.refusal.code}`);
  const ended = payer.node.payments.ended(started.payment_id).catch(() => undefined);
  return { payer, payee, payment_hash: invoice.payment_hash, amount_msat, fate, ended };
}

/** A payment that is settled at once. */
export async function pay(payer: Resident, payee: Resident, amount_msat: Msat): Promise<void> {
  const payment = await offer(payer, payee, amount_msat, 'fulfilled');
  payee.release(payment.payment_hash);
  const result = await payment.ended;
  if (result?.status !== 'succeeded') throw new Error(`the payment from ${payer.name} to ${payee.name} ended as ${result?.status}`);
}

const COMMITTED: ReadonlySet<string> = new Set(['SENT_ADD_ACK_REVOCATION', 'RCVD_ADD_ACK_REVOCATION']);

/** Resolves when both ends hold so many HTLCs, all of them beyond recall, and nothing is under way. */
export async function committed(channel: Channel, htlcs: number): Promise<void> {
  await until('all HTLCs in both commitments', () => [channel.opener, channel.accepter].flatMap((end) => {
    const { commitments } = channel.state(end);
    const ready = commitments.htlcs.filter(({ state }) => COMMITTED.has(state)).length;
    return ready === htlcs && commitments.htlcs.length === htlcs && !commitments.remote.awaiting_revocation ? [] : [`${end.name} has ${ready} of ${htlcs}, ${commitments.htlcs.length} in all`];
  }));
}
