// A call to a JSON route: who makes it, judged before its body is read by the rule of the RPC it stands for, and what the
// flows carry with it.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static, TObject } from 'typebox';
import { traceOf } from '#mesh/http';
import { acceptsBearer, authorizeCall, connectionCallerOf, judgeCall, presentedBearer } from '#mesh/identity';
import type { ZoneId } from '#mesh/ids';
import { fail } from '#mesh/failure';
import type { VerifyPresented } from '#mesh/mandate';
import type { Caller, MandateCaller } from '../../domain/caller.ts';
import type { CoordinatorFlows, Facts } from '../rpc/bound-flows.ts';
import { type AuthorizedCaller, callerFor, mandateCallerFor } from '../rpc/callers.ts';

export interface JsonRoutesOptions {
  readonly flows: CoordinatorFlows;
  readonly issuer: string;
  readonly isCursor: (cursor: string) => boolean;
  readonly verifyPresented: VerifyPresented;
  /** For callers that prove a key (RFC 9449 §9). */
  readonly proofNonce: () => string;
  readonly nowMs: () => number;
}

export interface JsonCall<Query, Body> {
  readonly params: Readonly<Record<'zone' | 'id', string>>;
  readonly query: Query;
  readonly body: Body;
  readonly idempotencyKey: string | undefined;
  readonly facts: Facts;
  /** @throws zone_mismatch, insufficient_scope, invalid_token. */
  readonly callerIn: (zoneId: ZoneId) => Caller;
  /** As callerIn, for what only the holder of a mandate may do. */
  readonly mandateIn: (zoneId: ZoneId) => MandateCaller;
}

export interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly replayed?: boolean;
}

type Method = 'StartSession' | 'EndSession' | 'GetSession' | 'ListSessions' | 'CreateDelegation' | 'RevokeDelegation';

export interface JsonRoute<Query extends TObject, Body extends TObject> {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** The RPC whose callers may call this route. */
  readonly standsFor: Method;
  readonly query?: Query;
  readonly body?: Body;
  readonly handle: (call: JsonCall<Static<Query>, Static<Body>>) => Promise<Answer>;
}

const callers = new WeakMap<FastifyRequest, AuthorizedCaller>();

export function addJsonRoute<Query extends TObject, Body extends TObject>(
  app: FastifyInstance,
  options: JsonRoutesOptions,
  route: JsonRoute<Query, Body>,
): void {
  const { method, url, query, body } = route;
  app.route({
    method,
    url,
    schema: { ...(query === undefined ? {} : { querystring: query }), ...(body === undefined ? {} : { body }) },
    onRequest: async (request, reply) => {
      // RFC 9449 §8.2: whoever proves a key gets the nonce of its next proof, whatever becomes of this call.
      if (request.headers['dpop'] !== undefined) void reply.header('dpop-nonce', options.proofNonce());
      callers.set(
        request,
        await admit(request, `caracal.coordinator.v1.CoordinatorService/${route.standsFor}`, options),
      );
    },
    handler: async (request, reply) => {
      const call = callOf(request, options) as JsonCall<Static<Query>, Static<Body>>;
      return send(reply, await route.handle(call));
    },
  });
}

/** As for RPCs: the connection's caller when it may call, else the bearer's. */
async function admit(request: FastifyRequest, rpc: string, options: JsonRoutesOptions): Promise<AuthorizedCaller> {
  const onConnection = connectionCallerOf(request.raw);
  if (judgeCall(onConnection, rpc).kind === 'allowed') return onConnection;
  const { authorization } = request.headers;
  if (authorization === undefined || !acceptsBearer(rpc)) {
    authorizeCall(onConnection, rpc);
    return onConnection;
  }
  const presented = presentedBearer(request.raw);
  if (presented === undefined) throw fail('unauthenticated');
  const caller = { kind: 'bearer', mandate: await options.verifyPresented(presented) } as const;
  authorizeCall(caller, rpc);
  return caller;
}

function callOf(request: FastifyRequest, { issuer }: JsonRoutesOptions): JsonCall<unknown, unknown> {
  const caller = callers.get(request) ?? ({ kind: 'anonymous' } as const);
  const { traceId, traceparent } = traceOf(request.raw);
  return {
    params: request.params as Readonly<Record<'zone' | 'id', string>>,
    query: request.query,
    body: request.body,
    idempotencyKey: idempotencyKeyOf(request),
    facts: { requestId: request.id, traceId, traceparent },
    callerIn: (zoneId) => callerFor(caller, zoneId, issuer),
    mandateIn: (zoneId) => mandateCallerFor(caller, zoneId, issuer),
  };
}

function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined || typeof key === 'string') return key;
  throw fail('invalid_request', { fields: [{ path: 'Idempotency-Key', rule: 'once' }] });
}

async function send(reply: FastifyReply, { status, body, replayed }: Answer): Promise<FastifyReply> {
  void reply.code(status).header('cache-control', 'no-store');
  if (replayed === true) void reply.header('idempotency-replayed', 'true');
  return reply.send(body);
}
