// Revocation over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer } from '../route.ts';
import * as form from '../schemas.ts';
import { waitMsOf, waited } from '../waiting.ts';
import { CreateRevocation, Revoked } from './schemas.ts';

export function addRevocationRoutes(router: Router, flows: ApiFlows['revocations']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/zones/:zone_id/revocations', tag: 'revocations' },
    ...{ access: 'write', reach: 'zone', creates: true },
    summary: 'Revoke everything that was issued below these anchors until now',
    params: form.zoneParams,
    query: form.WaitQuery,
    body: CreateRevocation,
    response: { 201: Revoked },
    handle: async ({ zone, query, body }) => {
      const created = await flows.create(zone, {
        anchors: body.anchors,
        reason: body.reason ?? 'revoked by an administrator',
        waitMs: waitMsOf(query),
      });
      const answer = createdAnswer(created, `/v1/zones/${zone.zoneId}/audit`);
      return { ...answer, body: { ...(answer.body as object), ...waited(created.entity) } };
    },
  });
}
