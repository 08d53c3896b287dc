// /zones/{zone}/agents: start, read, list and end agent sessions over plain JSON.
import { create } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import {
  EndSessionRequestSchema,
  GetSessionRequestSchema,
  ListSessionsRequestSchema,
  SessionState,
  StartSessionRequestSchema,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import { fail } from '#mesh/failure';
import { readEnd, readGet, readList, readStart } from '../rpc/requests.ts';
import { addJsonRoute, type JsonRoutesOptions } from './json-call.ts';
import { keyOf, mostSeconds, pageFields, waitFields } from './json-fields.ts';
import { agentView, barrierView, capabilityPrefix, mandateView } from './json-views.ts';

const base = '/zones/:zone/agents';
const one = `${base}/:id`;

const StartBody = Type.Object({
  application_id: Type.String(),
  /** The session record to run under; only the caller's own. */
  session_sid: Type.Optional(Type.String()),
  parent_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  kind: Type.Optional(Type.Literal('instance')),
  capabilities: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 50 }), { maxItems: 32 })),
  ttl_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: mostSeconds })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.String())),
  scopes: Type.Optional(Type.Array(Type.String())),
  resources: Type.Optional(Type.Array(Type.String())),
  pass_lifecycle: Type.Optional(Type.Boolean()),
  mandate: Type.Optional(Type.Boolean()),
  dpop_jkt: Type.Optional(Type.String()),
});

const statuses = {
  active: SessionState.ACTIVE,
  suspended: SessionState.SUSPENDED,
  terminated: SessionState.TERMINATED,
  expired: SessionState.EXPIRED,
} as const;

const ListQuery = Type.Object({
  ...pageFields,
  status: Type.Optional(
    Type.Union(Object.keys(statuses).map((status) => Type.Literal(status as keyof typeof statuses))),
  ),
});

export function addAgentRoutes(app: FastifyInstance, options: JsonRoutesOptions): void {
  addStart(app, options);
  addReads(app, options);
  addEnd(app, options);
}

function addStart(app: FastifyInstance, options: JsonRoutesOptions): void {
  addJsonRoute(app, options, {
    method: 'POST',
    url: base,
    standsFor: 'StartSession',
    body: StartBody,
    handle: async ({ params, body, idempotencyKey, facts, mandateIn }) => {
      const start = readStart(
        create(StartSessionRequestSchema, {
          zoneId: params.zone,
          applicationId: body.application_id,
          parentId: body.parent_id ?? '',
          ttlSeconds: body.ttl_seconds ?? 0,
          scopes: body.scopes ?? [],
          resources: body.resources ?? [],
          passLifecycle: body.pass_lifecycle ?? false,
          mandate: body.mandate ?? false,
          idempotencyKey: keyOf(idempotencyKey),
          dpopJkt: body.dpop_jkt ?? '',
          labels: labelsOf(body),
        }),
      );
      const caller = mandateIn(start.zoneId);
      if (body.session_sid !== undefined && body.session_sid !== caller.sessionRecordId) {
        const rule = 'the session record of the presented mandate';
        throw fail('invalid_request', { fields: [{ path: 'session_sid', rule }] });
      }
      const started = await options.flows.startSession({ caller, start }, facts);
      const { session, mandate, replayed } = started;
      return { status: replayed ? 200 : 201, body: { ...agentView(session), ...mandateView(mandate) }, replayed };
    },
  });
}

/** Metadata and capabilities are both labels of the session. */
function labelsOf({ metadata = {}, capabilities = [] }: Static<typeof StartBody>): Record<string, string> {
  if (Object.keys(metadata).some((key) => key.startsWith(capabilityPrefix))) {
    const rule = `no key that begins with ${capabilityPrefix}`;
    throw fail('invalid_request', { fields: [{ path: 'metadata', rule }] });
  }
  return Object.fromEntries([
    ...Object.entries(metadata),
    ...capabilities.map((name) => [`${capabilityPrefix}${name}`, 'true'] as const),
  ]);
}

function addReads(app: FastifyInstance, options: JsonRoutesOptions): void {
  const { flows, isCursor } = options;
  addJsonRoute(app, options, {
    method: 'GET',
    url: base,
    standsFor: 'ListSessions',
    query: ListQuery,
    handle: async ({ params, query: { status, ...page }, callerIn }) => {
      const states = status === undefined ? [] : [statuses[status]];
      const list = readList(create(ListSessionsRequestSchema, { zoneId: params.zone, ...page, states }), isCursor);
      const found = await flows.listSessions(callerIn(list.zoneId), list.page);
      return { status: 200, body: { items: found.sessions.map(agentView), next_cursor: found.nextCursor ?? null } };
    },
  });
  addJsonRoute(app, options, {
    method: 'GET',
    url: one,
    standsFor: 'GetSession',
    handle: async ({ params, callerIn }) => {
      const { zoneId, sessionId } = readGet(
        create(GetSessionRequestSchema, { zoneId: params.zone, sessionId: params.id }),
      );
      return { status: 200, body: agentView(await flows.getSession(callerIn(zoneId), sessionId)) };
    },
  });
  addJsonRoute(app, options, {
    method: 'GET',
    url: `${one}/children`,
    standsFor: 'ListSessions',
    query: Type.Object(pageFields),
    handle: async ({ params, query, callerIn }) => {
      const { sessionId } = readGet(create(GetSessionRequestSchema, { zoneId: params.zone, sessionId: params.id }));
      const list = readList(create(ListSessionsRequestSchema, { zoneId: params.zone, ...query }), isCursor);
      const found = await flows.listChildren(callerIn(list.zoneId), { ...list.page, parentId: sessionId });
      return { status: 200, body: { items: found.sessions.map(agentView), next_cursor: found.nextCursor ?? null } };
    },
  });
}

function addEnd(app: FastifyInstance, options: JsonRoutesOptions): void {
  addJsonRoute(app, options, {
    method: 'DELETE',
    url: one,
    standsFor: 'EndSession',
    query: Type.Object(waitFields),
    handle: async ({ params, query, facts, callerIn }) => {
      const { zoneId, end } = readEnd(
        create(EndSessionRequestSchema, {
          zoneId: params.zone,
          sessionId: params.id,
          reason: query.reason ?? '',
          waitApplied: query.wait !== undefined,
        }),
      );
      const deadlineMs = query.timeout_ms ?? end.deadlineMs;
      const ended = await options.flows.endSession({ caller: callerIn(zoneId), end: { ...end, deadlineMs } }, facts);
      if (ended.barrier !== undefined) return { status: 200, body: barrierView(ended.barrier) };
      if (ended.sessionIds.length === 0) throw fail('not_found', { description: 'the session had ended before' });
      return { status: 204 };
    },
  });
}
