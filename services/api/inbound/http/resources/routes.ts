// Resources over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import {
  type Router,
  addRoute,
  createdAnswer,
  noContent,
  pageAnswer,
  pageQueryOf,
  requiredIfMatch,
  shown,
} from '../route.ts';
import * as form from '../schemas.ts';
import { fromWire } from '../wire-names.ts';
import { CreateResource, Resource, UpdateResource, resourceParams } from './schemas.ts';

const tag = 'resources';
const base = '/v1/zones/:zone_id/resources';
const one = `${base}/:resource_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addResourceRoutes(router: Router, flows: ApiFlows['resources']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Protect an upstream',
    params: form.zoneParams,
    body: CreateResource,
    response: { 201: Resource },
    handle: async ({ zone, body }) => {
      const created = await flows.create(zone, fromWire(body));
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/resources/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List resources',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(Resource) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a resource',
    params: resourceParams,
    response: { 200: Resource },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.resource_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change a resource',
    params: resourceParams,
    body: UpdateResource,
    response: { 200: Resource },
    handle: async (call) => {
      const update = { id: call.params.resource_id, patch: fromWire(call.body), ifMatch: requiredIfMatch(call) };
      return shown(await flows.update(call.zone, update));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'End a resource',
    params: resourceParams,
    response: {},
    handle: async ({ zone, params, ifMatch }) => {
      await flows.archive(zone, { id: params.resource_id, ifMatch });
      return noContent;
    },
  });
}
