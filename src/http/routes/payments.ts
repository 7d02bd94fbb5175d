/** GET /v1/payments, /v1/invoices, /v1/relays: the newest first, each with its whole timeline. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { invoices } from '../../projections/invoices.ts';
import type { NodeView } from '../../projections/node-view.ts';
import { payments } from '../../projections/payments.ts';
import { relays } from '../../projections/relays.ts';
import { placesOf, rowsOf, type Nodes } from '../nodes.ts';
import { pageOf } from '../paging.ts';
import { problemResponses } from '../problems.ts';
import { afterParameter, amount, asOf, asOfParameter, limitParameter, next, nodeParameter, plain, time } from '../schemas.ts';

const status = z.enum(['in_flight', 'succeeded', 'failed']);
const hop = z.object({ short_channel_id: z.string(), node_id: z.string(), amount_msat: amount, cltv_expiry: z.int() });

const attempt = z.object({
  attempt: z.int(),
  status,
  channel: z.string(),
  amount_msat: amount,
  fee_msat: amount,
  hops: z.array(hop),
  failure: z
    .object({ failure_code: z.int(), failure_name: z.string(), failure_data: z.string(), erring_hop: z.int().optional(), erring_node: z.string().optional(), reason: z.string() })
    .optional()
    .meta({ description: 'BOLT 4\'s failure, and which hop gave it' }),
  planned_at: time,
  ended_at: time.optional(),
});

const payment = z
  .object({
    node: z.string(),
    stream: z.string(),
    payment_id: z.string(),
    payment_hash: z.string(),
    destination: z.string(),
    amount_msat: amount,
    fee_limit_msat: amount,
    status,
    fee_msat: amount.optional(),
    payment_preimage: z.string().optional(),
    failure: z.object({ code: z.string(), reason: z.string(), failure_code: z.int().optional(), failure_name: z.string().optional(), erring_node: z.string().optional() }).optional(),
    attempts: z.array(attempt),
    started_at: time,
    ended_at: time.optional(),
  })
  .meta({ id: 'Payment' });

const invoice = z
  .object({
    node: z.string(),
    stream: z.string(),
    payment_hash: z.string(),
    amount_msat: amount.optional(),
    description: z.string(),
    status: z.enum(['open', 'settled']),
    received_msat: amount,
    htlcs: z.array(z.object({ channel: z.string(), htlc_id: amount, amount_msat: amount })),
    refused_htlcs: z.int(),
    payment_preimage: z.string().optional(),
    created_at: time,
    settled_at: time.optional(),
  })
  .meta({ id: 'Invoice' });

const relay = z
  .object({
    node: z.string(),
    stream: z.string(),
    payment_hash: z.string(),
    incoming: z.object({ channel: z.string(), htlc_id: amount, amount_msat: amount, cltv_expiry: z.int() }),
    outgoing: z.object({ channel: z.string(), short_channel_id: z.string(), amount_msat: amount, cltv_expiry: z.int(), htlc_id: amount.optional() }).optional(),
    fee_msat: amount,
    status: z.enum(['in_flight', 'fulfilled', 'failed', 'refused']),
    failure: z.looseObject({ kind: z.string() }).optional(),
    started_at: time,
    ended_at: time.optional(),
  })
  .meta({ id: 'Relay' });

interface Listing {
  readonly path: string;
  readonly name: string;
  readonly summary: string;
  readonly row: z.ZodObject;
  readonly totals: Readonly<Record<string, z.ZodType>>;
  readonly list: (view: NodeView) => { readonly rows: readonly { readonly stream: string }[]; readonly totals: object };
}

const listings: readonly Listing[] = [
  {
    path: '/v1/payments',
    name: 'payments',
    summary: 'Payments of ours: attempts, outcome, and why one failed',
    row: payment,
    totals: { payments_succeeded: z.int(), payments_failed: z.int(), sent_msat: amount, fees_paid_msat: amount },
    list: (view) => ({ rows: payments.rows(view.payments).payments, totals: view.payments.totals }),
  },
  {
    path: '/v1/invoices',
    name: 'invoices',
    summary: 'Invoices of ours, and what came for them',
    row: invoice,
    totals: { invoices_settled: z.int(), received_msat: amount },
    list: (view) => {
      const { invoices: rows, totals } = invoices.rows(view.invoices);
      return { rows, totals };
    },
  },
  {
    path: '/v1/relays',
    name: 'relays',
    summary: 'Forwards: both halves, and what each earned',
    row: relay,
    totals: { relays_fulfilled: z.int(), relays_failed: z.int(), fees_earned_msat: amount },
    list: (view) => ({ rows: relays.rows(view.relays).relays, totals: view.relays.totals }),
  },
];

export function paymentRoutes(app: FastifyInstance, nodes: Nodes): void {
  for (const listing of listings) addListing(app, nodes, listing);
}

function addListing(app: FastifyInstance, nodes: Nodes, { path, name, summary, row, totals, list }: Listing): void {
  app.withTypeProvider<ZodTypeProvider>().get(
    path,
    {
      schema: {
        summary,
        tags: ['payments'],
        querystring: z.strictObject({ node: nodeParameter, as_of: asOfParameter, limit: limitParameter, after: afterParameter }),
        response: {
          200: z.object({ as_of: asOf, totals: z.array(z.object({ node: z.string(), ...totals })), [name]: z.array(row), next }),
          ...problemResponses,
        },
      },
    },
    async ({ query }) => {
      const lists = await rowsOf(nodes.named(query.node), query.as_of, list);
      const newestFirst = lists.flatMap(({ node, rows }) => rows.rows.toReversed().map((one) => Object.assign({ node }, one)));
      const page = pageOf(newestFirst, (one) => `${one.node}/${one.stream}`, query.limit, query.after);
      return plain({
        as_of: placesOf(lists),
        totals: lists.map(({ node, rows }) => Object.assign({ node }, rows.totals)),
        [name]: page.rows,
        next: page.next,
      }) as never;
    },
  );
}
