/** Who may ask: the bearer of the token (RFC 6750). Health is for everybody. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Problem } from './problems.ts';

const OPEN_PATHS: ReadonlySet<string> = new Set(['/healthz']);

/** Every request but for health needs `Authorization: Bearer <token>`. */
export function requireToken(app: FastifyInstance, token: string): void {
  app.addHook('onRequest', async ({ url, headers }, reply) => {
    if (OPEN_PATHS.has(url.split('?')[0]!)) return;
    const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    if (given !== undefined && same(given, token)) return;
    reply.header('www-authenticate', 'Bearer');
    const got = given === undefined ? 'none' : 'another token';
    throw new Problem(401, 'token_required', `Authorization: expected Bearer and the token of the file api-token in the node's data folder, got ${got}`, { expected: 'Bearer <token>', got });
  });
}

/** Takes as long whatever the difference. */
const same = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));
const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest();
