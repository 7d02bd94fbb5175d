/** Values as JSON can say them. */
type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/** A value as JSON can say it: bigints as decimal text, what is undefined left out. */
export function plain(value: unknown): Plain {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value as Plain;
  return Object.fromEntries(Object.entries(value).flatMap(([key, field]) => (field === undefined ? [] : [[key, plain(field)]])));
}
