// Admin tokens over HTTP, for holders of a global one.
import { fail } from '#mesh/failure';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, noContent, pageAnswer, pageQueryOf } from '../route.ts';
import * as form from '../schemas.ts';
import { AdminToken, AdminTokenWithSecret, CreateAdminToken, tokenParams } from './schemas.ts';

const tag = 'admin tokens';
const base = '/v1/admin-tokens';

export function addAdminTokenRoutes(router: Router, flows: ApiFlows['adminTokens']): void {
  addRoute(router, {
    ...{ method: 'POST', url: base, tag, access: 'write', reach: 'global', creates: true },
    summary: 'Make an admin token; it is shown in this answer alone',
    body: CreateAdminToken,
    response: { 201: AdminTokenWithSecret },
    handle: async ({ admin, body }) => {
      if ((body.scope === 'zone') !== (body.zone_id !== undefined)) {
        throw fail('invalid_request', { fields: [{ path: 'zone_id', rule: 'with scope zone, and only then' }] });
      }
      if ((body.capability === 'approve') !== (body.sub !== undefined)) {
        throw fail('invalid_request', { fields: [{ path: 'sub', rule: 'with capability approve, and only then' }] });
      }
      const input = { name: body.name, capability: body.capability, sub: body.sub, zoneId: body.zone_id };
      const created = await flows.create(admin, input);
      return createdAnswer(created, `${base}/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ method: 'GET', url: base, tag, access: 'read', reach: 'global' },
    summary: 'List admin tokens',
    query: form.PageQuery,
    response: { 200: form.pageOf(AdminToken) },
    handle: async ({ query }) => pageAnswer(await flows.page(pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ method: 'DELETE', url: `${base}/:token_id`, tag, access: 'write', reach: 'global' },
    summary: 'Revoke an admin token',
    params: tokenParams,
    response: {},
    handle: async ({ admin, params }) => {
      await flows.revoke(admin, params.token_id);
      return noContent;
    },
  });
}
