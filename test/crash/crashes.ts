/** The crash run: payments flow, processes are killed as the plan says, the line must be whole and paying again each time; and the books are checked at every rest. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseCryptoBackend } from '../../src/bolt/crypto-native.ts';
import { sleep, until } from '../../src/playground/waiting.ts';
import { startServerProcess, type ServerProcess } from '../support/esdb-process.ts';
import { checkAtRest } from './laws.ts';
import { Losses, RunBroken, type Loss } from './losses.ts';
import { describeStep, drawPlan, killsOf, NAMES, seededChance, type Chance, type Name, type Step } from './plan.ts';
import { compileProgram } from './program.ts';
import { copyFolder } from './torn-files.ts';
import { checkTornTails, emptyTornTally, type TornTally, type Wreck } from './torn-tails.ts';
import { startTraffic, type Traffic } from './traffic.ts';
import { numbersSpoken } from './wire-laws.ts';
import { World } from './world.ts';

export interface CrashOptions {
  readonly seed: number;
  readonly kills: number;
  /** Where the logs are: files, our event server in a process of its own, or the server at an address. */
  readonly store: 'sqlite' | 'server' | { readonly url: string };
  /** How often our event server is killed, too. */
  readonly serverKills?: number;
  /** Kills between two rests. */
  readonly restEvery?: number;
  readonly say?: (line: string) => void;
  /** Every so many kills the folder of a dead node is copied, and the copies are damaged. SQLite alone. */
  readonly tearEvery?: number;
}

export interface CrashReport {
  readonly kills: number;
  readonly serverKills: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Over all logs, at the last rest. */
  readonly events: number;
  readonly signatures: number;
  readonly losses: readonly Loss[];
  /** Damaged copies, and how they opened. */
  readonly torn: TornTally;
  /** Milliseconds from each kill until the line was whole and had carried a payment from end to end. */
  readonly resumed: readonly number[];
  /** Kept when something was lost. */
  readonly folder: string | undefined;
}

/** Runs the plan of a seed to its end, or to the first loss after which it cannot go on. */
export async function runCrashes(options: CrashOptions): Promise<CrashReport> {
  await chooseCryptoBackend();
  const program = compileProgram();
  const folder = mkdtempSync(join(tmpdir(), 'fulgurite-crash-'));
  const say = options.say ?? (() => undefined);
  const losses = new Losses(({ kind, what }) => say(`  LOST (${kind}): ${what}`));
  const run = new Run(options, folder, program.file, losses, say);
  try {
    await run.make();
  } catch (error) {
    if (!(error instanceof RunBroken)) throw error;
  } finally {
    await run.destroy();
    program.remove();
    if (losses.found.length === 0) rmSync(folder, { recursive: true, force: true });
  }
  return { ...run.numbers(), losses: losses.found, folder: losses.found.length === 0 ? undefined : folder };
}


class Run {
  readonly #options: CrashOptions;
  readonly #folder: string;
  readonly #program: string;
  readonly #losses: Losses;
  readonly #say: (line: string) => void;
  #server: ServerProcess | undefined;
  #world!: World;
  #traffic: Traffic | undefined;
  #funds: ReadonlyMap<Name, bigint> = new Map();
  #kills = 0;
  #serverKills = 0;
  #books = { events: 0, signatures: 0 };
  readonly #resumed: number[] = [];
  readonly #torn = emptyTornTally();
  readonly #tornChance: Chance;
  readonly #weather: Chance;
  #wreck: Wreck | undefined;
  #tornAt = 0;

  constructor(options: CrashOptions, folder: string, program: string, losses: Losses, say: (line: string) => void) {
    this.#options = options;
    this.#tornChance = seededChance(options.seed ^ 0x7047);
    this.#weather = seededChance(options.seed ^ 0xb10c);
    this.#folder = folder;
    this.#program = program;
    this.#losses = losses;
    this.#say = say;
  }

  numbers() {
    const ended = this.#traffic?.ended.length ?? 0;
    const succeeded = this.#traffic?.succeeded() ?? 0;
    return { kills: this.#kills, serverKills: this.#serverKills, succeeded, failed: ended - succeeded, resumed: this.#resumed, torn: this.#torn, ...this.#books };
  }

  async make(): Promise<void> {
    const { seed, kills, serverKills = 0, restEvery = 34, store } = this.#options;
    await this.#open();
    this.#traffic = startTraffic({ world: this.#world, chance: seededChance(seed ^ 0x5eed), losses: this.#losses, width: store === 'sqlite' ? 4 : 2 });
    this.#traffic.start();
    let rested = 0;
    for (const step of drawPlan(seed, kills, serverKills)) {
      await this.#take(step);
      await this.#tear();
      if (this.#kills - rested < restEvery) continue;
      rested = this.#kills;
      await this.#rest();
      this.#traffic.start();
    }
    await this.#traffic.pause();
    await this.#world.rest();
    await this.#world.stop();
    await this.#check('closed in good order');
  }

  async #open(): Promise<void> {
    const { store } = this.#options;
    if (store === 'server') this.#server = await startServerProcess(join(this.#folder, 'server.sqlite'));
    const { losses, program, dataDir } = { losses: this.#losses, program: this.#program, dataDir: this.#folder };
    this.#world = new World({ dataDir, program, losses, esdb: this.#esdb() });
    await this.#world.open();
    await this.#world.rest();
    this.#funds = new Map(await Promise.all(NAMES.map(async (name) => [name, await this.#world.funds(name)] as const)));
  }

  #esdb(): string | undefined {
    const { store } = this.#options;
    return typeof store === 'object' ? store.url : this.#server?.url;
  }

  // ---- one step

  async #take(step: Step): Promise<void> {
    const payments = this.#traffic!.succeeded();
    if (this.#weather(3) === 0) this.#world.mine(1, 500 + this.#weather(2_000));
    const [since, during] = await this.#strike(step);
    await this.#world.whole();
    const whole = performance.now();
    await until('a payment over the whole line', () => (this.#traffic!.hasCrossedSince(whole) ? [] : ['one']), { timeoutMs: 60_000 }).catch((error: Error) => {
      this.#losses.add('resumed', error.message);
      throw new RunBroken(error.message);
    });
    const took = performance.now() - since;
    this.#resumed.push(took);
    const count = step.kind === 'server' ? `server ${this.#serverKills}` : `kill ${this.#kills}`;
    this.#say(`${count.padEnd(9)} ${during.padEnd(58)} paying again after ${(took / 1000).toFixed(1)} s, ${this.#traffic!.succeeded() - payments} payments`);
  }

  /** Kills, and starts again. Answers when the power went. */
  async #strike(step: Step): Promise<readonly [number, string]> {
    this.#kills += killsOf(step);
    switch (step.kind) {
      case 'moment':
        await sleep(step.afterMs);
        return [await this.#killAndWake(step.victims), describeStep(step)];
      case 'append':
        await this.#world.node(step.victim)!.light(step.fuse).catch(() => undefined);
        await Promise.race([this.#world.gone(step.victim), sleep(LONGEST_FUSE_MS)]);
        return [await this.#killAndWake([step.victim]), describeStep(step)];
      case 'waking':
        await this.#killWhileWaking(step);
        return [await this.#killAndWake([step.victim]), describeStep(step)];
      case 'server':
        await sleep(step.afterMs);
        return [await this.#killServer(step.awayMs), describeStep(step)];
    }
  }

  async #killAndWake(victims: readonly Name[]): Promise<number> {
    await this.#world.kill(...victims);
    const since = performance.now();
    this.#copyWreck(victims[0]!);
    await Promise.all(victims.map((name) => this.#wake(name)));
    await this.#world.connect(victims);
    return since;
  }

  /** A node that does not start from its log has lost everything. */
  async #wake(name: Name): Promise<void> {
    await this.#world.wake(name).catch((error: Error) => {
      this.#losses.add('resumed', error.message);
      throw new RunBroken(error.message);
    });
  }

  async #killWhileWaking({ victim, again }: Extract<Step, { kind: 'waking' }>): Promise<void> {
    await this.#world.kill(victim);
    const waking = 'fuse' in again ? { fuse: again.fuse } : { onSpawn: (child: { kill(signal: 'SIGKILL'): unknown }) => void setTimeout(() => child.kill('SIGKILL'), again.afterMs) };
    // It may die before it is up, or soon after.
    const up = await this.#world.wake(victim, waking).then(() => true, (error: Error) => this.#diedByOurHand(error));
    if (!up) return;
    await this.#world.connect([victim]);
    await Promise.race([this.#world.gone(victim), sleep(LONGEST_FUSE_MS)]);
  }

  #diedByOurHand(error: Error): false {
    if (/ended before it was ready| is gone/.test(error.message)) return false;
    this.#losses.add('resumed', error.message);
    throw new RunBroken(error.message);
  }

  /** Now and then, of one that just died. */
  #copyWreck(name: Name): void {
    const { tearEvery } = this.#options;
    if (tearEvery === undefined || this.#kills - this.#tornAt < tearEvery) return;
    this.#tornAt = this.#kills;
    const folder = join(this.#folder, 'wrecks', String(this.#kills), name);
    copyFolder(this.#world.folder(name), folder);
    this.#wreck = { name, folder, told: [...this.#world.told(name)], spoken: numbersSpoken(this.#world.wire(name)) };
  }

  /** What would the dead one have found on a worse disk? */
  async #tear(): Promise<void> {
    const wreck = this.#wreck;
    if (wreck === undefined) return;
    this.#wreck = undefined;
    await this.#traffic!.pause();
    const before = { ...this.#torn };
    const refused = await checkTornTails(wreck, this.#tornChance, this.#torn, this.#losses);
    if (refused !== undefined) await this.#world.mustNotWake(wreck.name, refused);
    const grown = (what: keyof TornTally) => this.#torn[what] - before[what];
    this.#say(`          torn copies of ${wreck.name}: ${grown('whole')} opened whole, ${grown('shorter')} without what nobody was told, ${grown('refused')} refused`);
    rmSync(join(this.#folder, 'wrecks'), { recursive: true });
    this.#traffic!.start();
  }

  async #killServer(awayMs: number): Promise<number> {
    const since = performance.now();
    this.#serverKills += 1;
    const { port } = this.#server!;
    await this.#server!.kill();
    await sleep(awayMs);
    this.#server = await startServerProcess(join(this.#folder, 'server.sqlite'), port);
    return since;
  }

  // ---- rests

  async #rest(): Promise<void> {
    await this.#traffic!.pause();
    await this.#world.rest();
    await this.#check('at rest');
  }

  async #check(when: string): Promise<void> {
    const before = this.#losses.found.length;
    this.#books = await checkAtRest(this.#world, this.#traffic!.ended, this.#funds, this.#losses, this.#esdb());
    const found = this.#losses.found.length - before;
    this.#say(`${when}: ${this.#books.events} events audited, ${this.#books.signatures} signatures verified, ${this.#traffic!.ended.length} payments followed from end to end: ${found === 0 ? 'clean' : `${found} losses`}`);
  }

  async destroy(): Promise<void> {
    this.#traffic?.abandon();
    await this.#world?.destroy();
    await this.#server?.kill();
  }
}

/** A fuse that nothing burns down is cut: its node is killed at that moment instead. */
const LONGEST_FUSE_MS = 4_000;
