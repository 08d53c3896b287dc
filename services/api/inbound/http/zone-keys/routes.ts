// A zone's signing keys over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf } from '../route.ts';
import * as form from '../schemas.ts';
import { waitMsOf } from '../waiting.ts';
import { toWire } from '../wire-names.ts';
import { RotateZoneKey, RotatedZoneKey, ZoneKey } from './schemas.ts';

const base = '/v1/zones/:zone_id/keys';
const tag = 'zone keys';

export function addZoneKeyRoutes(router: Router, flows: ApiFlows['zoneKeys']): void {
  addRoute(router, {
    ...{ method: 'GET', url: base, tag, access: 'read', reach: 'zone' },
    summary: 'List the zone’s signing keys, newest first',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(ZoneKey) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ method: 'POST', url: `${base}/rotate`, tag, access: 'write', reach: 'zone', creates: true },
    summary: 'Give the zone another signing key; after a leak retire all others at once',
    params: form.zoneParams,
    query: form.WaitQuery,
    body: RotateZoneKey,
    bodyOptional: true,
    response: { 201: RotatedZoneKey },
    handle: async ({ zone, query, body, ifMatch }) => {
      const rotated = await flows.rotate(zone, {
        retirePrevious: body.retire_previous ?? false,
        reason: body.reason ?? 'rotated by an administrator',
        ifMatch,
        waitMs: waitMsOf(query),
      });
      const answer = createdAnswer(rotated, `/v1/zones/${zone.zoneId}/keys`);
      const { barrier } = rotated;
      const waited = barrier === undefined ? {} : { applied: barrier.applied, barrier: toWire(barrier) };
      return { ...answer, body: { ...(answer.body as object), ...waited } };
    },
  });
}
