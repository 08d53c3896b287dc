// /zones/{zone}/delegations: create, list and revoke delegation edges over plain JSON.
import { create } from '@bufbuild/protobuf';
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import {
  CreateDelegationRequestSchema,
  GetSessionRequestSchema,
  ListSessionsRequestSchema,
  RevokeDelegationRequestSchema,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import { fail } from '#mesh/failure';
import type { ApplicationId } from '#mesh/ids';
import { parseFields } from '#mesh/rpc';
import { readCreate, readGet, readList, readRevoke } from '../rpc/requests.ts';
import { addJsonRoute, type JsonRoutesOptions } from './json-call.ts';
import { keyOf, mostSeconds, pageFields, waitFields } from './json-fields.ts';
import { barrierView, edgeView, mandateView } from './json-views.ts';

const base = '/zones/:zone/delegations';

const hops = Type.Integer({ minimum: 1, maximum: 10 });
const seconds = Type.Integer({ minimum: 1, maximum: mostSeconds });
const moment = Type.String({ format: 'date-time' });

const Constraints = Type.Object({
  resources: Type.Optional(Type.Array(Type.String())),
  max_hops: Type.Optional(hops),
  /** Another name of max_hops, which wins. */
  max_depth: Type.Optional(hops),
  ttl_seconds: Type.Optional(seconds),
  expires_at: Type.Optional(moment),
});
type Constraints = Static<typeof Constraints>;

const CreateBody = Type.Object({
  source_session_id: Type.String(),
  target_session_id: Type.String(),
  issuer_application_id: Type.Optional(Type.String()),
  receiver_application_id: Type.Optional(Type.String()),
  parent_edge_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  scopes: Type.Array(Type.String()),
  constraints: Type.Optional(Constraints),
  /** Another name of constraints, whose fields win. */
  constraints_json: Type.Optional(Constraints),
  expires_at: Type.Optional(moment),
  ttl_seconds: Type.Optional(seconds),
  mandate: Type.Optional(Type.Boolean()),
  dpop_jkt: Type.Optional(Type.String()),
});
type CreateBody = Static<typeof CreateBody>;

export function addDelegationRoutes(app: FastifyInstance, options: JsonRoutesOptions): void {
  addCreate(app, options);
  for (const direction of ['inbound', 'outbound'] as const) addList(app, options, direction);
  addRevoke(app, options);
}

function addCreate(app: FastifyInstance, options: JsonRoutesOptions): void {
  addJsonRoute(app, options, {
    method: 'POST',
    url: base,
    standsFor: 'CreateDelegation',
    body: CreateBody,
    handle: async ({ params, body, idempotencyKey, facts, mandateIn }) => {
      const constraints = { ...body.constraints_json, ...body.constraints };
      const wish = readCreate(
        create(CreateDelegationRequestSchema, {
          zoneId: params.zone,
          sourceSessionId: body.source_session_id,
          targetSessionId: body.target_session_id,
          scopes: body.scopes,
          constraints: {
            resources: constraints.resources ?? [],
            maxHops: constraints.max_hops ?? constraints.max_depth ?? 0,
            ttlSeconds: constraints.ttl_seconds ?? 0,
          },
          ttlSeconds: lifeSeconds(body, constraints, options.nowMs()),
          parentEdgeId: body.parent_edge_id ?? '',
          idempotencyKey: keyOf(idempotencyKey),
          mandate: body.mandate ?? false,
          dpopJkt: body.dpop_jkt ?? '',
        }),
      );
      const caller = mandateIn(wish.zoneId);
      const created = await options.flows.createDelegation({ caller, create: { ...wish, ...ends(body) } }, facts);
      const { edge, epoch, mandate, replayed } = created;
      const view = { ...edgeView(edge, options.nowMs()), ...(replayed ? {} : { epoch }), ...mandateView(mandate) };
      return { status: replayed ? 200 : 201, body: view, replayed };
    },
  });
}

/** The applications that the sessions must belong to, where the body names them. */
function ends(body: CreateBody) {
  return parseFields((fields) => ({
    issuerApplicationId: fields.optionalId<ApplicationId>('issuer_application_id', body.issuer_application_id ?? ''),
    receiverApplicationId: fields.optionalId<ApplicationId>(
      'receiver_application_id',
      body.receiver_application_id ?? '',
    ),
  }));
}

/** The earliest of the moments and durations given: an expiry is required, and none of them may be outlived. */
function lifeSeconds(body: CreateBody, constraints: Constraints, nowMs: number): number {
  const moments = [body.expires_at, constraints.expires_at].filter((text) => text !== undefined);
  const durations = [body.ttl_seconds, constraints.ttl_seconds].filter((value) => value !== undefined);
  const lives = [...moments.map((text) => Math.floor((Date.parse(text) - nowMs) / 1000)), ...durations];
  const refused = (path: string, rule: string) => fail('invalid_request', { fields: [{ path, rule }] });
  if (lives.length === 0) throw refused('ttl_seconds', 'an expiry is required: expires_at or ttl_seconds');
  const life = Math.min(...lives);
  if (life < 1 || life > mostSeconds) throw refused('expires_at', `1 to ${mostSeconds} seconds from now`);
  return life;
}

function addList(app: FastifyInstance, options: JsonRoutesOptions, direction: 'inbound' | 'outbound'): void {
  addJsonRoute(app, options, {
    method: 'GET',
    url: `${base}/${direction}/:id`,
    standsFor: 'GetSession',
    query: Type.Object(pageFields),
    handle: async ({ params, query, callerIn }) => {
      const { sessionId } = readGet(create(GetSessionRequestSchema, { zoneId: params.zone, sessionId: params.id }));
      const { zoneId, page } = readList(
        create(ListSessionsRequestSchema, { zoneId: params.zone, ...query }),
        options.isCursor,
      );
      const found = await options.flows.listDelegations(callerIn(zoneId), { ...page, sessionId, direction });
      const items = found.edges.map((edge) => edgeView(edge, options.nowMs()));
      return { status: 200, body: { items, next_cursor: found.nextCursor ?? null } };
    },
  });
}

function addRevoke(app: FastifyInstance, options: JsonRoutesOptions): void {
  addJsonRoute(app, options, {
    method: 'PATCH',
    url: `${base}/:id/revoke`,
    standsFor: 'RevokeDelegation',
    query: Type.Object(waitFields),
    handle: async ({ params, query, facts, callerIn }) => {
      const { zoneId, revoke } = readRevoke(
        create(RevokeDelegationRequestSchema, {
          zoneId: params.zone,
          edgeId: params.id,
          reason: query.reason ?? '',
          waitApplied: query.wait !== undefined,
        }),
      );
      const deadlineMs = query.timeout_ms ?? revoke.deadlineMs;
      const done = await options.flows.revokeDelegation(
        { caller: callerIn(zoneId), revoke: { ...revoke, deadlineMs } },
        facts,
      );
      if (done.edgeIds.length === 0 && done.barrier === undefined)
        throw fail('not_found', { description: 'the delegation had been revoked before' });
      const body = {
        revoked_edges: done.edgeIds.length,
        revoked_edge_ids: done.edgeIds,
        affected_sessions: done.targetSessionIds.length,
        // The sessions go on without the edge: only what was delegated is taken away.
        terminated_agents: 0,
        ...barrierView(done.barrier),
      };
      return { status: 200, body };
    },
  });
}
