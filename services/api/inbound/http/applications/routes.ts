// Applications over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf, requiredIfMatch, shown } from '../route.ts';
import { momentText } from '../moment.ts';
import * as form from '../schemas.ts';
import { endedAnswer, waitMsOf } from '../waiting.ts';
import { fromWire } from '../wire-names.ts';
import {
  Application,
  ApplicationWithSecret,
  CreateApplication,
  UpdateApplication,
  applicationParams,
} from './schemas.ts';

const tag = 'applications';
const base = '/v1/zones/:zone_id/applications';
const one = `${base}/:application_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addApplicationRoutes(router: Router, flows: ApiFlows['applications']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Register an application; its secret is shown in this answer alone',
    params: form.zoneParams,
    body: CreateApplication,
    response: { 201: ApplicationWithSecret },
    handle: async ({ zone, body }) => {
      const { expiresAt, ...input } = fromWire(body);
      const created = await flows.create(zone, { ...input, expiresAt: optionalMoment(expiresAt) });
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/applications/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List applications',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(Application) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read an application',
    params: applicationParams,
    response: { 200: Application },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.application_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change an application',
    params: applicationParams,
    body: UpdateApplication,
    response: { 200: Application },
    handle: async (call) => {
      const { consent, expiresAt, ...rest } = fromWire(call.body);
      const patch = { ...rest, expiresAt: expiresAt === null ? null : optionalMoment(expiresAt) };
      const words = consent === undefined ? {} : { consent: consent ? 'required' : 'implicit' };
      const update = { id: call.params.application_id, patch: { ...patch, ...words }, ifMatch: requiredIfMatch(call) };
      return shown(await flows.update(call.zone, update));
    },
  });
  addEndingRoutes(router, flows);
}

function addEndingRoutes(router: Router, flows: ApiFlows['applications']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/rotate-secret` },
    summary: 'Give it another secret; the one before stops working',
    params: applicationParams,
    response: { 200: ApplicationWithSecret },
    handle: async ({ zone, params, ifMatch }) => {
      const rotated = await flows.rotateSecret(zone, { id: params.application_id, ifMatch });
      const answer = shown(rotated.application);
      return { ...answer, body: { ...(answer.body as object), client_secret: rotated.clientSecret } };
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'End an application; its mandates are refused',
    params: applicationParams,
    query: form.WaitQuery,
    response: { 200: form.Ended },
    handle: async ({ zone, params, query, ifMatch }) =>
      endedAnswer(await flows.archive(zone, { id: params.application_id, ifMatch, waitMs: waitMsOf(query) })),
  });
}

function optionalMoment(text: string | undefined): string | undefined {
  return text === undefined ? undefined : momentText(text, 'expires_at');
}
