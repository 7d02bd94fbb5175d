/** Pages of rows that have a name each. */
import { Problem } from './problems.ts';

export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly next?: string;
}

/** The rows behind the one named `after`. Throws Problem when there is none of that name. */
export function pageOf<Row>(rows: readonly Row[], nameOf: (row: Row) => string, limit: number, after?: string): Page<Row> {
  const start = after === undefined ? 0 : rows.findIndex((row) => nameOf(row) === after) + 1;
  if (after !== undefined && start === 0) throw new Problem(400, 'unknown_cursor', `after: expected \`next\` of an earlier page, got ${after}`, { got: after });
  const page = rows.slice(start, start + limit);
  const more = start + limit < rows.length;
  return { rows: page, ...(more ? { next: nameOf(page.at(-1)!) } : {}) };
}
