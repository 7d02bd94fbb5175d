/** `fulgurite open` and `fulgurite close`: what takes minutes or days on chain, said as it goes. */
import { connectApi, type Api } from './api-client.ts';
import { parseFeerate, parseMsat, parseSat } from './amounts.ts';
import { fields, print, type AskOptions } from './ask.ts';
import { CommandFailed, grouped, type Io } from './output.ts';
import { hasEnded, watchChannel, type LiveChannel } from './watching.ts';

export interface OpenOptions extends AskOptions {
  readonly push?: string;
  readonly private?: boolean;
  readonly zeroConf?: boolean;
  readonly type?: string;
  readonly closeTo?: string;
  readonly wait?: boolean;
  readonly idempotencyKey?: string;
}

/** The peer has signed our way out: the funding transaction is on its way. */
const isFunded = ({ channel: { phase, step } }: LiveChannel): boolean => phase !== 'opening' || step === 'funded';

export async function openCommand(peer: string, amount: string, options: OpenOptions, io: Io): Promise<number> {
  const api = connectApi(options.data);
  const wish = {
    peer_id: peer.split('@')[0],
    funding_satoshis: String(parseSat(amount, 'amount')),
    ...(options.push === undefined ? {} : { push_msat: String(parseMsat(options.push, '--push')) }),
    ...(options.private === true ? { announce: false } : {}),
    ...(options.zeroConf === true ? { zero_conf: true } : {}),
    ...(options.closeTo === undefined ? {} : { close_to: options.closeTo }),
    ...(options.type === undefined ? {} : { channel_type: options.type === 'anchors' ? 'anchors_zero_fee_htlc_tx' : options.type }),
  };
  if (peer.includes('@')) await api.post('/v1/peers', { address: peer });
  const headers = options.idempotencyKey === undefined ? undefined : { 'idempotency-key': options.idempotencyKey };
  const { channel } = await api.post<{ channel: string }>('/v1/channels', wish, headers);
  const live = await watchChannel(api, channel, io, (now) => hasEnded(now) || (options.wait === true ? now.usable : isFunded(now)));
  mustBeAlive(live);
  return print(io, options, live, describeOpened(live, api));
}

function mustBeAlive({ channel: { phase, stream, close } }: LiveChannel): void {
  if (phase === 'opening' || phase === 'normal') return;
  throw new CommandFailed(close?.code ?? 'channel_not_opened', `${stream} did not come to be (${phase}): ${close?.reason ?? 'no reason is known'}`);
}

function describeOpened({ channel, usable }: LiveChannel, { data }: Api): readonly string[] {
  const rows = fields([
    ['channel', channel.stream],
    ['funding_txid', channel.funding_txid ?? '-'],
    ...(channel.short_channel_id === undefined ? [] : [['short_channel_id', channel.short_channel_id] as const]),
    ...(channel.local_aliases?.length ? [['alias', channel.local_aliases.join(' ')] as const] : []),
    ['phase', channel.phase],
    ['capacity_sat', grouped(BigInt(channel.capacity_sat))],
    ['local_msat', grouped(BigInt(channel.local_msat))],
  ]);
  return usable ? rows : [...rows, `it can be used after its confirmations; see: fulgurite channels --data ${data}`];
}

export interface CloseOptions extends AskOptions {
  readonly force?: boolean;
  readonly feerate?: string;
  readonly to?: string;
  readonly wait?: boolean;
}

/** A close has begun in earnest when there is a transaction, or nothing but the chain is left to wait for. */
const isClosing = ({ channel: { phase }, waiting }: LiveChannel): boolean => phase === 'resolving' || (phase === 'closing' && waiting?.for === 'closing_confirmations');

export async function closeCommand(channel: string, options: CloseOptions, io: Io): Promise<number> {
  const api = connectApi(options.data);
  const path = `/v1/channels/${encodeURIComponent(channel)}`;
  const wish = { ...(options.feerate === undefined ? {} : { feerate_per_kw: parseFeerate(options.feerate) }), ...(options.to === undefined ? {} : { to: options.to }) };
  // A close under way is asked for once more to have another transaction: that one is worth the wait.
  const replaced = Object.keys(wish).length === 0 ? undefined : (await api.get<LiveChannel>(path)).waiting?.txid;
  const closed = await api.post<{ channel: string }>(`${path}/close`, { force: options.force === true, ...wish });
  // Without its peer a channel closes when the peer comes back: nobody should have to wait for that unasked.
  const enough = (now: LiveChannel): boolean => hasEnded(now) || (options.wait !== true && ((isClosing(now) && (replaced === undefined || now.waiting?.txid !== replaced)) || !now.peer_connected));
  const live = await watchChannel(api, closed.channel, io, enough);
  return print(io, options, live, describeClosing(live, options));
}

function describeClosing({ channel, waiting, peer_connected }: LiveChannel, { force = false }: CloseOptions): readonly string[] {
  const txid = channel.close?.txid ?? waiting?.txid;
  return [
    ...fields([
      ['channel', channel.stream],
      ['phase', channel.phase],
      ...(channel.close?.kind === undefined ? [] : [['kind', channel.close.kind] as const]),
      ...(txid === undefined ? [] : [['closing_txid', txid] as const]),
    ]),
    ...(!peer_connected && !force && channel.phase === 'shutdown' ? ['the peer is away: the close goes on when it is back; --force does without it'] : []),
  ];
}
