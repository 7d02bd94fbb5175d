/** Where a reader stands in the logs of several nodes: `alice:120,bob:80`, or one position where one node is read. */
import type { LiveNode } from './nodes.ts';
import { Problem } from './problems.ts';

/** The last position seen of each node, by name; a node without one is read from its start. */
export type Cursor = ReadonlyMap<string, bigint>;

export function formatCursor(cursor: Cursor, nodes: readonly LiveNode[]): string {
  const [only] = nodes;
  if (nodes.length === 1) return String(cursor.get(only!.name) ?? '');
  return nodes.flatMap(({ name }) => (cursor.has(name) ? [`${encodeURIComponent(name)}:${cursor.get(name)}`] : [])).join(',');
}

/** Throws Problem unless every part names a node that is read and a position. */
export function parseCursor(text: string | undefined, nodes: readonly LiveNode[]): Cursor {
  const cursor = new Map<string, bigint>();
  for (const part of text === undefined || text === '' ? [] : text.split(',')) {
    const [, encoded, position] = /^(?:([^:]+):)?(\d{1,19})$/.exec(part) ?? [];
    const name = encoded === undefined && nodes.length === 1 ? nodes[0]!.name : decode(encoded);
    if (position === undefined || !nodes.some((node) => node.name === name)) {
      const expected = nodes.length === 1 ? 'a position' : nodes.map((node) => `${encodeURIComponent(node.name)}:<position>`).join(',');
      throw new Problem(400, 'invalid_cursor', `after: expected ${expected}, got ${text}`, { expected, got: text });
    }
    cursor.set(name!, BigInt(position));
  }
  return cursor;
}

function decode(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
