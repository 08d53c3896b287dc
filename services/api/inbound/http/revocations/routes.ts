// Revocation over HTTP.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer } from '../route.ts';
import * as form from '../schemas.ts';
import { toWire } from '../wire-names.ts';
import { CreateRevocation, Revoked, WaitQuery } from './schemas.ts';

/** A barrier takes milliseconds; ten seconds are twice the time after which a silent point counts as gone. */
const defaultWaitMs = 10_000;

export function addRevocationRoutes(router: Router, flows: ApiFlows['revocations']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/zones/:zone_id/revocations', tag: 'revocations' },
    ...{ access: 'write', reach: 'zone', creates: true },
    summary: 'Revoke everything that was issued below these anchors until now',
    params: form.zoneParams,
    query: WaitQuery,
    body: CreateRevocation,
    response: { 201: Revoked },
    handle: async ({ zone, query, body }) => {
      const waitMs = query.wait === undefined ? undefined : (query.timeout_ms ?? defaultWaitMs);
      const created = await flows.create(zone, {
        anchors: body.anchors,
        reason: body.reason ?? 'revoked by an administrator',
        waitMs,
      });
      const answer = createdAnswer(created, `/v1/zones/${zone.zoneId}/audit`);
      const { barrier } = created.entity;
      const waited = barrier === undefined ? {} : { applied: barrier.applied, barrier: toWire(barrier) };
      return { ...answer, body: { ...(answer.body as object), ...waited } };
    },
  });
}
