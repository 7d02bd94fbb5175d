/** How long the property tests search: briefly at the desk, longer in CI, and from a given seed when asked. */

/** Set by CI services and by `.ci/run`. */
const inCi = process.env['CI'] === 'true' || process.env['CI'] === '1';

/** `FC_RUNS=20000 npm test -- test/property` searches as long as you like. */
const wished = Number(process.env['FC_RUNS'] ?? 0);

/** `FC_SEED=<seed of the failure>` repeats a run of any property. */
export const replaySeed = process.env['FC_SEED'] === undefined ? undefined : Number(process.env['FC_SEED']);

/** Runs of one property: `usual` at the desk, `ci` (five times as many unless told) under CI, FC_RUNS before both. */
export function runs(usual: number, ci: number = 5 * usual): number {
  if (wished > 0) return wished;
  return inCi ? ci : usual;
}
