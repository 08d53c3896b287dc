// Tokens over HTTP: what one is worth now. They are ended by revocation.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute } from '../route.ts';
import * as form from '../schemas.ts';
import { Introspect, Introspection } from './schemas.ts';

export function addTokenRoutes(router: Router, flows: ApiFlows['tokens']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/zones/:zone_id/introspect', tag: 'tokens', access: 'read', reach: 'zone' },
    summary: 'Say what a mandate of the zone is worth now',
    params: form.zoneParams,
    body: Introspect,
    response: { 200: Introspection },
    handle: async ({ zone, body }) => ({ status: 200, body: await flows.introspect(zone, body.token) }),
  });
}
