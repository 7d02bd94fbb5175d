/** Chance with a seed: a story that went wrong is told again the same way. */
import { sha256 } from '@noble/hashes/sha2.js';

export interface Dice {
  /** As it is given to `INTEROP_SEED`. */
  readonly seed: number;
  coin(): boolean;
  pick<T>(choices: readonly T[]): T;
}

/** The names make each story's dice its own, whichever stories are told before it. */
export function rollDice(seed: number, ...names: readonly string[]): Dice {
  let rolls = 0;
  const next = (): number => new DataView(sha256(new TextEncoder().encode([seed, ...names, rolls++].join(' '))).buffer).getUint32(0);
  return { seed, coin: () => next() % 2 === 0, pick: (choices) => choices[next() % choices.length]! };
}
