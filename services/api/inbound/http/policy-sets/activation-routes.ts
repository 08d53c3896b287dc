// What a zone enforces, over HTTP: activate, roll back, deactivate, and whether it has arrived.
import type { PolicySetVersion } from '../../../domain/policy.ts';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Answer, type Router, addRoute, noContent } from '../route.ts';
import { toWire } from '../wire-names.ts';
import { Activate, Activated, ActivationStatus, RollBack, setParams } from './schemas.ts';

const tag = 'policy sets';
const one = '/v1/zones/:zone_id/policy-sets/:policy_set_id';
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

export function addActivationRoutes(router: Router, flows: ApiFlows['policySets']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/activate` },
    summary: 'Enforce a version in the zone, in place of whatever it enforced',
    params: setParams,
    body: Activate,
    response: { 202: Activated },
    handle: async ({ zone, params, body }) => {
      const wish = { policySetId: params.policy_set_id, versionId: body.version_id };
      return accepted(await flows.activate(zone, wish));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/rollback` },
    summary: 'Enforce an older version of the set again',
    params: setParams,
    body: RollBack,
    bodyOptional: true,
    response: { 202: Activated },
    handle: async ({ zone, params, body }) => {
      const wish = { policySetId: params.policy_set_id, versionId: body.version_id };
      return accepted(await flows.rollBack(zone, wish));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/deactivate` },
    summary: 'Enforce nothing: the zone denies everything',
    params: setParams,
    response: {},
    handle: async ({ zone, params }) => {
      await flows.deactivate(zone, params.policy_set_id);
      return noContent;
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/activation-status` },
    summary: 'Whether the STS enforces what is active',
    params: setParams,
    response: { 200: ActivationStatus },
    handle: async ({ zone, params }) => {
      const { activeVersionId, ...rest } = await flows.status(zone, params.policy_set_id);
      return { status: 200, body: toWire({ ...rest, activeVersionId }) };
    },
  });
}

function accepted({ zoneId, policySetId, id, digest }: PolicySetVersion): Answer {
  const statusUrl = `/v1/zones/${zoneId}/policy-sets/${policySetId}/activation-status`;
  return {
    status: 202,
    headers: { location: statusUrl },
    body: { activated: true, policy_set_id: policySetId, version_id: id, digest, status_url: statusUrl },
  };
}
