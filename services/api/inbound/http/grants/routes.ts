// Grants over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf, requiredIfMatch, shown } from '../route.ts';
import { momentText } from '../moment.ts';
import * as form from '../schemas.ts';
import { endedAnswer, waitMsOf } from '../waiting.ts';
import { fromWire } from '../wire-names.ts';
import { CreateGrant, Grant, GrantQuery, UpdateGrant, grantParams } from './schemas.ts';

const tag = 'grants';
const base = '/v1/zones/:zone_id/grants';
const one = `${base}/:grant_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addGrantRoutes(router: Router, flows: ApiFlows['grants']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Record what a user lets an application do at a resource',
    params: form.zoneParams,
    body: CreateGrant,
    response: { 201: Grant },
    handle: async ({ zone, body }) => {
      const { expiresAt, ...input } = fromWire(body);
      const created = await flows.create(zone, { ...input, expiresAt: optionalMoment(expiresAt) });
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/grants/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List grants',
    params: form.zoneParams,
    query: GrantQuery,
    response: { 200: form.pageOf(Grant) },
    handle: async ({ zone, query }) => {
      const { applicationId, subject, resourceId } = fromWire(query);
      return pageAnswer(await flows.page(zone, pageQueryOf(query), present({ applicationId, subject, resourceId })));
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a grant',
    params: grantParams,
    response: { 200: Grant },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.grant_id)),
  });
  addEndingRoutes(router, flows);
}

function addEndingRoutes(router: Router, flows: ApiFlows['grants']): void {
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change what a grant allows; what it takes away ends at once',
    params: grantParams,
    body: UpdateGrant,
    response: { 200: Grant },
    handle: async (call) => {
      const { expiresAt, ...rest } = fromWire(call.body);
      const patch = { ...rest, expiresAt: expiresAt === null ? null : optionalMoment(expiresAt) };
      return shown(await flows.update(call.zone, { id: call.params.grant_id, patch, ifMatch: requiredIfMatch(call) }));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'Revoke a grant; the mandates of its user are refused and minted anew',
    params: grantParams,
    query: form.WaitQuery,
    response: { 200: form.Ended },
    handle: async ({ zone, params, query, ifMatch }) =>
      endedAnswer(await flows.archive(zone, { id: params.grant_id, ifMatch, waitMs: waitMsOf(query) })),
  });
}

function optionalMoment(text: string | undefined): string | undefined {
  return text === undefined ? undefined : momentText(text, 'expires_at');
}

function present<T extends object>(filter: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
