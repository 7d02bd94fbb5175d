/** `Idempotency-Key`: a wish that is sent again, because its answer was lost, is not done again. */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { toHex32, type Hex32 } from '../bolt/primitives.ts';
import { Problem } from './problems.ts';
import { plain } from './schemas.ts';

/** Keys remembered with their bodies. The log remembers the commands themselves, for ever. */
const REMEMBERED = 10_000;
const KEY = /^[\x21-\x7e]{1,128}$/;

export interface Idempotency {
  /**
   * The command id of a request, undefined when it has no key: the same for the same key, also after a restart.
   * Throws Problem when the key came with another body before.
   */
  commandId(request: FastifyRequest, route: string): Hex32 | undefined;
}

export function createIdempotency(node_id: string): Idempotency {
  const bodies = new Map<Hex32, string>();
  return {
    commandId({ headers, body }, route) {
      const key = headers['idempotency-key'];
      if (key === undefined) return undefined;
      if (typeof key !== 'string' || !KEY.test(key)) throw new Problem(400, 'invalid_idempotency_key', `Idempotency-Key: expected 1 to 128 printable characters without spaces, got ${JSON.stringify(key)}`, { got: key });
      const id = toHex32(sha256(`${node_id}\n${route}\n${key}`));
      const text = JSON.stringify(plain(body));
      const before = bodies.get(id);
      if (before !== undefined && before !== text) throw new Problem(422, 'idempotency_key_reused', `Idempotency-Key ${key}: expected the same request as before, got another; take a new key for a new wish`, { got: key });
      remember(bodies, id, text);
      return id;
    },
  };
}

function remember(bodies: Map<Hex32, string>, id: Hex32, text: string): void {
  bodies.set(id, text);
  if (bodies.size > REMEMBERED) bodies.delete(bodies.keys().next().value!);
}

const sha256 = (text: string): Uint8Array => createHash('sha256').update(text).digest();
