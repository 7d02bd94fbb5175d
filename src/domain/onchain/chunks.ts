/** A list in pieces: what one transaction, or one entry of the log, can hold. */

/** Pieces of at most `size` items, in their order. */
export function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, n) => items.slice(n * size, (n + 1) * size));
}
