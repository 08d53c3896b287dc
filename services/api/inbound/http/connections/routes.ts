// Connections at providers over HTTP: begun and completed by the same administrator, listed without their tokens, ended.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { microsecondTextOfMs } from '#mesh/time';
import { providerParams } from '../providers/schemas.ts';
import { type Router, addRoute, noContent, pageAnswer, pageQueryOf, shown } from '../route.ts';
import * as form from '../schemas.ts';
import { BeginConnection, Begun, CompleteConnection, Connection, ListQuery, connectionParams } from './schemas.ts';

const tag = 'connections';
const base = '/v1/zones/:zone_id/connections';
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

type Flows = ApiFlows['connections'];

export function addConnectionRoutes(router: Router, flows: Flows): void {
  addMakingRoutes(router, flows);
  addKeepingRoutes(router, flows);
}

function addMakingRoutes(router: Router, flows: Flows): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: '/v1/zones/:zone_id/providers/:provider_id/connections' },
    summary: 'Begin to connect a user, or the zone, to a provider (authorization code with PKCE)',
    params: providerParams,
    body: BeginConnection,
    response: { 201: Begun },
    handle: async ({ zone, params, body }) => {
      const begun = await flows.begin(zone, {
        providerId: params.provider_id,
        subject: body.subject ?? '',
        redirectUri: body.redirect_uri,
      });
      return {
        status: 201,
        body: {
          authorization_url: begun.authorizationUrl,
          state: begun.state,
          expires_at: microsecondTextOfMs(begun.expiresAtMs),
        },
      };
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${base}/complete` },
    summary: 'Complete a connection with what came back from the provider',
    params: form.zoneParams,
    body: CompleteConnection,
    response: { 201: Connection },
    handle: async ({ zone, body }) => {
      const { state, code, iss = '' } = body;
      return { ...shown(await flows.complete(zone, { state, code, issuer: iss })), status: 201 };
    },
  });
}

function addKeepingRoutes(router: Router, flows: Flows): void {
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List connections',
    params: form.zoneParams,
    query: ListQuery,
    response: { 200: form.pageOf(Connection) },
    handle: async ({ zone, query }) => {
      const { provider_id: providerId, subject, state } = query;
      const filter = Object.fromEntries(
        Object.entries({ providerId, subject, state }).filter(([, value]) => value !== undefined),
      );
      return pageAnswer(await flows.page(zone, { query: pageQueryOf(query), filter }));
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${base}/:connection_id` },
    summary: 'Read a connection',
    params: connectionParams,
    response: { 200: Connection },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.connection_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: `${base}/:connection_id` },
    summary: 'End a connection; its tokens are forgotten at once',
    params: connectionParams,
    response: {},
    handle: async ({ zone, params }) => {
      await flows.revoke(zone, params.connection_id);
      return noContent;
    },
  });
}
