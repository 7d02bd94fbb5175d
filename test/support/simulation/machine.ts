/** A machine that runs a whole node on a disk of its own: it loses power at any persistence point, and boots again from what was durable. */
import { createSigner } from '../../../src/adapters/signer/local-signer.ts';
import type { HighWater } from '../../../src/adapters/signer/high-water.ts';
import type { LogStore } from '../../../src/adapters/store/log-store.ts';
import { createMemoryDisk, type MemoryDisk } from '../../../src/adapters/store/memory-storage.ts';
import { openMemoryStore } from '../../../src/adapters/store/memory.ts';
import { selectCoins } from '../../../src/adapters/wallet/coin-selection.ts';
import { fromHex } from '../../../src/bolt/primitives.ts';
import type { Chain } from '../../../src/domain/ports.ts';
import { OutcomeUnknown, RevisionConflict, StoreFull, type EventStore } from '../../../src/events/store.ts';
import { assembleNode, type AssembledNode } from '../../../src/node.ts';
import { hash } from '../words.ts';
import type { AppendFault, StoreFault } from './faults.ts';
import { keysOf, NETWORK, seedOf, signerOf } from './identities.ts';
import { never, RunningLife, type Life } from './life.ts';
import { after } from './virtual-time.ts';

export interface MachineWorld {
  readonly chain: Chain;
  now(): Date;
  onAppend(machine: string): AppendFault | undefined;
  /** How long an append takes on its way to the store, or its answer on the way back, ms. */
  storeDelay(): number;
  /** true or false by chance. */
  either(): boolean;
  onUp(machine: Machine): void;
  onDown(machine: Machine, rewind: boolean): void;
  log(machine: string, line: string): void;
}

/** What survives a crash. */
export interface MachineDisk {
  readonly log: MemoryDisk;
  /** The signer's own memory against rollback. */
  readonly marks: Map<number, HighWater>;
}

export const emptyDisk = (): MachineDisk => ({ log: createMemoryDisk(), marks: new Map() });

export function copyDisk({ log, marks }: MachineDisk): MachineDisk {
  const { rows, checkpoints, attachments, cursors } = log;
  const copy = { ...log, rows: [...rows], checkpoints: new Map(checkpoints), attachments: new Map(attachments), cursors: new Map(cursors) };
  return { log: copy, marks: new Map(marks) };
}

export class Machine {
  readonly name: string;
  readonly disk: MachineDisk;
  readonly #world: MachineWorld;
  #life: RunningLife | undefined;
  #lives = 0;

  constructor(name: string, disk: MachineDisk, world: MachineWorld) {
    this.name = name;
    this.disk = disk;
    this.#world = world;
  }

  /** Undefined while it is off, or still booting. */
  get life(): Life | undefined {
    return this.#life?.booted === true ? this.#life : undefined;
  }

  get node(): AssembledNode {
    if (this.life === undefined) throw new Error(`${this.name} is not up`);
    return this.life.node;
  }

  get lives(): number {
    return this.#lives;
  }

  /** The log as it stands on the disk. */
  openLog(): Promise<LogStore> {
    return openMemoryStore({ ...this.#logOptions(), disk: copyDisk(this.disk).log, verify: false });
  }

  #logOptions() {
    const signer = signerOf(this.name);
    return { nodeId: signer.nodeId, logKeySeed: signer.logKeySeed(), now: () => this.#world.now() };
  }

  /** Resolves when the node is up, or dead again. */
  async boot(): Promise<void> {
    const { marks, log: disk } = this.disk;
    const signer = createSigner(seedOf(this.name), { network: NETWORK, highWater: marks, onHighWater: (key, mark) => void marks.set(key, mark) });
    const life = new RunningLife(signer.nodeId, (line) => this.#world.log(this.name, line));
    const number = this.#lives++;
    this.#life = life;
    let drawn = 0;
    const store = this.#mortalStore(await openMemoryStore({ ...this.#logOptions(), disk, verify: false }), life);
    const booting = assembleNode({
      name: this.name,
      network: NETWORK,
      store,
      signer,
      chain: life.mortalChain(this.#world.chain),
      coins: { keys: keysOf(this.name), selectCoins },
      entropy: (length) => fromHex(hash(`${this.name} ${number} draws ${drawn++}`)).slice(0, length),
      now: () => this.#world.now(),
      crypto_backend: 'simulated',
      policy: { to_self_delay: 12, minimum_depth: 3 },
      fromHeight: (await this.#world.chain.tip()).height,
      onLog: (line) => life.log(line),
    });
    const node = await Promise.race([booting, life.ended]).catch((error: Error) => life.log(`cannot start: ${error.message}`));
    if (!life.alive) return;
    if (!node) return this.#crash(life, false);
    life.booted = true;
    life.node = node;
    this.#world.onUp(this);
  }

  /** Power is lost now, at no append in particular; it boots again by itself. */
  kill(): void {
    if (this.#life !== undefined) this.#crash(this.#life, false);
  }

  #crash(life: RunningLife, rewind: boolean): void {
    if (!life.alive) return;
    life.end();
    this.#life = undefined;
    this.#world.onDown(this, rewind);
  }

  /** The store as a mortal process sees it: it may fail, answer late, or be the last thing the process ever asked. */
  #mortalStore(inner: LogStore, life: RunningLife): EventStore {
    const { append, read, readAll, ...others } = inner;
    const write = (...given: Parameters<EventStore['append']>) => (life.diskless ? never<bigint>() : life.answer(append(...given)));
    return {
      ...others,
      append: async (...given) => {
        if (!life.alive || life.diskless) return never();
        const fault = this.#world.onAppend(this.name);
        life.log(`append ${given[0]} +${given[2].map(({ type }) => type).join()}${fault === undefined ? '' : ` (${fault.kind === 'crash' ? fault.point : fault.fault})`}`);
        await this.#storeTime(life);
        if (fault?.kind === 'crash') return this.#crashAt(fault, life, inner, () => write(...given));
        if (fault?.kind === 'store') return fail(fault.fault, given, () => write(...given));
        const revision = await write(...given);
        await this.#storeTime(life);
        return revision;
      },
      read: (stream, from) => life.answers(read(stream, from)),
      readAll: (from) => life.answers(readAll(from)),
      loadCursor: (name) => life.answer(inner.loadCursor(name)),
      saveCursor: (name, position) => (life.alive ? life.answer(inner.saveCursor(name, position)) : never()),
      attachment: (id) => life.answer(inner.attachment(id)),
      head: () => life.answer(inner.head()),
    };
  }

  async #storeTime(life: RunningLife): Promise<void> {
    const delay = this.#world.storeDelay();
    if (delay > 0) await life.answer(after(delay));
  }

  /** The process runs on for a moment: what it says too early leaves, and is on record with its peers. */
  async #crashAt({ point, rewind }: Extract<AppendFault, { kind: 'crash' }>, life: RunningLife, inner: LogStore, write: () => Promise<bigint>): Promise<bigint> {
    const die = (): void => {
      this.#crash(life, rewind);
      void inner.kill();
    };
    setTimeout(die, this.#world.either() ? 1 : 4);
    if (point === 'before_append' || point === 'before_answer') {
      const written = point === 'before_answer' ? write() : undefined;
      life.diskless = true;
      await written;
      return never();
    }
    const revision = await write();
    life.lastWords(point === 'between_messages' ? 1 : 0);
    return revision;
  }
}

async function fail(fault: StoreFault, [stream, expected]: Parameters<EventStore['append']>, write: () => Promise<bigint>): Promise<bigint> {
  switch (fault) {
    case 'lost_request':
      throw new OutcomeUnknown(stream, 'the request was lost');
    case 'lost_answer':
      await write();
      throw new OutcomeUnknown(stream, 'the answer was lost');
    case 'conflict':
      throw new RevisionConflict(stream, expected, expected);
    case 'full':
      throw new StoreFull('the plan says so');
  }
}
