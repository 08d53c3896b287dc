// Policy sets and their versions over HTTP; what is enforced changes in activation-routes.ts.
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
  AddSetVersion,
  CreatePolicySet,
  PolicySet,
  PolicySetVersion,
  UpdatePolicySet,
  setParams,
  setVersionParams,
} from './schemas.ts';

const tag = 'policy sets';
const base = '/v1/zones/:zone_id/policy-sets';
const one = `${base}/:policy_set_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addPolicySetRoutes(router: Router, flows: ApiFlows['policySets']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Make a policy set',
    params: form.zoneParams,
    body: CreatePolicySet,
    response: { 201: PolicySet },
    handle: async ({ zone, body }) => {
      const created = await flows.create(zone, fromWire(body));
      return createdAnswer(created, `/v1/zones/${zone.zoneId}/policy-sets/${created.entity.id}`);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List policy sets',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(PolicySet) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a policy set',
    params: setParams,
    response: { 200: PolicySet },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.policy_set_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'PATCH', url: one, ifMatch: 'required' },
    summary: 'Change the words around a policy set',
    params: setParams,
    body: UpdatePolicySet,
    response: { 200: PolicySet },
    handle: async (call) => {
      const update = { id: call.params.policy_set_id, patch: fromWire(call.body), ifMatch: requiredIfMatch(call) };
      return shown(await flows.update(call.zone, update));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'End a policy set; a zone that enforced it denies everything',
    params: setParams,
    response: {},
    handle: async ({ zone, params, ifMatch }) => {
      await flows.archive(zone, { id: params.policy_set_id, ifMatch });
      return noContent;
    },
  });
  addVersionRoutes(router, flows);
}

function addVersionRoutes(router: Router, flows: ApiFlows['policySets']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/versions`, creates: true },
    summary: 'Add a version: which policy versions with which data, when they compile together',
    params: setParams,
    body: AddSetVersion,
    response: { 201: PolicySetVersion },
    handle: async ({ zone, params, body }) => {
      const manifest = body.manifest.map((entry) => ({ policyVersionId: entry.policy_version_id }));
      const input = { policySetId: params.policy_set_id, manifest, params: body.params };
      const created = await flows.addVersion(zone, input);
      const place = `/v1/zones/${zone.zoneId}/policy-sets/${params.policy_set_id}/versions/${created.entity.id}`;
      return createdAnswer(created, place);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/versions` },
    summary: 'List the versions of a set',
    params: setParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(PolicySetVersion) },
    handle: async ({ zone, params, query }) =>
      pageAnswer(await flows.versions(zone, { policySetId: params.policy_set_id, query: pageQueryOf(query) })),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/versions/:version_id` },
    summary: 'Read a version of a set',
    params: setVersionParams,
    response: { 200: PolicySetVersion },
    handle: async ({ zone, params }) =>
      shown(await flows.version(zone, { policySetId: params.policy_set_id, versionId: params.version_id })),
  });
}
