// Providers over HTTP.
import { fail } from '#mesh/failure';
import { isProviderKind, type ProviderKind, providerKinds } from '../../../domain/provider-kind.ts';
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
import {
  CreateProvider,
  Provider,
  ProviderTested,
  TestProvider,
  UpdateProvider,
  configProblems,
  providerParams,
} from './schemas.ts';
import { microsecondTextOfMs } from '#mesh/time';

const tag = 'providers';
const base = '/v1/zones/:zone_id/providers';
const one = `${base}/:provider_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addProviderRoutes(router: Router, flows: ApiFlows['providers']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Describe how an upstream gets its credential; secrets are sealed and never shown',
    params: form.zoneParams,
    body: CreateProvider,
    response: { 201: Provider },
    handle: async ({ zone, body }) => {
      const kind = supportedKind(body.kind);
      const fields = configProblems(kind, body.config ?? {});
      if (fields.length > 0) throw fail('invalid_request', { fields });
      const created = await flows.create(zone, { ...fromWire(body), kind });
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/providers/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List providers',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(Provider) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a provider',
    params: providerParams,
    response: { 200: Provider },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.provider_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change a provider; secrets that are not named stay',
    params: providerParams,
    body: UpdateProvider,
    response: { 200: Provider },
    handle: async (call) => {
      const { secrets = {}, ...patch } = fromWire(call.body);
      const update = { id: call.params.provider_id, patch, secrets, ifMatch: requiredIfMatch(call), configProblems };
      return shown(await flows.update(call.zone, update));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'End a provider that no resource uses',
    params: providerParams,
    response: {},
    handle: async ({ zone, params, ifMatch }) => {
      await flows.archive(zone, { id: params.provider_id, ifMatch });
      return noContent;
    },
  });
  addTestRoute(router, flows);
}

function addTestRoute(router: Router, flows: ApiFlows['providers']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/test` },
    summary: 'Obtain a credential as a governed call would, and throw it away',
    params: providerParams,
    body: TestProvider,
    bodyOptional: true,
    response: { 200: ProviderTested },
    handle: async ({ zone, params, body }) => {
      const tested = await flows.test(zone, { id: params.provider_id, subject: body.subject ?? '' });
      const { reason, description, elapsedMs, expiresAtMs } = tested;
      return {
        status: 200,
        body: {
          ok: reason === undefined,
          ...(reason === undefined ? {} : { reason, description }),
          elapsed_ms: elapsedMs,
          ...(expiresAtMs === undefined ? {} : { expires_at: microsecondTextOfMs(expiresAtMs) }),
        },
      };
    },
  });
}

function supportedKind(kind: string): ProviderKind {
  if (isProviderKind(kind)) return kind;
  throw fail('invalid_request', {
    description: `There is no such kind of provider; these are: ${providerKinds.join(', ')}.`,
    fields: [{ path: 'kind', rule: 'a supported kind' }],
  });
}
