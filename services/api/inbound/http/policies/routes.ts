// Policies and their versions over HTTP.
import { fail } from '#mesh/failure';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, createdAnswer, noContent, pageAnswer, pageQueryOf, shown } from '../route.ts';
import * as form from '../schemas.ts';
import { fromWire, toWire } from '../wire-names.ts';
import {
  AddVersion,
  CreatePolicy,
  Policy,
  PolicyVersion,
  PolicyVersionWithContent,
  PolicyWithVersion,
  policyParams,
  policyVersionParams,
} from './schemas.ts';

const tag = 'policies';
const base = '/v1/zones/:zone_id/policies';
const one = `${base}/:policy_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;
const write = { tag, access: 'write', reach: 'zone' } as const;

/** The store's bound of a policy's text. */
const maxContentBytes = 262_144;

export function addPolicyRoutes(router: Router, flows: ApiFlows['policies']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: base, creates: true },
    summary: 'Store a policy with its first version, when it compiles',
    params: form.zoneParams,
    body: CreatePolicy,
    response: { 201: PolicyWithVersion },
    handle: async ({ zone, body }) => {
      requireSize(body.content);
      const created = await flows.create(zone, fromWire(body));
      const answer = createdAnswer(created, `/v1/zones/${zone.zoneId}/policies/${created.entity.id}`);
      return { ...answer, body: { ...(answer.body as object), version: toWire(created.entity.version) } };
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List policies',
    params: form.zoneParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(Policy) },
    handle: async ({ zone, query }) => pageAnswer(await flows.page(zone, pageQueryOf(query))),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read a policy',
    params: policyParams,
    response: { 200: Policy },
    handle: async ({ zone, params }) => shown(await flows.get(zone, params.policy_id)),
  });
  addRoute(router, {
    ...{ ...write, method: 'DELETE', url: one },
    summary: 'Take a policy out of use for new set versions; what is active goes on',
    params: policyParams,
    response: {},
    handle: async ({ zone, params }) => {
      await flows.archive(zone, params.policy_id);
      return noContent;
    },
  });
  addVersionRoutes(router, flows);
}

function addVersionRoutes(router: Router, flows: ApiFlows['policies']): void {
  addRoute(router, {
    ...{ ...write, method: 'POST', url: `${one}/versions`, creates: true },
    summary: 'Add a version, when it compiles; content the policy had before is that version again',
    params: policyParams,
    body: AddVersion,
    response: { 200: PolicyVersion, 201: PolicyVersion },
    handle: async ({ zone, params, body }) => {
      requireSize(body.content);
      const created = await flows.addVersion(zone, { policyId: params.policy_id, content: body.content });
      const place = `/v1/zones/${zone.zoneId}/policies/${params.policy_id}/versions/${created.entity.id}`;
      return createdAnswer(created, place);
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/versions` },
    summary: 'List the versions of a policy',
    params: policyParams,
    query: form.PageQuery,
    response: { 200: form.pageOf(PolicyVersion) },
    handle: async ({ zone, params, query }) =>
      pageAnswer(await flows.versions(zone, { policyId: params.policy_id, query: pageQueryOf(query) })),
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: `${one}/versions/:version_id` },
    summary: 'Read a version with its text',
    params: policyVersionParams,
    response: { 200: PolicyVersionWithContent },
    handle: async ({ zone, params }) =>
      shown(await flows.version(zone, { policyId: params.policy_id, versionId: params.version_id })),
  });
}

function requireSize(content: string): void {
  if (Buffer.byteLength(content) <= maxContentBytes) return;
  throw fail('invalid_request', { fields: [{ path: 'content', rule: `at most ${maxContentBytes} bytes` }] });
}
