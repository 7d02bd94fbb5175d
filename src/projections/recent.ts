/** Rows of stories that end, kept in bounded memory: the newest of those that ended, and every one that has not. */

/** Rows by stream, oldest first. */
export type Rows<R> = Map<string, R>;

/** How many rows the live views keep of payments, invoices and relays each; the log keeps all. */
export const KEPT_ROWS = 10_000;

/** Puts a row in its place and drops the oldest one that ended when there are too many. */
export function keepRow<R>(rows: Rows<R>, stream: string, row: R, ended: (row: R) => boolean, most: number): void {
  rows.set(stream, row);
  if (rows.size <= most) return;
  for (const [name, oldest] of rows) {
    if (!ended(oldest)) continue;
    rows.delete(name);
    return;
  }
}
