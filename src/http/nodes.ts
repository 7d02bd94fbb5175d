/** The nodes an API serves: each with a live view of its log, and folds of its past. */
import type { NodeId } from '../bolt/primitives.ts';
import type { EventStore } from '../events/store.ts';
import { runLive, type LiveProjection } from '../projections/live.ts';
import { nodeView, type NodeView } from '../projections/node-view.ts';
import { foldUntil, parseUntil, type AsOf, type Until } from '../projections/projection.ts';
import { Problem } from './problems.ts';

/** A node as the composition root hands it in; the API only reads its store. */
export interface ServedNode {
  readonly name: string;
  readonly node_id: NodeId;
  readonly store: EventStore;
}

export interface LiveNode extends ServedNode {
  readonly live: LiveProjection<NodeView, unknown>;
}

export interface Nodes {
  readonly all: readonly LiveNode[];
  /** Those a request names: one by name or node_id, or all. Throws Problem. */
  named(name: string | undefined): readonly LiveNode[];
  stop(): void;
}

export function followNodes(served: readonly ServedNode[]): Nodes {
  const all = served.map((node) => Object.assign({}, node, { live: runLive(node.store, nodeView) }));
  return {
    all,
    named(name) {
      const found = all.filter((node) => name === undefined || node.name === name || node.node_id === name);
      if (found.length > 0 || name === undefined) return found;
      throw new Problem(404, 'unknown_node', `node: expected one of ${all.map((node) => node.name).join(', ')}, got ${name}`, { expected: all.map((node) => node.name), got: name });
    },
    stop: () => all.forEach(({ live }) => live.stop()),
  };
}

/** Folds of the past that may run at a time: each reads a log from its start. */
const MAX_FOLDS = 4;
let folds = 0;

/** Rows of one node, and the place in its log that they are of. */
export type NodeRows<Rows> = AsOf<Rows> & { readonly node: string };

/**
 * Rows of each node as they are now (from its live view) or were then (folded from its store). Throws Problem for a
 * position beyond a log, or too many folds at a time.
 */
export async function rowsOf<Rows>(nodes: readonly LiveNode[], as_of: string | undefined, rows: (view: NodeView) => Rows): Promise<readonly NodeRows<Rows>[]> {
  if (as_of === undefined) return Promise.all(nodes.map(async (node) => ({ node: node.name, ...(await now(node, rows)) })));
  const until = parseUntil(as_of)!;
  await checkUntil(nodes, until);
  if (folds >= MAX_FOLDS) throw new Problem(503, 'too_many_folds', `answers about the past in the making: expected less than ${MAX_FOLDS}, got ${folds}`, { expected: MAX_FOLDS, got: folds });
  folds += 1;
  try {
    const past: NodeRows<Rows>[] = [];
    for (const { name, store } of nodes) past.push({ node: name, ...(await foldUntil({ ...nodeView, rows }, store.readAll(), until)) });
    return past;
  } finally {
    folds -= 1;
  }
}

/** The places alone. */
export const placesOf = (found: readonly NodeRows<unknown>[]) => found.map(({ rows: _rows, ...place }) => place);

/** The live view has caught up with all that was durable when the question came. */
async function now<Rows>({ name, live }: LiveNode, rows: (view: NodeView) => Rows): Promise<AsOf<Rows>> {
  try {
    await live.reached();
  } catch (error) {
    throw new Problem(503, 'projection_stopped', `node ${name}: ${(error as Error).message}`, { node: name });
  }
  return live.read(rows);
}

/** A position is asked of each log for itself. */
async function checkUntil(nodes: readonly LiveNode[], { position }: Until): Promise<void> {
  if (position === undefined) return;
  for (const { name, store } of nodes) {
    const head = await store.head();
    if (position <= (head ?? -1n)) continue;
    const detail = `as_of: expected a position of the log of ${name}, up to ${head ?? 'none'}, got ${position}`;
    throw new Problem(400, 'position_out_of_range', detail, { node: name, expected: head?.toString(), got: position.toString() });
  }
}
