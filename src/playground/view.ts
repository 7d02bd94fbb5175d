/** The live view: a scene as lines of a terminal, so many columns wide and rows high. Pure. */
import { balanceBar, sparkline } from './bars.ts';
import type { Name } from './cast.ts';
import type { Told } from './describe.ts';
import { clock, cut, grouped, inSat, piece, spread, type Line, type Style } from './paint.ts';
import type { ChannelScene, NodeScene, PaymentsScene, Scene } from './scene.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const STYLE: Readonly<Record<Name, Style>> = { alice: 'magenta', bob: 'cyan', carol: 'green', dave: 'yellow' };
const EMPTY: Line = [];

/** Wider terminals are not filled: the eye would lose the line. */
const WIDEST = 130;
const MARGIN = '  ';

/** As many lines as fit, the newest events last. */
export function renderScene(scene: Scene, { columns, rows }: Size): readonly Line[] {
  const width = Math.min(columns, WIDEST) - 2 * MARGIN.length;
  const top = [
    header(scene, width),
    rule(width),
    ...scene.channels.flatMap((channel) => channelLines(channel, width)),
    rule(width),
    paymentsLine(scene.payments, width),
    totalsLine(scene.payments, width),
    logsLine(scene.nodes, width),
    rule(width),
  ];
  const bottom = [footer(scene, width)];
  const left = Math.max(0, rows - 1 - top.length - bottom.length);
  const payments = Math.min(scene.lastPayments.length, Math.ceil(left / 2));
  const stories = toldLines(scene.lastPayments, payments, width);
  const events = toldLines(scene.lastEvents, left - payments - 1, width);
  const middle = [...stories, ...(left > payments ? [EMPTY] : []), ...events];
  return [...top, ...middle, ...bottom].map((line) => [piece(MARGIN), ...cut(line, width)]);
}

function header({ height, uptime_ms }: Scene, width: number): Line {
  const title = [piece('Fulgurite', 'bold'), piece('  four nodes, one chain', 'dim')];
  return spread(title, [piece('block ', 'dim'), piece(grouped(height), 'bold'), piece('   up ', 'dim'), piece(clock(uptime_ms))], width);
}

const rule = (width: number): Line => [piece('─'.repeat(width), 'dim')];

const NAME_WIDTH = 6;

/** A bar between two names, and the figures below it. */
function channelLines(channel: ChannelScene, width: number): readonly Line[] {
  const { from, to, left, right, short_channel_id } = channel;
  const barWidth = width - 2 * NAME_WIDTH;
  const bar: Line = [
    piece(from.padEnd(NAME_WIDTH), 'bold', STYLE[from]),
    ...(channel.phase === 'normal' ? balanceBar(channel, barWidth, STYLE[from], STYLE[to]) : [piece(center(channel.phase, barWidth), 'dim')]),
    piece(to.padStart(NAME_WIDTH), 'bold', STYLE[to]),
  ];
  const middle = channel.usable ? [piece(short_channel_id, 'dim'), ...inFlight(channel)] : [piece(`${short_channel_id} reconnecting`, 'red')];
  const figures = spread([piece(' '.repeat(NAME_WIDTH)), piece(inSat(left), STYLE[from]), piece('   '), ...middle], [piece(inSat(right), STYLE[to]), piece(' '.repeat(NAME_WIDTH))], width);
  return [bar, figures];
}

function inFlight({ leftOffers, rightOffers }: ChannelScene): Line {
  const total = leftOffers + rightOffers;
  return total === 0n ? [] : [piece(`   in flight ${inSat(total)}`, 'bold')];
}

function center(text: string, width: number): string {
  const before = Math.max(0, Math.floor((width - text.length) / 2));
  return ' '.repeat(before) + text + ' '.repeat(Math.max(0, width - before - text.length));
}

function paymentsLine({ perSecond, history, median_ms }: PaymentsScene, width: number): Line {
  const rate = [piece('payments ', 'dim'), piece(perSecond.toFixed(1).padStart(5), 'bold'), piece(' a second  ', 'dim')];
  const time = median_ms === undefined ? [] : [piece('  median ', 'dim'), piece(`${Math.round(median_ms)} ms`, 'bold')];
  const room = Math.max(10, width - 26 - 16);
  return spread([...rate, piece(sparkline(history, Math.min(room, 60)), 'cyan')], time, width);
}

function totalsLine({ succeeded, failed, delivered_msat, fees_msat }: PaymentsScene, width: number): Line {
  const counts = [piece(grouped(succeeded), 'bold', 'green'), piece(' succeeded  ', 'dim'), piece(grouped(failed), 'bold', failed > 0 ? 'red' : 'dim'), piece(' failed', 'dim')];
  return spread(counts, [piece('moved ', 'dim'), piece(inSat(delivered_msat), 'bold'), piece('  fees ', 'dim'), piece(inSat(fees_msat))], width);
}

/** How long each log is by now. */
function logsLine(nodes: readonly NodeScene[], width: number): Line {
  const each = nodes.flatMap(({ name, events }): Line => [piece(`${name} `, STYLE[name]), piece(grouped(events)), piece('   ')]);
  const all = nodes.reduce((sum, { events }) => sum + events, 0);
  return spread([piece('logs  ', 'dim'), ...each], [piece(grouped(all), 'bold'), piece(' events', 'dim')], width);
}

function toldLines(told: readonly Told[], count: number, width: number): readonly Line[] {
  if (count <= 0) return [];
  const shown = told.slice(-count).map((line) => toldLine(line, width));
  return [...shown, ...Array.from({ length: count - shown.length }, () => EMPTY)];
}

const TONE: Readonly<Record<Told['tone'], readonly Style[]>> = { plain: [], good: ['green'], bad: ['red'] };

const toldLine = ({ time, name, text, tone }: Told, width: number): Line =>
  cut([piece(`${time} `, 'dim'), piece(name.padEnd(NAME_WIDTH), STYLE[name]), piece(text, ...TONE[tone])], width);

function footer({ address }: Scene, width: number): Line {
  const served = address === undefined ? [] : [piece(`${address}/docs`, 'cyan')];
  return spread(served, [piece('Ctrl-C ends', 'dim')], width);
}
