/** Which events are dealt with: many finish out of order, the place moves only past what is finished from the oldest on. */
import type { Position } from '../events/store.ts';

/** An event being dealt with; `left`: parts not finished. */
export interface Taken {
  readonly position: Position;
  left: number;
}

export interface Frontier {
  /** In the order of the log. */
  take(position: Position, parts: number): Taken;
  finishPart(taken: Taken): void;
  /** The position below which (and at which) all is finished. */
  place(): Position | undefined;
  /** Events that have fallen behind the place so far. */
  passed(): number;
}

const COMPACT_AT = 1_024;

export function createFrontier(start: Position | undefined): Frontier {
  let queue: Taken[] = [];
  let head = 0;
  let place = start;
  let passed = 0;

  function advance(): void {
    for (let oldest = queue[head]; oldest !== undefined && oldest.left === 0; oldest = queue[++head]) {
      place = oldest.position;
      passed++;
    }
    if (head < COMPACT_AT) return;
    queue = queue.slice(head);
    head = 0;
  }

  return {
    take(position, parts) {
      const taken: Taken = { position, left: parts };
      queue.push(taken);
      if (parts === 0) advance();
      return taken;
    },
    finishPart(taken) {
      if (--taken.left === 0) advance();
    },
    place: () => place,
    passed: () => passed,
  };
}
