// What a zone enforces and watches, over HTTP: activate, roll back, deactivate, shadow, and how far it has come.
import type { Activated as ActivatedVersion } from '../../../flows/policy-sets/activate.ts';
import type { Changed } from '../../../flows/policy-sets/change-enforcement.ts';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { momentOf } from '../moment.ts';
import { type Answer, type Router, addRoute, noContent, pageAnswer, pageQueryOf } from '../route.ts';
import * as form from '../schemas.ts';
import { waitMsOf } from '../waiting.ts';
import { toWire } from '../wire-names.ts';
import {
  Activate,
  Activated,
  ActivationStatus,
  DifferenceQuery,
  Propagated,
  PropagatedQuery,
  RollBack,
  ShadowDifference,
  Watch,
  setParams,
} from './schemas.ts';

const tag = 'policy sets';
const one = '/v1/zones/:zone_id/policy-sets/:policy_set_id';
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone', params: setParams, query: PropagatedQuery } as const;

export function addActivationRoutes(router: Router, flows: ApiFlows['policySets']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/activate` },
    summary: 'Enforce a version in the zone, in place of whatever it enforced',
    body: Activate,
    response: { 202: Activated },
    handle: async ({ zone, params, query, body }) => {
      const { version_id: versionId, shadow_version_id: shadowVersionId } = body;
      const wish = { policySetId: params.policy_set_id, versionId, shadowVersionId, waitMs: waitMsOf(query) };
      return accepted(await flows.activate(zone, wish));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/rollback` },
    summary: 'Enforce an older version of the set again: the one named, or the one active before',
    body: RollBack,
    bodyOptional: true,
    response: { 202: Activated },
    handle: async ({ zone, params, query, body }) => {
      const wish = { policySetId: params.policy_set_id, versionId: body.version_id, waitMs: waitMsOf(query) };
      return accepted(await flows.rollBack(zone, wish));
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/deactivate` },
    summary: 'Enforce nothing: the zone denies everything',
    response: { 200: Propagated },
    handle: async ({ zone, params, query }) =>
      takenAway(await flows.deactivate(zone, { policySetId: params.policy_set_id, waitMs: waitMsOf(query) })),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/activation-status` },
    summary: 'How far the last change has come, and whether the STS enforces what is active',
    params: setParams,
    response: { 200: ActivationStatus },
    handle: async ({ zone, params }) => ({
      status: 200,
      body: toWire(await flows.status(zone, params.policy_set_id)),
    }),
  });
  addShadowRoutes(router, flows);
}

function addShadowRoutes(router: Router, flows: ApiFlows['policySets']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/shadow` },
    summary: 'Watch a version beside what the zone enforces: differences are recorded, nothing is enforced',
    body: Watch,
    response: { 202: Activated },
    handle: async ({ zone, params, query, body }) => {
      const wish = { policySetId: params.policy_set_id, versionId: body.version_id, waitMs: waitMsOf(query) };
      const { version, propagation } = await flows.watch(zone, wish);
      if (version === undefined) return noContent;
      // Nothing of it is enforced.
      const shown = { ...acceptedBody({ ...version, propagation }), activated: false };
      return { status: 202, body: { ...shown, shadow_version_id: version.id } };
    },
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: `${one}/shadow` },
    summary: 'Watch nothing any more',
    response: { 200: Propagated },
    handle: async ({ zone, params, query }) => {
      const wish = { policySetId: params.policy_set_id, versionId: undefined, waitMs: waitMsOf(query) };
      return takenAway(await flows.watch(zone, wish));
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/shadow-differences` },
    summary: 'Decisions that the watched version would have taken otherwise, newest first',
    params: setParams,
    query: DifferenceQuery,
    response: { 200: form.pageOf(ShadowDifference) },
    handle: async ({ zone, params, query }) => {
      const search = {
        ...pageQueryOf(query),
        policySetId: params.policy_set_id,
        sinceMs: query.since === undefined ? undefined : momentOf(query.since, 'since'),
        untilMs: query.until === undefined ? undefined : momentOf(query.until, 'until'),
        applicationId: query.application_id,
      };
      return pageAnswer(await flows.differences(zone, search));
    },
  });
}

/** How far it came, when somebody waited. */
function howFar({ propagation }: Changed): object {
  if (propagation === undefined) return {};
  const { propagated, points, elapsedMs } = propagation;
  return { propagated, points, elapsed_ms: elapsedMs };
}

function takenAway(changed: Changed): Answer {
  return changed.propagation === undefined ? noContent : { status: 200, body: howFar(changed) };
}

function statusUrl({ zoneId, policySetId }: ActivatedVersion): string {
  return `/v1/zones/${zoneId}/policy-sets/${policySetId}/activation-status`;
}

function acceptedBody(activated: ActivatedVersion) {
  const { policySetId, id, digest, shadowVersionId } = activated;
  return {
    activated: true,
    policy_set_id: policySetId,
    version_id: id,
    digest,
    ...(shadowVersionId === undefined ? {} : { shadow_version_id: shadowVersionId }),
    ...howFar(activated),
    status_url: statusUrl(activated),
  };
}

function accepted(activated: ActivatedVersion): Answer {
  return { status: 202, headers: { location: statusUrl(activated) }, body: acceptedBody(activated) };
}
