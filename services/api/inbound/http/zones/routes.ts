// Zones over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf, requiredIfMatch, shown } from '../route.ts';
import * as form from '../schemas.ts';
import { endedAnswer, waitMsOf } from '../waiting.ts';
import { fromWire } from '../wire-names.ts';
import { CreateZone, UpdateZone, Zone } from './schemas.ts';

const tag = 'zones';

export function addZoneRoutes(router: Router, flows: ApiFlows['zones']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/zones', tag, access: 'write', reach: 'global', creates: true },
    summary: 'Make a zone with its signing key; it denies everything until a policy set is activated',
    body: CreateZone,
    response: { 201: Zone },
    handle: async ({ admin, body }) => {
      const created = await flows.create(admin, fromWire(body));
      return createdAnswer(created, `/v1/zones/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ method: 'GET', url: '/v1/zones', tag, access: 'read', reach: 'global' },
    summary: 'List zones',
    query: form.PageQuery,
    response: { 200: form.pageOf(Zone) },
    handle: async ({ query }) => pageAnswer(await flows.page(pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ method: 'GET', url: '/v1/zones/:zone_id', tag, access: 'read', reach: 'zone' },
    summary: 'Read a zone',
    params: form.zoneParams,
    response: { 200: Zone },
    handle: async ({ zone }) => shown(await flows.get(zone)),
  });
  addRoute(router, {
    ...{ method: 'PATCH', url: '/v1/zones/:zone_id', tag, access: 'write', reach: 'zone', ifMatch: 'required' },
    summary: 'Change a zone',
    params: form.zoneParams,
    body: UpdateZone,
    response: { 200: Zone },
    handle: async (call) =>
      shown(await flows.update(call.zone, { patch: fromWire(call.body), ifMatch: requiredIfMatch(call) })),
  });
  addRoute(router, {
    ...{ method: 'DELETE', url: '/v1/zones/:zone_id', tag, access: 'write', reach: 'zone' },
    summary: 'End a zone; all its mandates are refused',
    params: form.zoneParams,
    query: form.WaitQuery,
    response: { 200: form.Ended },
    handle: async ({ zone, query, ifMatch }) =>
      endedAnswer(await flows.archive(zone, { ifMatch, waitMs: waitMsOf(query) })),
  });
}
