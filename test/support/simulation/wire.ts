/** A connection between two machines: messages in order as bytes, each in its own time; when it is cut, both ends learn of it late. */
import { decodeMessage, encodeMessage, type Message } from '../../../src/bolt/messages.ts';
import type { Session } from '../../../src/commands/channel-context.ts';
import type { MessageFault } from './faults.ts';
import type { Life } from './life.ts';
import { after } from './virtual-time.ts';

export interface WireWorld {
  /** Asked for each message as it arrives. */
  onMessage(): MessageFault | undefined;
  /** A delay of this world's network, ms. */
  latency(): number;
  /** true or false by chance. */
  either(): boolean;
  /** The wire is cut: somebody should dial again. */
  onCut(): void;
}

/** Whatever joins two machines until it is cut. */
export interface Joint {
  readonly isCut: boolean;
  cut(): void;
}

interface End {
  readonly life: Life;
  readonly session: Session;
  /** Messages on their way to this end. */
  readonly coming: Uint8Array[];
  /** It has not heard yet that the wire is cut. */
  open: boolean;
  /** What was on its way when the wire was cut is lost. */
  deaf: boolean;
  pumping: boolean;
}

export class Wire implements Joint {
  readonly #world: WireWorld;
  readonly #ends: readonly [End, End];
  #cut = false;

  constructor(a: Life, b: Life, world: WireWorld) {
    this.#world = world;
    const end = (life: Life, peer: Life, other: 0 | 1): End => ({
      life,
      session: { peer_id: peer.node_id, send: (message) => this.#send(message, other), close: () => this.cut() },
      coming: [],
      open: true,
      deaf: false,
      pumping: false,
    });
    this.#ends = [end(a, b, 1), end(b, a, 0)];
    for (const { life, session } of this.#ends) life.node.inbox.connected(session);
  }

  get isCut(): boolean {
    return this.#cut;
  }

  joins(life: Life): boolean {
    return this.#ends.some((end) => end.life === life);
  }

  /** Each direction loses what is on its way, or delivers it still; each end hears of the cut in its own time. */
  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    for (const end of this.#ends) {
      end.deaf = this.#world.either();
      setTimeout(() => this.#tellEnd(end), this.#world.latency());
    }
    this.#world.onCut();
  }

  #tellEnd(end: End): void {
    end.open = false;
    if (end.life.alive) end.life.node.inbox.disconnected(end.session);
  }

  #send(message: Message, to: 0 | 1): boolean {
    const [end, from] = [this.#ends[to], this.#ends[1 - to]!];
    if (!from.life.alive || !from.open) return false;
    // Sent into a wire that is dead already, or by a machine whose last packets never leave.
    if (this.#cut || !from.life.mayStillSend()) return true;
    end.coming.push(encodeMessage(message));
    if (!end.pumping) void this.#pump(end);
    return true;
  }

  async #pump(end: End): Promise<void> {
    end.pumping = true;
    while (end.coming.length > 0) {
      await after(this.#world.latency());
      if (!end.open || end.deaf || !end.life.alive) break;
      await this.#deliver(end, end.coming.shift()!);
    }
    end.pumping = false;
  }

  async #deliver(end: End, bytes: Uint8Array): Promise<void> {
    const fault = this.#world.onMessage();
    if (fault?.kind === 'cut') {
      end.coming.length = 0;
      return this.cut();
    }
    const message = decodeMessage(bytes) as Message;
    const times = fault?.kind === 'twice' && endsAnHtlc.has(message.type) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      end.life.log(`<- ${message.type}`);
      await end.life.node.inbox.receive(message, end.session);
    }
  }
}

/** What careless peers are known to have said twice (safety 24). */
const endsAnHtlc: ReadonlySet<Message['type']> = new Set<Message['type']>(['update_fulfill_htlc', 'update_fail_htlc']);
