/** `npm run test:crash`: 210 kills: 120 of nodes that pay, on SQLite, with torn and lost tails; 30 on EventStoreDB's protocol; 60 while channels close and resolve, every ending in both formats. Ends with 0 for each kind of loss, or with exit code 1. */
import { parseArgs } from 'node:util';
import { runCrashes, type CrashReport } from './crashes.ts';
import { runEndings, type EndingsReport } from './endings/endings.ts';
import { LOSSES, type LossKind } from './losses.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    kills: { type: 'string', default: '120' },
    'esdb-kills': { type: 'string', default: '30' },
    'server-kills': { type: 'string', default: '4' },
    'ending-kills': { type: 'string', default: '60' },
    /** One story of an ending alone, by its number. */
    story: { type: 'string' },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
const realServer = process.env['EVENTSTORE_URL'];
const say = (line: string): void => console.log(line);
const started = performance.now();

say(`seed ${seed}: npm run test:crash -- --seed ${seed} makes the same plan again`);
const reports: (readonly [string, CrashReport])[] = [];
if (Number(values.kills) > 0) {
  say(`\nSQLite: ${values.kills} kills`);
  reports.push(['SQLite', await runCrashes({ seed, kills: Number(values.kills), store: 'sqlite', tearEvery: 20, say })]);
}
if (Number(values['esdb-kills']) > 0) {
  const name = realServer === undefined ? 'EventStoreDB protocol (our own server, in a process of its own)' : `EventStoreDB at ${realServer.replace(/\/\/[^/@]*@/, '//')}`;
  say(`\n${name}: ${values['esdb-kills']} kills`);
  const store = realServer === undefined ? 'server' : { url: realServer };
  const serverKills = realServer === undefined ? Number(values['server-kills']) : 0;
  reports.push([name, await runCrashes({ seed: seed + 1, kills: Number(values['esdb-kills']), serverKills, store, restEvery: 15, say })]);
}
let endings: EndingsReport | undefined;
if (Number(values['ending-kills']) > 0) {
  say(`\nclosing and resolving: ${values['ending-kills']} kills`);
  endings = await runEndings({ seed: seed + 2, kills: Number(values['ending-kills']), only: values.story === undefined ? undefined : Number(values.story), say });
}
process.exitCode = conclude();

function conclude(): number {
  const sum = (numberOf: (report: CrashReport) => number) => reports.reduce((total, [, report]) => total + numberOf(report), 0);
  say('');
  for (const [name, report] of reports) {
    const times = report.resumed.toSorted((a, b) => a - b);
    const [median, longest] = [times[times.length >> 1] ?? 0, times.at(-1) ?? 0];
    say(`${name}: ${report.kills} kills${report.serverKills > 0 ? `, ${report.serverKills} of the server` : ''}; ${report.succeeded} payments completed, ${report.failed} failed cleanly; paying again after ${(median / 1000).toFixed(1)} s (median), ${(longest / 1000).toFixed(1)} s (longest)`);
    const { whole, shorter, refused } = report.torn;
    if (whole + shorter + refused > 0) say(`  torn and lost tails: ${whole + shorter + refused} damaged copies; ${whole} opened whole, ${shorter} without what nobody was told, ${refused} refused in words`);
    if (report.folder !== undefined) say(`  the folder is kept: ${report.folder}`);
  }
  if (endings !== undefined) {
    say(`closing and resolving: ${endings.kills} kills; ${endings.resolved} of ${endings.stories} channels resolved, ${endings.replaced} claims replaced, ${endings.events} events and ${endings.signatures} signatures audited`);
    if (endings.folder !== undefined) say(`  the folder is kept: ${endings.folder}`);
  }
  const losses = [...reports.flatMap(([, report]) => report.losses), ...(endings?.losses ?? [])];
  for (const [kind, words] of Object.entries(LOSSES) as [LossKind, string][]) say(`  ${String(losses.filter((loss) => loss.kind === kind).length).padStart(3)} ${words}`);
  say(`crash: ${sum(({ kills }) => kills) + (endings?.kills ?? 0)} kills, ${sum(({ succeeded }) => succeeded)} payments completed, ${losses.length} losses, ${Math.round((performance.now() - started) / 1000)} s, seed ${seed}`);
  return losses.length === 0 ? 0 : 1;
}
