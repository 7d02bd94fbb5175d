/** Machines in a row of two on framed wires that break: each connection after so many bytes of either direction, and perhaps with the power of a machine. */
import type { Fault } from './faults.ts';
import { FramedWire, NO_LIMITS, type Frame, type Limits } from './framed-wire.ts';
import { SimulatedNetwork, type OpenedRow } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Cut {
  /** Bytes that each direction of the connection carries. */
  readonly limits: Limits;
  /** When it breaks: once nothing can move any more, or with the first byte that finds no room. */
  readonly when: 'at_rest' | 'at_once';
  /** Who loses power in the same moment. */
  readonly dies?: string;
}

export interface CutOptions {
  /** Of the first connection, of the one after it, ...; those that follow last. */
  readonly cuts?: readonly Cut[];
  /** What goes wrong at appends and messages, once the network is armed. */
  readonly faults?: readonly Fault[];
  /** Of delays of the stores. Absent: everything is prompt. */
  readonly seed?: number;
  readonly trace?: (line: string) => void;
}

export class CutNetwork extends SimulatedNetwork {
  readonly #time: VirtualTime;
  readonly #joined: FramedWire[];
  readonly #cuts: readonly Cut[];
  /** Connections that broke as planned. */
  strikes = 0;

  constructor(row: OpenedRow, { cuts = [], faults, seed, trace }: CutOptions = {}) {
    const joined: FramedWire[] = [];
    const struck: { by?: (wire: FramedWire, cut: Cut) => void } = {};
    super({
      ...row,
      faults,
      seed,
      trace,
      wires(left, right, world) {
        const cut = cuts[joined.length];
        const wire: FramedWire = new FramedWire(left, right, world, cut?.limits ?? NO_LIMITS, () => cut?.when === 'at_once' && struck.by?.(wire, cut));
        joined.push(wire);
        return wire;
      },
    });
    this.#time = row.time;
    this.#joined = joined;
    this.#cuts = cuts;
    struck.by = (wire, cut) => void setImmediate(() => this.#strike(wire, cut));
  }

  /** What the first connection carried so far, each way. */
  get frames(): readonly [readonly Frame[], readonly Frame[]] {
    return this.#joined[0]!.frames;
  }

  /** As the others rest; what waits behind a limit is lost then. */
  override async rest(): Promise<void> {
    await this.#time.rest();
    for (let wire = this.#joined.at(-1); wire?.holds === true; wire = this.#joined.at(-1)) {
      this.#strike(wire, this.#cuts[this.#joined.length - 1]!);
      await this.#time.rest();
    }
    await super.rest();
  }

  #strike(wire: FramedWire, { dies }: Cut): void {
    if (wire.isCut) return;
    this.strikes++;
    this.log('wire', 'is cut');
    wire.cut();
    if (dies !== undefined) this.machine(dies).kill();
  }
}
