/** Commands that ask a running node one thing and print its answer. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectApi, type Api } from './api-client.ts';
import { parseMsat, parseSat } from './amounts.ts';
import { CommandFailed, grouped, painter, printLine, table, toJson, type Io } from './output.ts';

/** Options that every command to a node has. */
export interface AskOptions {
  readonly data?: string;
  readonly json?: boolean;
}

interface Info {
  readonly node_id: string;
  readonly alias: string;
  readonly version: string;
  readonly network: string;
  readonly block_height: number;
  readonly address: string;
  readonly peers: number;
  readonly channels: Readonly<Record<'opening' | 'open' | 'closing' | 'closed', number>>;
  readonly graph: { readonly channels: number };
  readonly store: string;
  readonly log: { readonly position?: string; readonly checkpoint_key: string };
  readonly crypto_backend: string;
  readonly feerates: { readonly urgent: number; readonly normal: number; readonly economic: number; readonly trouble?: string };
  readonly chain_trouble?: { readonly code: string; readonly reason: string };
  readonly recovery?: { readonly code: string; readonly reason: string; readonly channels_left: readonly { readonly stream: string; readonly waits_for: string }[] };
  readonly started_at: string;
}

export async function getinfoCommand(options: AskOptions, io: Io): Promise<number> {
  const info = await connectApi(options.data).get<Info>('/v1/info');
  const { channels, graph, log } = info;
  return print(io, options, info, fields([
    ['node_id', info.node_id], ['alias', info.alias], ['network', info.network], ['block_height', String(info.block_height)], ['address', info.address],
    ['peers', String(info.peers)],
    ['channels', `${channels.open} open, ${channels.opening} opening, ${channels.closing} closing, ${channels.closed} closed`],
    ['graph', `${grouped(graph.channels)} channels`],
    ['store', info.store], ['log', log.position === undefined ? 'empty' : `position ${log.position}`], ['checkpoint_key', log.checkpoint_key],
    ['feerates', describeFeerates(info.feerates)],
    ['version', `${info.version}, ${info.crypto_backend}`], ['started_at', info.started_at],
    ...(info.chain_trouble === undefined ? [] : [['chain_trouble', `${info.chain_trouble.reason}: no new payment is taken`] as const]),
    ...describeRecovery(info.recovery),
  ]));
}

const describeFeerates = ({ urgent, normal, economic, trouble }: Info['feerates']): string =>
  `urgent ${grouped(urgent)}, normal ${grouped(normal)}, economic ${grouped(economic)} sat per 1000 weight${trouble === undefined ? '' : `; older than the last block: ${trouble}`}`;

/** What a node in recovery does, and what is left. */
function describeRecovery(recovery: Info['recovery']): readonly (readonly [string, string])[] {
  if (recovery === undefined) return [];
  const { code, reason, channels_left } = recovery;
  const done = channels_left.length === 0 ? 'every channel has ended; restart the node, and it is a normal one again' : `no payments and no new channels; ${channels_left.length} channels are to be paid out`;
  return [['recovery', `${code}: ${reason}`], ['recovery_left', done], ...channels_left.map(({ stream, waits_for }) => ['', `${stream}: ${waits_for === 'chain' ? 'closed, its outputs are taken' : 'waits for its peer to close; connect to it'}`] as const)];
}

export async function connectCommand(address: string, options: AskOptions, io: Io): Promise<number> {
  const answer = await connectApi(options.data).post<{ node_id: string }>('/v1/peers', { address });
  return print(io, options, answer, [`connected to ${answer.node_id}`]);
}

export async function disconnectCommand(node_id: string, options: AskOptions, io: Io): Promise<number> {
  const answer = await connectApi(options.data).delete<{ node_id: string }>(`/v1/peers/${encodeURIComponent(node_id)}`);
  return print(io, options, answer, [`let go of ${answer.node_id}`]);
}

interface Peers {
  readonly peers: readonly { readonly node_id: string; readonly channels: readonly string[] }[];
}

export async function peersCommand(options: AskOptions, io: Io): Promise<number> {
  const answer = await connectApi(options.data).get<Peers>('/v1/peers');
  const rows = answer.peers.map(({ node_id, channels }) => [node_id, String(channels.length)]);
  return print(io, options, answer, rows.length === 0 ? ['no peer is connected'] : table([['node_id', 'channels'], ...rows], [1]));
}

export interface InvoiceOptions extends AskOptions {
  readonly expiry?: string;
  readonly quiet?: boolean;
}

export async function invoiceCommand(amount: string, description: string | undefined, options: InvoiceOptions, io: Io): Promise<number> {
  const wish = {
    ...(amount === 'any' ? {} : { amount_msat: String(parseMsat(amount, 'amount')) }),
    description: description ?? '',
    ...(options.expiry === undefined ? {} : { expiry: Number(options.expiry) }),
  };
  const made = await connectApi(options.data).post<{ bolt11: string; payment_hash: string; expires_at: string }>('/v1/invoices', wish);
  return print(io, options, made, options.quiet === true ? [made.bolt11] : fields([['bolt11', made.bolt11], ['payment_hash', made.payment_hash], ['expires_at', made.expires_at]]));
}

export async function decodeCommand(bolt11: string, options: AskOptions, io: Io): Promise<number> {
  const invoice = await connectApi(options.data).post<Readonly<Record<string, unknown>>>('/v1/decode', { bolt11 });
  const shown = ['payee', 'currency', 'amount_msat', 'description', 'description_hash', 'payment_hash', 'created_at', 'expires_at', 'expired', 'min_final_cltv_expiry_delta', 'features'];
  const rows = shown.filter((name) => invoice[name] !== undefined).map((name) => [name, name === 'amount_msat' ? grouped(BigInt(invoice[name] as string)) : String(invoice[name])] as const);
  return print(io, options, invoice, fields(rows));
}

export interface AddressOptions extends AskOptions {
  readonly purpose?: string;
}

export async function addressCommand(options: AddressOptions, io: Io): Promise<number> {
  const answer = await connectApi(options.data).post<{ address: string }>('/v1/addresses', options.purpose === undefined ? {} : { purpose: options.purpose });
  return print(io, options, answer, [answer.address]);
}

export interface SendOptions extends AskOptions {
  readonly feerate?: string;
  readonly idempotencyKey?: string;
}

export async function sendCommand(address: string, amount: string, options: SendOptions, io: Io): Promise<number> {
  const wish = { address, amount_sat: String(parseSat(amount, 'amount')), ...(options.feerate === undefined ? {} : { feerate_per_kw: Number(options.feerate) }) };
  const headers = options.idempotencyKey === undefined ? undefined : { 'idempotency-key': options.idempotencyKey };
  const sent = await connectApi(options.data).post<{ txid: string; amount_sat: string; fee_satoshis: string }>('/v1/wallet/send', wish, headers);
  return print(io, options, sent, fields([['txid', sent.txid], ['amount_sat', grouped(BigInt(sent.amount_sat))], ['fee_sat', grouped(BigInt(sent.fee_satoshis))]]));
}

/** As in GET /v1/channels. */
export interface ChannelJson {
  readonly stream: string;
  readonly phase: string;
  readonly step?: string;
  readonly peer_id?: string;
  readonly short_channel_id?: string;
  readonly local_aliases?: readonly string[];
  readonly funding_txid?: string;
  readonly capacity_sat: string;
  readonly local_msat: string;
  readonly remote_msat: string;
  readonly to_sweep_sat: string;
  readonly htlcs: readonly unknown[];
  readonly close?: { readonly code?: string; readonly reason?: string; readonly kind?: string; readonly txid?: string };
}

export interface ChannelsOptions extends AskOptions {
  readonly all?: boolean;
}

const ENDED: ReadonlySet<string> = new Set(['closed', 'abandoned']);

export async function channelsCommand(options: ChannelsOptions, io: Io): Promise<number> {
  const api = connectApi(options.data);
  const channels = (await everyChannel(api)).filter(({ phase }) => options.all === true || !ENDED.has(phase));
  const { peers } = await api.get<Peers>('/v1/peers');
  const rows = channels.map((row) => channelCells(row, peers.some(({ node_id }) => node_id === row.peer_id)));
  const none = options.all === true ? 'no channels yet; open one with: fulgurite open' : 'no open channels; --all shows those that ended';
  return print(io, options, channels, rows.length === 0 ? [none] : table([['channel', 'alias', 'phase', 'local_msat', 'remote_msat', 'htlcs', 'capacity_sat', 'stream'], ...rows], [3, 4, 5, 6]));
}

async function everyChannel(api: Api): Promise<readonly ChannelJson[]> {
  const channels: ChannelJson[] = [];
  for (let after: string | undefined; ; ) {
    const page = await api.get<{ channels: readonly ChannelJson[]; next?: string }>(`/v1/channels?limit=1000${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`);
    channels.push(...page.channels);
    if (page.next === undefined) return channels;
    after = page.next;
  }
}

function channelCells(row: ChannelJson, connected: boolean): readonly string[] {
  const { phase, step } = row;
  const away = connected || ENDED.has(phase) ? '' : ', peer away';
  const amounts = [row.local_msat, row.remote_msat].map((amount) => grouped(BigInt(amount)));
  return [row.short_channel_id ?? '-', row.local_aliases?.at(-1) ?? '-', `${phase}${step === undefined ? '' : ` (${step})`}${away}`, ...amounts, String(row.htlcs.length), grouped(BigInt(row.capacity_sat)), row.stream];
}

const STOP_MS = 30_000;

/** Ends when the node has given its folder back, so that another can start on it. */
export async function stopCommand(options: AskOptions, io: Io): Promise<number> {
  const api = connectApi(options.data);
  const answer = await api.post<{ stopping: boolean }>('/v1/stop');
  const lock = join(api.data, 'node.lock');
  for (const end = Date.now() + STOP_MS; existsSync(lock); await sleep(50)) {
    if (Date.now() > end) throw new CommandFailed('still_ending', `the node of ${api.data} was asked to end and has not within ${STOP_MS / 1000} s: its own log says what it waits for`);
  }
  return print(io, options, answer, [`the node of ${api.data} has ended`]);
}

/** Names in one column, values in the other. */
export const fields = (rows: readonly (readonly [string, string])[]): readonly string[] => table(rows.map(([name, value]) => [name, value]));

/** The answer as JSON, or in lines for people. */
export async function print({ stdout }: Io, { json = false }: AskOptions, answer: unknown, lines: readonly string[]): Promise<number> {
  const paint = painter(stdout);
  if (json) await printLine(stdout, toJson(answer, 2));
  else for (const line of lines) await printLine(stdout, line.replace(/^[a-z0-9_]+ {2,}/, (name) => paint('dim', name)));
  return 0;
}
