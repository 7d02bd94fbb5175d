/** Every error of the API is one shape: RFC 9457, with a stable code and both values. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ControlRefusal, type RefusalKind } from './control.ts';
import { plain } from './plain.ts';

/** Thrown by a route, answered as application/problem+json. `detail` is a sentence with both values. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly members: Readonly<Record<string, unknown>>;
  constructor(status: number, code: string, detail: string, members: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.members = members;
  }
}

export const problemSchema = z
  .looseObject({
    type: z.string().meta({ description: 'urn:fulgurite:problem:<code>' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().meta({ description: 'Stable name of the problem' }),
    expected: z.unknown().optional(),
    got: z.unknown().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457, Problem Details for HTTP APIs' });

/** The responses that any route may give beside its own. */
export const problemResponses = { '4xx': problemSchema, '5xx': problemSchema };

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

const STATUS: Readonly<Record<RefusalKind, number>> = { invalid: 400, missing: 404, conflict: 409, refused: 422, unreachable: 502, unavailable: 503 };

/** `acts`: whether there is anything here but reading. */
export function installProblems(app: FastifyInstance, { acts = false }: { readonly acts?: boolean } = {}): void {
  app.setErrorHandler((error, request, reply) => sendProblem(reply, toProblem(error, request)));
  app.setNotFoundHandler((request, reply) => sendProblem(reply, notFound(request, acts)));
}

export function sendProblem(reply: FastifyReply, { status, code, message, members }: Problem): FastifyReply {
  const body = { type: `urn:fulgurite:problem:${code}`, title: TITLES[status] ?? 'Error', status, detail: message, code, ...members };
  // Written as text: the problem is not one of the route's own shapes.
  return reply.code(status).type('application/problem+json').serializer(JSON.stringify).send(body);
}

function notFound({ method, url }: FastifyRequest, acts: boolean): Problem {
  if (acts) return new Problem(404, 'not_found', `expected a method and path of /openapi.json, got ${method} ${url}`, { got: `${method} ${url}` });
  return method === 'GET' || method === 'HEAD'
    ? new Problem(404, 'not_found', `expected a path of /openapi.json, got ${url}`, { got: url })
    : new Problem(405, 'method_not_allowed', `the API only reads: expected GET, got ${method}`, { expected: 'GET', got: method });
}

function toProblem(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ControlRefusal) return new Problem(STATUS[error.kind], error.code, error.message, plain(error.detail) as Record<string, unknown>);
  if (hasZodFastifySchemaValidationErrors(error)) return error.validationContext === 'body' ? invalidBody(error.validation, request) : invalidParameter(error.validation, request, error.validationContext);
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new Problem(statusCode, (code ?? 'bad_request').toLowerCase(), message ?? 'the request is malformed');
  request.log.error({ err: error }, 'a request failed');
  return new Problem(500, 'internal_error', 'the server failed to answer; its own log says why');
}

type Issues = readonly { readonly instancePath?: string; readonly message?: string }[];

function invalidParameter(issues: Issues, request: FastifyRequest, context: string | undefined): Problem {
  const values = (context === 'params' ? request.params : request.query) as Record<string, unknown>;
  const errors = issues.map(({ instancePath = '', message = 'invalid' }) => {
    const name = instancePath.split('/')[1] ?? '';
    return { name, expected: message, got: name === '' ? Object.keys(values) : values[name] };
  });
  const [first] = errors;
  const detail = errors.map(({ name, expected, got }) => `${name === '' ? 'the query' : `parameter ${name}`}: ${expected}, got ${JSON.stringify(got)}`).join('; ');
  return new Problem(400, 'invalid_parameter', detail, { expected: first?.expected, got: first?.got, errors });
}

function invalidBody(issues: Issues, { body }: FastifyRequest): Problem {
  const errors = issues.map(({ instancePath = '', message = 'invalid' }) => {
    const name = instancePath.split('/')[1] ?? '';
    const isObject = typeof body === 'object' && body !== null;
    return { name, expected: message, got: isObject ? (name === '' ? Object.keys(body) : (body as Record<string, unknown>)[name]) : body };
  });
  const [first] = errors;
  const detail = errors.map(({ name, expected, got }) => `${name === '' ? 'the body' : `field ${name}`}: ${expected}, got ${JSON.stringify(got) ?? 'nothing'}`).join('; ');
  return new Problem(400, 'invalid_body', detail, { expected: first?.expected, got: first?.got, errors });
}
