/** The HTTP API: reads the logs of one or more nodes, and acts on one where it is handed its control; described by OpenAPI 3.1 at /openapi.json and /docs. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { requireToken } from './auth.ts';
import type { ControlledNode } from './control.ts';
import { followNodes, type ServedNode } from './nodes.ts';
import { installProblems, Problem } from './problems.ts';
import { actingRoutes } from './routes/acting.ts';
import { balanceRoutes } from './routes/balances.ts';
import { feeRoutes } from './routes/fees.ts';
import { channelRoutes } from './routes/channels.ts';
import { eventRoutes } from './routes/events.ts';
import { healthRoutes } from './routes/health.ts';
import { paymentRoutes } from './routes/payments.ts';

export type { ServedNode } from './nodes.ts';

export interface HttpServerOptions {
  readonly nodes: readonly ServedNode[];
  /** Of the only node served: adds the routes that act on it. */
  readonly control?: ControlledNode;
  /** Asked of everybody, for everything but /healthz. */
  readonly token?: string;
  readonly logger?: FastifyBaseLogger;
}

export interface HttpServer {
  /** For tests: requests without a socket. */
  readonly app: FastifyInstance;
  /** Binds 127.0.0.1 unless told otherwise; answers the address, as `http://127.0.0.1:8750`. Rejects when the port is taken. */
  listen(at?: { readonly port?: number; readonly host?: string }): Promise<string>;
  /** Ends open streams and the live views. The stores stay open. */
  close(): Promise<void>;
}

export const DEFAULT_PORT = 8750;
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/** Bytes of a request's body: an invoice is the longest thing that anybody sends. */
const BODY_LIMIT = 16_384;

export async function createHttpServer({ nodes: served, control, token, logger }: HttpServerOptions): Promise<HttpServer> {
  const logging = logger === undefined ? {} : { loggerInstance: logger };
  const app: FastifyInstance = fastify({ ...logging, forceCloseConnections: true, bodyLimit: BODY_LIMIT, routerOptions: { maxParamLength: 256 } });
  const nodes = followNodes(served);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  installProblems(app, { acts: control !== undefined });
  let guarded = true;
  app.addHook('onRequest', async ({ headers }) => {
    if (guarded) mustBeLocal(headers.host);
  });
  if (token !== undefined) requireToken(app, token);
  await describe(app, token !== undefined);
  await app.register(async (routes) => {
    for (const add of [healthRoutes, channelRoutes, balanceRoutes, feeRoutes, paymentRoutes, eventRoutes]) add(routes, nodes);
    if (control !== undefined) actingRoutes(routes, nodes, control);
  });
  await app.ready();
  return {
    app,
    async listen({ port = DEFAULT_PORT, host = '127.0.0.1' } = {}) {
      // Who binds another address has said who may ask.
      guarded = host === '127.0.0.1' || host === '::1' || host === 'localhost';
      return app.listen({ port, host });
    },
    async close() {
      nodes.stop();
      await app.close();
    },
  };
}

/** A web page elsewhere could name a host of its own that leads to 127.0.0.1, and read the API through its visitor's browser. */
function mustBeLocal(host: string | undefined): void {
  const name = (host ?? 'localhost').replace(/:\d+$/, '');
  if (!LOOPBACK.includes(name)) throw new Problem(403, 'host_not_allowed', `Host: expected one of ${LOOPBACK.join(', ')}, got ${name}`, { expected: LOOPBACK, got: name });
}

async function describe(app: FastifyInstance, guarded: boolean): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Fulgurite',
        version: '0.1.0',
        description: 'What the logs of Lightning nodes say. Amounts are decimal strings, their unit the last part of the name; every list can be asked for the past.',
      },
      servers: [],
      ...(guarded ? { components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }, security: [{ token: [] }] } : {}),
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
