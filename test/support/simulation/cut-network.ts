/** Two machines on a framed wire that breaks once: after so many bytes of either direction, and perhaps with the power of one of them. */
import { FramedWire, NO_LIMITS, type Frame, type Limits } from './framed-wire.ts';
import { SimulatedNetwork, type OpenedRow } from './network.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface CutPlan {
  /** Bytes that each direction of the first connection carries. */
  readonly limits: Limits;
  /** When it breaks: once nothing can move any more, or with the first byte that finds no room. */
  readonly when: 'at_rest' | 'at_once';
  /** Who loses power in the same moment. */
  readonly dies?: string;
}

export class CutNetwork extends SimulatedNetwork {
  readonly #time: VirtualTime;
  readonly #joined: FramedWire[];
  readonly #plan: CutPlan | undefined;
  /** It broke as planned. */
  struck = false;

  constructor(row: OpenedRow, plan?: CutPlan, trace?: (line: string) => void) {
    const joined: FramedWire[] = [];
    const held: { strike?: () => void } = {};
    super({
      ...row,
      trace,
      wires(left, right, world) {
        const limits = joined.length === 0 && plan !== undefined ? plan.limits : NO_LIMITS;
        const wire = new FramedWire(left, right, world, limits, () => plan?.when === 'at_once' && held.strike?.());
        joined.push(wire);
        return wire;
      },
    });
    this.#time = row.time;
    this.#joined = joined;
    this.#plan = plan;
    held.strike = () => setImmediate(() => this.#strike());
  }

  /** What the first connection carried so far, each way. */
  get frames(): readonly [readonly Frame[], readonly Frame[]] {
    return this.#joined[0]!.frames;
  }

  override async rest(): Promise<void> {
    await this.#time.rest();
    if (this.#joined[0]?.holds === true) this.#strike();
    await super.rest();
  }

  #strike(): void {
    if (this.struck) return;
    this.struck = true;
    this.log('wire', 'is cut');
    this.#joined[0]!.cut();
    if (this.#plan?.dies !== undefined) this.machine(this.#plan.dies).kill();
  }
}
