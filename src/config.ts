/** The configuration of `fulgurite node`: one schema of every setting. Flags win over the environment, that over the file, that over the defaults. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { NETWORKS, type NetworkName } from './bolt/networks.ts';

const networkNames = Object.keys(NETWORKS) as [NetworkName, ...NetworkName[]];
const setting = <T extends z.ZodType>(schema: T, description: string): T => schema.meta({ description });
const count = (smallest: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(smallest).max(most);
const port = count(0, 65_535);
const path = z.string().min(1);

/** Names are as in the file; a flag is `--chain-url`, a variable `FULGURITE_CHAIN_URL`. Every setting is explained in docs/CONFIGURATION.md. */
export const configSchema = z.strictObject({
  alias: setting(z.string().min(1).refine((text) => Buffer.byteLength(text) <= 32, 'expected at most 32 bytes').default('fulgurite'), 'Name that the node announces (BOLT 7), 32 bytes at most.'),
  network: setting(z.enum(networkNames), 'Which chain. Has no default: nobody should be on mainnet by accident.'),
  listen: z.strictObject({
    host: setting(z.string().min(1).default('127.0.0.1'), 'Address at which peers reach us. `0.0.0.0` lets the world in.'),
    port: setting(port.optional(), 'Port at which peers reach us; 0 takes any free one. Left out: the network\'s own (9735 on mainnet).'),
  }).prefault({}),
  http: z.strictObject({
    host: setting(z.enum(['127.0.0.1', '::1', 'localhost']).default('127.0.0.1'), 'Address of the API. Loopback only: put a proxy with TLS in front if others must reach it.'),
    port: setting(port.default(8750), 'Port of the API; 0 takes any free one.'),
  }).prefault({}),
  chain: z.strictObject({
    kind: setting(z.enum(['bitcoind']).default('bitcoind'), 'Where blocks come from: `bitcoind` is Bitcoin Core\'s JSON-RPC, or a relative\'s.'),
    url: setting(z.string().regex(/^https?:\/\/[^@]+$/, 'expected http://host:port, without a user').optional(), 'The daemon\'s RPC address. Left out: the network\'s RPC port on 127.0.0.1.'),
    cookie_file: setting(path.optional(), 'The daemon\'s `.cookie`. Either this, or `chain.user` and `chain.password`.'),
    user: setting(z.string().min(1).optional(), 'The daemon\'s `rpcuser`.'),
    password: setting(z.string().min(1).optional(), 'The daemon\'s `rpcpassword`. Better in the file (mode 600) than on a command line, where others see it.'),
    stand_in_genesis: setting(z.boolean().default(false), 'Regtest only: the daemon\'s genesis block is not the network\'s own, as when litecoind stands in for bitcoind.'),
    poll_ms: setting(count(20, 60_000).default(1000), 'Milliseconds between two looks at the tip and the mempool.'),
    fallback_feerate_per_kw: setting(count(253, 100_000).optional(), 'sat per 1000 weight units where the daemon has no estimate. Left out: 1000 on regtest, none elsewhere.'),
    silent_seconds: setting(count(60, 86_400).default(7200), 'Seconds without an answer of the daemon after which no new payment is taken.'),
    behind_blocks: setting(count(1, 18).default(6), 'Blocks that our channels may be behind the daemon before no new payment is taken.'),
  }).prefault({}),
  store: setting(z.string().regex(/^(sqlite|esdb(\+discover)?:\/\/.+)$/, 'expected sqlite, or esdb://host:port').default('sqlite'), 'Where the log is: `sqlite` in the data folder, or an EventStoreDB as `esdb://user:password@host:2113`.'),
  channel: z.strictObject({
    to_self_delay: setting(count(1, 2016).default(144), 'Blocks that a peer must wait for its own money after it closes by force.'),
    minimum_depth: setting(count(1, 144).default(3), 'Confirmations before a channel that a peer opens is used.'),
    dust_limit_satoshis: setting(count(354, 100_000).default(354), 'sat. Outputs below this are left out of our commitment.'),
    htlc_minimum_msat: setting(count(1).default(1), 'msat. The smallest payment that we take in.'),
    max_htlc_value_in_flight_msat: setting(count(1).default(2_000_000_000_000), 'msat. The most that may be on its way to us in one channel.'),
    max_accepted_htlcs: setting(count(1, 483).default(240), 'Payments that may be on their way to us in one channel.'),
    reserve_millionths: setting(count(0, 500_000).default(10_000), 'Share of a channel that each side keeps, in millionths.'),
    min_funding_satoshis: setting(count(1000).default(20_000), 'sat. The smallest channel that we take part in.'),
    max_funding_satoshis: setting(count(1000).default(1_000_000_000), 'sat. The largest channel that we take part in.'),
    max_to_self_delay: setting(count(1, 65_535).default(2016), 'Blocks. The longest wait for our own money that we accept.'),
    min_feerate_per_kw: setting(count(253).default(253), 'sat per 1000 weight units. The lowest commitment feerate that we accept.'),
    max_feerate_per_kw: setting(count(253).default(100_000), 'sat per 1000 weight units. The highest commitment feerate that we accept.'),
    max_dust_exposure_msat: setting(count(0).default(50_000_000), 'msat. The most that may be lost to fees in payments too small for an output.'),
  }).prefault({}),
  fees: z.strictObject({
    automatic: setting(z.boolean().default(true), 'Channels that we opened follow the chain\'s feerates by themselves.'),
    raise_below_percent: setting(count(1, 100).default(80), 'A channel\'s feerate is raised when it is below this share of the right one.'),
    lower_above_percent: setting(count(100, 1000).default(125), 'A channel\'s feerate is lowered when it is above this share of the right one.'),
    min_blocks_between: setting(count(1, 2016).default(6), 'Blocks between two changes of one channel\'s feerate.'),
    ceiling_per_kw: setting(count(253, 250_000).default(250_000), 'sat per 1000 weight units. No estimate of the chain\'s is believed beyond it.'),
  }).prefault({}),
  wallet: z.strictObject({
    anchor_reserve_sat: setting(count(0, 1_000_000).default(10_000), 'sat. What payments leave in the wallet for each channel with anchors, ten times that at most: the fees of a forced close.'),
  }).prefault({}),
  forwarding: z.strictObject({
    fee_base_msat: setting(count(0, 0xffff_ffff).default(1000), 'msat. What a payment that we forward costs, whatever its size.'),
    fee_proportional_millionths: setting(count(0, 0xffff_ffff).default(100), 'Millionths of the amount, on top of the base fee.'),
    cltv_expiry_delta: setting(count(18, 2016).default(40), 'Blocks between the deadlines of the two halves of a forward.'),
    htlc_minimum_msat: setting(count(1).default(1), 'msat. The smallest payment that we forward.'),
  }).prefault({}),
  limits: z.strictObject({
    max_pending_per_peer: setting(count(1, 1000).default(4), 'Channels that one peer opens to us and has not funded, or whose funding no block has yet.'),
    max_pending: setting(count(1, 10_000).default(64), 'The same of all peers that are neither trusted nor have a funded channel with us.'),
    max_channels_per_peer: setting(count(1, 10_000).default(64), 'Channels with one peer that are not closed: it cannot open more.'),
    max_channels: setting(count(1, 1_000_000).default(10_000), 'Channels in all that are not closed: nobody can open more to us.'),
    max_abandoned_per_block: setting(count(1, 1_000_000).default(256), 'Openings of peers that may come to nothing between two blocks; then only trusted peers open channels until the next.'),
  }).prefault({}),
  trusted_peers: setting(z.array(z.string().regex(/^0[23][0-9a-f]{64}$/, 'expected node_ids of 66 hexadecimal digits')).max(1000).optional(), 'node_ids, with commas between them (a list in the file), whose channels we use before their funding is in a block (zero-conf): such a peer can take back whatever it paid us, by never letting the funding confirm.'),
  log: z.strictObject({
    level: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'), 'How much the node has to say.'),
    format: setting(z.enum(['auto', 'json', 'text']).default('auto'), '`json`: one object a line. `auto`: text on a terminal, JSON elsewhere.'),
  }).prefault({}),
  passphrase_file: setting(path.optional(), 'File whose first line opens the seed. Else FULGURITE_PASSPHRASE, else the node asks on its terminal.'),
});

export type Config = z.output<typeof configSchema> & {
  /** The data folder: one node's. */
  readonly data: string;
};

/** A setting that cannot be used. The message names it, where it stands, and both values. */
export class ConfigError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'ConfigError';
    this.code = code;
  }
}

export interface Setting {
  /** As in the file, with dots: `chain.url`. */
  readonly key: string;
  readonly flag: string;
  readonly env: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'list';
  readonly choices?: readonly string[];
  readonly default?: string | number | boolean;
  readonly description: string;
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly enum?: readonly string[];
  readonly default?: string | number | boolean;
  readonly description?: string;
}

/** Every setting there is, read from the schema. */
export const SETTINGS: readonly Setting[] = settingsOf(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema);

function settingsOf({ properties = {} }: JsonSchema, prefix = ''): readonly Setting[] {
  return Object.entries(properties).flatMap(([name, schema]): readonly Setting[] => {
    const key = prefix + name;
    if (schema.properties !== undefined) return settingsOf(schema, `${key}.`);
    const { type = 'string', description = '' } = schema;
    return [{ key, flag: `--${key.replaceAll(/[._]/g, '-')}`, env: `FULGURITE_${key.replaceAll('.', '_').toUpperCase()}`, type: type === 'array' ? 'list' : (type as Setting['type']), choices: schema.enum, default: schema.default, description }];
  });
}

/** Variables that are no settings of the file: where it is, and what must not stand in it. */
const OTHER_VARIABLES = ['FULGURITE_DATA', 'FULGURITE_CONFIG', 'FULGURITE_PASSPHRASE'];
export const DEFAULT_DATA = join(homedir(), '.fulgurite');
const FILE_NAME = 'fulgurite.json';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ConfigInput {
  /** Flags as typed, by setting key; `data` and `config` are paths. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>> & { readonly data?: string; readonly config?: string };
  readonly env: Environment;
}

/** A value, and where it stands, for people. */
interface Given {
  readonly value: unknown;
  readonly from: string;
}

/** The data folder alone, which commands need that only talk to a node. */
export const dataFolder = (data: string | undefined, env: Environment): string => resolve(home(data ?? env['FULGURITE_DATA'] ?? DEFAULT_DATA));

/** Reads all sources. Throws ConfigError that names the setting, the source and both values. */
export function loadConfig({ flags, env }: ConfigInput): Config {
  const data = dataFolder(flags.data, env);
  const named = flags.config ?? env['FULGURITE_CONFIG'];
  const file = named === undefined ? join(data, FILE_NAME) : resolve(home(named));
  if (named !== undefined && !existsSync(file)) throw new ConfigError('config_file_missing', `${file}: expected the configuration, got no file`);
  const given = new Map([...fromFile(file), ...fromEnvironment(env), ...fromFlags(flags)]);
  const parsed = configSchema.safeParse(nested(given));
  if (!parsed.success) throw invalid(parsed.error.issues[0]!, given);
  return { ...withChecks(parsed.data), data };
}

/** Settings given as flags, as the file would have them: what `fulgurite init` writes down. */
export function settingsFromFlags(flags: ConfigInput['flags']): object {
  return nested(fromFlags(flags));
}

function withChecks<T extends z.output<typeof configSchema>>(config: T): T {
  const { network, chain } = config;
  if (chain.stand_in_genesis && !network.endsWith('-regtest')) {
    throw new ConfigError('stand_in_refused', `chain.stand_in_genesis: expected a regtest network, got ${network}: a real network's genesis is never another's`);
  }
  return config;
}

function fromFile(file: string): ReadonlyMap<string, Given> {
  if (!existsSync(file)) return new Map();
  const values = flattened(parseFile(file), file);
  const folder = dirname(file);
  return new Map([...values].map(([key, value]) => [known(key, file).key, { value: inFolder(key, value, folder), from: file }]));
}

function parseFile(file: string): object {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content;
    throw new Error(`got ${JSON.stringify(content).slice(0, 40)}`);
  } catch (error) {
    throw new ConfigError('config_file_unreadable', `${file}: expected a JSON object of settings: ${(error as Error).message}`);
  }
}

/** `{ chain: { url } }` -> `chain.url`. */
function flattened(content: object, file: string, prefix = ''): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(content).flatMap(([name, value]): (readonly [string, unknown])[] => {
    const key = prefix + name;
    const isGroup = SETTINGS.some((setting) => setting.key.startsWith(`${key}.`));
    if (!isGroup) return [[key, value]];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ConfigError('invalid_setting', `${key}: expected a group of settings in braces, got ${JSON.stringify(value)} (${file})`);
    return [...flattened(value, file, `${key}.`)];
  }));
}

function fromEnvironment(env: Environment): ReadonlyMap<string, Given> {
  const names = Object.keys(env).filter((name) => name.startsWith('FULGURITE_') && !OTHER_VARIABLES.includes(name));
  return new Map(names.map((name) => {
    const found = SETTINGS.find((setting) => setting.env === name);
    if (found === undefined) throw unknown(name, 'the environment', [...SETTINGS.map((setting) => setting.env), ...OTHER_VARIABLES]);
    return [found.key, { value: fromText(found, env[name]!), from: name }];
  }));
}

function fromFlags(flags: ConfigInput['flags']): ReadonlyMap<string, Given> {
  const entries = SETTINGS.filter(({ key }) => flags[key] !== undefined);
  return new Map(entries.map((found) => {
    const value = flags[found.key]!;
    return [found.key, { value: typeof value === 'boolean' ? value : fromText(found, value), from: found.flag }];
  }));
}

/** What stands in text is what it looks like; what does not fit is left for the schema to refuse. */
function fromText({ type, key }: Setting, text: string): unknown {
  if (type === 'integer' && /^-?\d{1,16}$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if (type === 'list') return text.split(',').map((each) => each.trim()).filter((each) => each !== '');
  return inFolder(key, text, process.cwd());
}

/** A path in the file is meant from the file's folder, elsewhere from where one stands. */
function inFolder(key: string, value: unknown, folder: string): unknown {
  return key.endsWith('_file') && typeof value === 'string' && value !== '' ? resolve(folder, home(value)) : value;
}

const home = (text: string): string => (text === '~' || text.startsWith('~/') ? join(homedir(), text.slice(1)) : text);

function nested(given: ReadonlyMap<string, Given>): object {
  const result: Record<string, unknown> = {};
  for (const [key, { value }] of given) {
    const [first, second] = key.split('.') as [string, string?];
    if (second === undefined) result[first] = value;
    else result[first] = { ...(result[first] as object | undefined), [second]: value };
  }
  return result;
}

function known(key: string, where: string): Setting {
  const found = SETTINGS.find((setting) => setting.key === key);
  if (found === undefined) throw unknown(key, where, SETTINGS.map((setting) => setting.key));
  return found;
}

function unknown(name: string, where: string, names: readonly string[]): ConfigError {
  return new ConfigError('unknown_setting', `${where}: there is no setting ${name}: did you mean ${nearest(name, names)}?`);
}

function invalid({ path, message }: { readonly path: readonly PropertyKey[]; readonly message: string }, given: ReadonlyMap<string, Given>): ConfigError {
  // What is wrong with one of a list is wrong with the list.
  const key = path.filter((part) => typeof part === 'string').join('.');
  const { flag, env, choices } = SETTINGS.find((setting) => setting.key === key)!;
  const expected = choices === undefined ? message : `expected one of ${choices.join(', ')}`;
  const found = given.get(key);
  if (found === undefined) return new ConfigError('missing_setting', `${key}: ${expected}; got nothing: say it with ${flag}, ${env} or in ${FILE_NAME}`);
  // What opens a door is not shown, not even to say that it is misspelt.
  const shown = /password|store|url/.test(key) ? 'another' : JSON.stringify(found.value);
  return new ConfigError('invalid_setting', `${key}: ${expected}; got ${shown} (${found.from})`);
}

/** The name that takes the fewest changes of letters. */
export function nearest(name: string, names: readonly string[]): string {
  return names.map((each) => [each, distance(name, each)] as const).toSorted(([, a], [, b]) => a - b)[0]![0];
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
