// One way to make a route: what it needs, what it takes and gives (schemas that validate, serialise and become OpenAPI), and
// the bound flow behind it. The gate runs before the body is read.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TObject, TSchema } from 'typebox';
import { fail } from '#mesh/failure';
import type { JsonValue } from '#mesh/failure';
import { traceOf } from '#mesh/http';
import { type ZoneId, knownId } from '#mesh/ids';
import type { Admin } from '../../domain/admin.ts';
import { type IfMatch, entityTag, parseIfMatch } from '../../domain/entity-tag.ts';
import type { AdminCall, Created, ZoneCall } from '../../flows/admin-call.ts';
import type { ApiMetrics } from '../../metrics.ts';
import type { AdminGate, RouteNeed } from './admin-gate.ts';
import { nulPath } from './plain-text.ts';
import { ErrorBody } from './schemas.ts';
import { toWire } from './wire-names.ts';

export interface Router {
  readonly app: FastifyInstance;
  readonly gate: AdminGate;
  readonly metrics: ApiMetrics;
}

export interface RouteCall<P, Q, B> {
  readonly admin: AdminCall;
  /** The call in the zone of the path. Routes without one never ask for it. */
  readonly zone: ZoneCall;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Of the If-Match header; undefined when there is none. */
  readonly ifMatch: IfMatch | undefined;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RouteOptions<P extends TObject, Q extends TObject, B extends TSchema> extends RouteNeed {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly tag: string;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** Answers by status. */
  readonly response: Readonly<Record<number, TSchema>>;
  /** A request without a body counts as one with an empty object. */
  readonly bodyOptional?: boolean;
  /** Takes an Idempotency-Key. */
  readonly creates?: boolean;
  /** Undefined: the header is answered when given. `required`: a change of what somebody has read. */
  readonly ifMatch?: 'required';
  readonly handle: (call: RouteCall<Static<P>, Static<Q>, Static<B>>) => Promise<Answer>;
}

const idempotencyKeyForm = /^[\x21-\x7e]{1,255}$/;
const admins = new WeakMap<FastifyRequest, Admin>();

export function addRoute<P extends TObject, Q extends TObject, B extends TSchema>(
  { app, gate, metrics }: Router,
  options: RouteOptions<P, Q, B>,
): void {
  const { params, query, body, response } = options;
  app.route({
    method: options.method,
    url: options.url,
    schema: {
      summary: options.summary,
      tags: [options.tag],
      security: [{ adminToken: [] }],
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { querystring: query }),
      ...(body === undefined ? {} : { body }),
      headers: headersOf(options),
      response: { ...response, '4xx': ErrorBody, '5xx': ErrorBody },
    },
    onRequest: async (request) => {
      admins.set(request, await gate.admit(request, options));
    },
    // Before the schemas, so that the rule is named and not the pattern that happens to hold the character off.
    preValidation: async (request) => {
      refuseNul(request);
      if (options.bodyOptional === true) request.body ??= {};
    },
    handler: async (request, reply) => {
      const call = callOf(request, reply, options);
      const answer = await options.handle(call as RouteCall<Static<P>, Static<Q>, Static<B>>);
      if (reply.sent) return reply;
      if (answer.headers?.['idempotency-replayed'] !== undefined) metrics.replays.inc();
      return reply
        .code(answer.status)
        .headers({ 'cache-control': 'no-store', ...answer.headers })
        .send(answer.body);
    },
  });
}

/** Documents the headers a route reads; their rules are applied here, in words. */
function headersOf({
  creates,
  ifMatch,
  method,
}: Pick<RouteOptions<TObject, TObject, TSchema>, 'creates' | 'ifMatch' | 'method'>) {
  const properties: Record<string, object> = {};
  if (creates === true) {
    properties['idempotency-key'] = {
      type: 'string',
      description: 'The same key answers with what the first call created, for 24 hours, without its secrets.',
    };
  }
  if (ifMatch === 'required' || method === 'DELETE') {
    properties['if-match'] = { type: 'string', description: 'ETag of the version that was read.' };
  }
  return { type: 'object', properties };
}

function refuseNul({ body, query }: FastifyRequest): void {
  const path = nulPath(body) ?? nulPath(query);
  if (path !== undefined) throw fail('invalid_request', { fields: [{ path, rule: 'no NUL character' }] });
}

function callOf(
  request: FastifyRequest,
  reply: FastifyReply,
  options: Pick<RouteOptions<TObject, TObject, TSchema>, 'creates' | 'ifMatch' | 'method' | 'url'>,
): RouteCall<unknown, unknown, unknown> {
  const admin = admins.get(request);
  if (admin === undefined) throw fail('invalid_admin_token');
  const { traceId, traceparent } = traceOf(request.raw);
  const params = request.params as Readonly<Record<string, string>>;
  const call: AdminCall = {
    admin,
    facts: { requestId: request.id, traceId, traceparent },
    idempotency: options.creates === true ? idempotencyOf(request, options) : undefined,
  };
  return {
    admin: call,
    zone: { ...call, zoneId: knownId<ZoneId>(params['zone_id'] ?? '') },
    params,
    query: request.query,
    body: request.body,
    ifMatch: ifMatchOf(request, options.ifMatch === 'required'),
    request,
    reply,
  };
}

function idempotencyOf(request: FastifyRequest, { method, url }: { method: string; url: string }) {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !idempotencyKeyForm.test(key)) {
    throw fail('invalid_request', {
      fields: [{ path: 'Idempotency-Key', rule: 'one key of 1 to 255 visible ASCII characters' }],
    });
  }
  const params = request.params as Readonly<Record<string, string>>;
  return {
    key,
    route: `${method} ${url}`,
    request: { params: { ...params }, body: (request.body ?? null) as JsonValue },
  };
}

function ifMatchOf(request: FastifyRequest, required: boolean): IfMatch | undefined {
  const header = request.headers['if-match'];
  if (header === undefined) {
    if (!required) return undefined;
    throw fail('invalid_request', {
      description: 'An update names the version it was made from: send the ETag you have read as If-Match.',
      fields: [{ path: 'If-Match', rule: 'required' }],
    });
  }
  const parsed = parseIfMatch(header);
  if (parsed === undefined) {
    throw fail('invalid_request', { fields: [{ path: 'If-Match', rule: 'entity tags (RFC 9110 §13.1.1) or *' }] });
  }
  return parsed;
}

/** The If-Match of a route that requires one. */
export function requiredIfMatch(call: { readonly ifMatch: IfMatch | undefined }): IfMatch {
  if (call.ifMatch === undefined) throw fail('invalid_request');
  return call.ifMatch;
}

interface Tagged {
  readonly version: number;
}

/** 200 with the entity, and its version as ETag where it has one. */
export function shown(entity: object): Answer {
  const tag = 'version' in entity && typeof (entity as Tagged).version === 'number' ? (entity as Tagged).version : 0;
  return { status: 200, body: toWire(entity), ...(tag > 0 ? { headers: { etag: entityTag(tag) } } : {}) };
}

/** What was created, with what is shown this once, or what had been created under the same key. */
export function createdAnswer<T extends object>(created: Created<T>, location: string): Answer {
  const { entity, once, replayed, status } = created;
  const answer = shown(entity);
  return {
    status,
    body: { ...(answer.body as object), ...once },
    headers: { ...answer.headers, location, ...(replayed ? { 'idempotency-replayed': 'true' } : {}) },
  };
}

export const noContent: Answer = { status: 204 };

/** A page; null says that it is the last. */
export function pageAnswer(page: { items: readonly object[]; nextCursor?: string | undefined }): Answer {
  return { status: 200, body: { items: page.items.map(toWire), next_cursor: page.nextCursor ?? null } };
}

/** The page a query asks for. */
export function pageQueryOf(query: { readonly limit?: number; readonly cursor?: string }) {
  return { limit: query.limit ?? defaultLimit, cursor: query.cursor };
}

const defaultLimit = 100;
