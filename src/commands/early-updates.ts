/** BOLT 7: a channel_update may overtake the announcement of its channel (our own peer's often does): the newest few are held for it. */
import { CHANNEL_FLAG, type ChannelUpdate } from '../bolt/07-routing-gossip/announcements.ts';
import type { NodeId, ShortChannelId } from '../bolt/primitives.ts';

export interface EarlyUpdate {
  readonly from: NodeId;
  readonly message: ChannelUpdate;
}

/** Held in all; the oldest goes first. What is lost so is told again by whoever said it. */
const MAX_HELD = 256;

export class EarlyUpdates {
  readonly #held = new Map<string, EarlyUpdate>();

  /** One of each direction is held: the last that came. */
  hold(update: EarlyUpdate): void {
    const { short_channel_id, channel_flags } = update.message;
    const key = keyOf(short_channel_id, channel_flags & CHANNEL_FLAG.direction);
    this.#held.delete(key);
    this.#held.set(key, update);
    if (this.#held.size > MAX_HELD) this.#held.delete(this.#held.keys().next().value!);
  }

  /** The channel has been announced: what was said of it is handed out. */
  take(short_channel_id: ShortChannelId): readonly EarlyUpdate[] {
    const keys = [keyOf(short_channel_id, 0), keyOf(short_channel_id, CHANNEL_FLAG.direction)];
    const taken = keys.map((key) => this.#held.get(key)).filter((update) => update !== undefined);
    for (const key of keys) this.#held.delete(key);
    return taken;
  }
}

const keyOf = (short_channel_id: ShortChannelId, direction: number): string => `${short_channel_id}/${direction}`;
