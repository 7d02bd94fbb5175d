/** A turn that owes nothing to anybody may still be on its way to the disk while the next one is decided on it: one at a time. */

export interface TurnAhead {
  /** Undefined when none is under way. Never rejects. */
  readonly pending: Promise<void> | undefined;
  /** `durable`: the turn's append and what is said of it. `onLost`: it will never be durable; what was decided on it is void. */
  start(durable: Promise<void>, onLost: (error: Error) => void): void;
  /** Waits for it. Throws what it was lost by. */
  settled(): Promise<void>;
  /** What it was lost by, told once. */
  takeLoss(): Error | undefined;
}

export function createTurnAhead(): TurnAhead {
  let pending: Promise<void> | undefined;
  let lost: Error | undefined;

  return {
    get pending() {
      return pending;
    },
    start(durable, onLost) {
      const made = durable
        .catch((error: Error) => {
          lost = error;
          onLost(error);
        })
        .finally(() => {
          if (pending === made) pending = undefined;
        });
      pending = made;
    },
    async settled() {
      await pending;
      if (lost !== undefined) throw lost;
    },
    takeLoss() {
      const error = lost;
      lost = undefined;
      return error;
    },
  };
}
