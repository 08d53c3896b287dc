// Subject issuers over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf, requiredIfMatch, shown } from '../route.ts';
import * as form from '../schemas.ts';
import { endedAnswer, waitMsOf } from '../waiting.ts';
import { fromWire } from '../wire-names.ts';
import { CreateSubjectIssuer, SubjectIssuer, UpdateSubjectIssuer, subjectIssuerParams } from './schemas.ts';

const tag = 'subject issuers';
const base = '/v1/zones/:zone_id/subject-issuers';
const one = `${base}/:subject_issuer_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addSubjectIssuerRoutes(router: Router, flows: ApiFlows['subjectIssuers']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Take the word of an OpenID provider about its users',
    params: form.zoneParams,
    body: CreateSubjectIssuer,
    response: { 201: SubjectIssuer },
    handle: async ({ zone, body }) => {
      const created = await flows.create(zone, fromWire(body));
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/subject-issuers/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List subject issuers',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(SubjectIssuer) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a subject issuer',
    params: subjectIssuerParams,
    response: { 200: SubjectIssuer },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.subject_issuer_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change how its tokens are read',
    params: subjectIssuerParams,
    body: UpdateSubjectIssuer,
    response: { 200: SubjectIssuer },
    handle: async (call) => {
      const update = { id: call.params.subject_issuer_id, patch: fromWire(call.body), ifMatch: requiredIfMatch(call) };
      return shown(await flows.update(call.zone, update));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'End a subject issuer; its users are refused and their grants end',
    params: subjectIssuerParams,
    query: form.WaitQuery,
    response: { 200: form.Ended },
    handle: async ({ zone, params, query, ifMatch }) =>
      endedAnswer(await flows.archive(zone, { id: params.subject_issuer_id, ifMatch, waitMs: waitMsOf(query) })),
  });
}
