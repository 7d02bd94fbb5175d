/** The routes that act on a node, under one roof: what each of them is handed. */
import type { FastifyInstance } from 'fastify';
import { createIdempotency, type Idempotency } from '../idempotency.ts';
import type { ControlledNode } from '../control.ts';
import type { Nodes } from '../nodes.ts';
import { channelActions } from './channel-actions.ts';
import { nodeActions } from './node-actions.ts';
import { paymentActions } from './payment-actions.ts';
import { walletActions } from './wallet-actions.ts';

export interface Acting {
  readonly control: ControlledNode;
  readonly idempotency: Idempotency;
  /** The node's rows, for answers that show one. */
  readonly nodes: Nodes;
}

export function actingRoutes(app: FastifyInstance, nodes: Nodes, control: ControlledNode): void {
  const acting: Acting = { control, nodes, idempotency: createIdempotency(control.node_id) };
  for (const add of [nodeActions, channelActions, paymentActions, walletActions]) add(app, acting);
}
