/** GET /healthz: whether every node's view follows its log. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { LiveNode, Nodes } from '../nodes.ts';
import { problemResponses } from '../problems.ts';
import { plain, position, time } from '../schemas.ts';

const nodeHealth = z.object({
  node: z.string(),
  node_id: z.string(),
  store: z.string(),
  position: position.optional(),
  recorded_at: time.optional(),
  events: z.int(),
  problem: z.string().optional(),
});

const health = z.object({ status: z.enum(['ok', 'degraded']), nodes: z.array(nodeHealth) });

export function healthRoutes(app: FastifyInstance, nodes: Nodes): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    '/healthz',
    { schema: { summary: 'Is all well?', tags: ['health'], response: { 200: health, 503: health, ...problemResponses } } },
    async (_request, reply) => {
      const rows = nodes.all.map(healthOf);
      const well = rows.every(({ problem }) => problem === undefined);
      return reply.code(well ? 200 : 503).send(plain({ status: well ? 'ok' : 'degraded', nodes: rows }) as never);
    },
  );
}

function healthOf({ name, node_id, store, live }: LiveNode) {
  const { rows: _rows, ...place } = live.read(() => undefined);
  return { node: name, node_id, store: store.name, ...place, problem: live.problem()?.message };
}
