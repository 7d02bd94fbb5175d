/** The words of the API as zod schemas: the same names as in the log, every amount a decimal string. */
import { z } from 'zod';
import { hex32, msat, point, sat } from '../bolt/primitives.ts';
import { parseUntil } from '../projections/projection.ts';

export { plain } from './plain.ts';

export const amount = z.string().regex(/^\d+$/).meta({ description: 'Decimal; the unit is the last part of the name', example: '1000000' });
export const time = z.string().meta({ description: 'ISO 8601, UTC', example: '2026-01-31T12:00:00.000Z' });
export const position = z.string().regex(/^\d+$/).meta({ description: 'Place in the log of one node, from 0', example: '1234' });

export const nodeParameter = z.string().min(1).max(128).optional().meta({ description: 'Name or node_id of a node; all nodes if left out' });

export const asOfParameter = z
  .string()
  .max(64)
  .refine((text) => parseUntil(text) !== undefined, 'expected a log position (1234) or an ISO 8601 time (2026-01-31T12:00:00Z)')
  .optional()
  .meta({ description: 'The past: a position of the log (of each node for itself) or a time. Now if left out.', example: '2026-01-31T12:00:00Z' });

export const MAX_PAGE = 1000;
/** Query strings are text; a number out of its bounds is refused, never clipped in silence. */
export const limitParameter = z.coerce.number().int().min(1).max(MAX_PAGE).default(100).meta({ description: `Rows in a page, at most ${MAX_PAGE}` });
export const afterParameter = z.string().min(1).max(1024).optional().meta({ description: '`next` of the page before' });

/** Where in each node's log an answer stands. */
export const asOf = z
  .array(z.object({ node: z.string(), position: position.optional(), recorded_at: time.optional(), events: z.int() }))
  .meta({ description: 'The last event that each node\'s rows have seen; no position before its first' });

export const next = z.string().optional().meta({ description: 'Give it as `after` for the page behind this one; absent on the last' });

// What a request's body may hold.

/** A whole number of sat or msat: decimal text, or a JSON number where it is exact. */
const amountInput = z
  .union([z.string().regex(/^\d{1,19}$/, 'expected a whole number'), z.int().min(0)], 'expected a whole number, as text or as a number')
  .meta({ description: 'A whole number, as decimal text or a JSON number', example: '1000000' });
export const satInput = amountInput.transform((text) => sat(BigInt(text)));
export const msatInput = amountInput.transform((text) => msat(BigInt(text)));
export const nodeIdInput = z.string().regex(/^0[23][0-9a-f]{64}$/, 'expected a node_id of 66 hexadecimal digits, from 02 or 03 on').transform((text) => point(text));
export const hex32Input = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits').transform((text) => hex32(text));

/** A wish may ask that its answer waits for the outcome. */
export const waitSeconds = z.coerce.number().int().min(0).max(600).default(30).meta({ description: 'How long the answer may wait for the outcome, in seconds' });
