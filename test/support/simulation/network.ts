/** A row of machines on one chain, each with channels to its neighbours: real nodes, no socket, no file, no clock; every run of a plan is the same run. */
import { createRegtestChain, type RegtestChain } from '../../../src/adapters/chain/regtest.ts';
import { msat, sat, type Msat, type Sat } from '../../../src/bolt/primitives.ts';
import { balances } from '../../../src/domain/channel/commitment-spec.ts';
import { isEstablished } from '../../../src/domain/channel/state.ts';
import type { Life } from './life.ts';
import { FaultPlan, seeded, type AppendFault, type Fault, type MessageFault } from './faults.ts';
import { copyDisk, emptyDisk, Machine, type MachineDisk, type MachineWorld } from './machine.ts';
import { after, type VirtualTime } from './virtual-time.ts';
import { Wire, type Joint, type WireWorld } from './wire.ts';

/** The disks of a row of machines, at rest. */
export interface OpenedRow {
  readonly time: VirtualTime;
  readonly chain: RegtestChain;
  /** By name, in the order of the row. */
  readonly disks: ReadonlyMap<string, MachineDisk>;
  /** Virtual time at which its last run ended, ms: another one begins here. */
  readonly at: number;
}

export interface NetworkOptions extends OpenedRow {
  /** Of delays and of what a cut wire loses. Absent: everything is prompt. */
  readonly seed?: number;
  readonly faults?: readonly Fault[];
  /** What joins two machines that dial each other; a plain wire unless told. */
  readonly wires?: (a: Life, b: Life, world: WireWorld) => Joint;
  /** Hears what each machine does. */
  readonly trace?: (line: string) => void;
}

/** How long a machine stays off after a crash, ms, at most. */
const REPAIR = 40;
/** Unix milliseconds at which every simulation begins. */
const EPOCH = 1_800_000_000_000;

export class SimulatedNetwork implements MachineWorld, WireWorld {
  readonly chain: RegtestChain;
  readonly machines: readonly Machine[];
  readonly #time: VirtualTime;
  readonly #chance: ((below: number) => number) | undefined;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #wires = new Map<number, Joint>();
  readonly #join: NonNullable<NetworkOptions['wires']>;
  #plan = new FaultPlan([]);
  #faults: readonly Fault[];

  constructor({ time, chain, disks, at, seed, faults = [], wires = (a, b, world) => new Wire(a, b, world), trace }: NetworkOptions) {
    time.restart(at);
    this.#time = time;
    this.chain = chain;
    this.#chance = seed === undefined ? undefined : seeded(seed);
    this.#faults = faults;
    this.#join = wires;
    this.#trace = trace;
    this.machines = [...disks].map(([name, disk]) => new Machine(name, copyDisk(disk), this));
  }

  machine(name: string): Machine {
    return this.machines.find((machine) => machine.name === name)!;
  }

  /** From here on appends and messages are counted, and the plan's faults come to pass. */
  arm(): void {
    this.#plan = new FaultPlan(this.#faults);
  }

  /** What the plan has counted so far. */
  get counted(): Pick<FaultPlan, 'appends' | 'messages'> {
    return this.#plan;
  }

  /** Resolves when nothing moves any more and every machine is up and connected. */
  async rest(): Promise<void> {
    await this.#time.rest();
    const off = this.machines.filter((machine) => machine.life === undefined).map(({ name }) => name);
    if (off.length > 0) throw new Error(`still off: ${off.join()}`);
    const apart = this.#pairs().filter((pair) => this.#wires.get(pair)?.isCut !== false);
    if (apart.length > 0) throw new Error(`not connected: ${apart.map((pair) => this.machines[pair]!.name).join()}`);
  }

  async boot(): Promise<void> {
    for (const machine of this.machines) void machine.boot();
    await this.rest();
  }

  /** What a promise comes to while everything else moves until it rests. */
  async meanwhile<T>(promise: Promise<T>): Promise<T> {
    const [value] = await Promise.all([promise, this.#time.rest()]);
    return value;
  }

  /** Lets virtual time pass; nothing is under way. */
  async pass(ms: number): Promise<void> {
    void after(ms);
    await this.#time.rest();
  }

  // ---- for machines and wires

  now(): Date {
    return new Date(EPOCH + this.#time.now());
  }

  onAppend(machine: string): AppendFault | undefined {
    return this.#plan.onAppend(machine);
  }

  onMessage(): MessageFault | undefined {
    return this.#plan.onMessage();
  }

  either(): boolean {
    return this.#chance !== undefined && this.#chance(2) === 1;
  }

  latency(): number {
    return this.#chance === undefined ? 0 : this.#chance(4);
  }

  /** Mostly none, often a little, now and then long enough for everybody else to go on. */
  storeDelay(): number {
    const luck = this.#draw(32);
    return luck === 31 ? 300 : luck > 22 ? luck - 22 : 0;
  }

  onUp(machine: Machine): void {
    this.log(machine.name, 'is up');
    for (const pair of this.#pairs()) this.#dialSoon(pair);
  }

  onDown(machine: Machine, rewind: boolean): void {
    for (const wire of this.#wires.values()) if (this.#endsOf(wire).includes(machine)) wire.cut();
    if (rewind) machine.disk.log.cursors.clear();
    setTimeout(() => void machine.boot(), 2 + this.#draw(REPAIR));
  }

  onCut(): void {
    for (const pair of this.#pairs()) this.#dialSoon(pair);
  }

  /** What a machine said no to, of what a peer said; not counted where the plan repeats messages. */
  readonly refusals: string[] = [];

  log(machine: string, line: string): void {
    if (line.includes(': refused: ') && !this.#faults.some(({ kind }) => kind === 'twice')) this.refusals.push(`${machine}: ${line}`);
    this.#trace?.(`${String(this.#time.now()).padStart(6)} ${machine.padEnd(5)} ${line}`);
  }

  #draw(below: number): number {
    return this.#chance === undefined ? 0 : this.#chance(below);
  }

  /** A pair is the place of its left machine in the row. */
  #pairs(): readonly number[] {
    return this.machines.slice(1).map((_, index) => index);
  }

  #endsOf(wire: Joint): readonly Machine[] {
    const pair = this.#pairs().find((index) => this.#wires.get(index) === wire);
    return pair === undefined ? [] : [this.machines[pair]!, this.machines[pair + 1]!];
  }

  #dialSoon(pair: number): void {
    setTimeout(() => this.#dial(pair), 1 + this.#draw(12));
  }

  #dial(pair: number): void {
    const [a, b] = [this.machines[pair]!.life, this.machines[pair + 1]!.life];
    if (a === undefined || b === undefined) return;
    const wire = this.#wires.get(pair);
    if (wire?.isCut === false) return;
    this.#wires.set(pair, this.#join(a, b, this));
  }
}

export interface RowChannel {
  readonly funding_satoshis: Sat;
  readonly push_msat: Msat;
}

/** Channels between neighbours, opened by real messages on a real chain, announced, and known to all. */
export async function openRow(time: VirtualTime, names: readonly string[], channels: readonly RowChannel[]): Promise<OpenedRow> {
  const chain = createRegtestChain();
  const network = new SimulatedNetwork({ time, chain, at: 0, disks: new Map(names.map((name) => [name, emptyDisk()])) });
  await network.boot();
  for (const { node } of network.machines) chain.fund((await node.wallet.address('pocket money')).script_pubkey, sat(10_000_000));
  await mine(network, 6);
  for (const [index, channel] of channels.entries()) {
    const [opener, accepter] = [network.machines[index]!.node, network.machines[index + 1]!.node];
    await network.meanwhile(opener.openChannel({ peer_id: accepter.node_id, ...channel }));
  }
  await mine(network, 8);
  for (const { name, node } of network.machines) {
    const missing = node.channels().filter(({ usable }) => !usable).length + channels.length - node.graph().channels.size;
    if (missing > 0) throw new Error(`${name} misses ${missing} channels`);
  }
  // As at a clean end: what follows begins with a boot.
  for (const { node } of network.machines) await network.meanwhile(node.stop());
  return { time, chain, at: time.now(), disks: new Map(network.machines.map(({ name, disk }) => [name, copyDisk(disk)])) };
}

async function mine(network: SimulatedNetwork, blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block++) {
    network.chain.mineBlocks(1);
    await network.rest();
  }
}

/** What a machine has in its channels, msat: its own balances, without what hangs in HTLCs. */
export function channelFunds(machine: Machine): Msat {
  const own = machine.node.channels().map(({ state }) => (isEstablished(state) ? balances(state).local_msat : 0n));
  return msat(own.reduce<bigint>((sum, amount) => sum + amount, 0n));
}
