// Approvals over HTTP: seen by whoever may read the zone, decided by approvers.
import { asFailure, fail } from '#mesh/failure';
import { type Approval as ApprovalEntity, inWords } from '../../../domain/approval.ts';
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Answer, type Router, addRoute, createdAnswer, pageAnswer, pageQueryOf, shown } from '../route.ts';
import * as form from '../schemas.ts';
import { Approval, DecideApproval, ListApprovals, Satisfied, approvalParams } from './schemas.ts';

const base = '/v1/zones/:zone_id/approvals';
const tag = 'approvals';
const verbs = { approve: 'approved', reject: 'rejected' } as const;

const worded = (approval: ApprovalEntity) => ({ ...approval, summary: inWords(approval) });

export function addApprovalRoutes(router: Router, flows: ApiFlows['approvals']): void {
  addRoute(router, {
    ...{ method: 'GET', url: base, tag, access: 'read', reach: 'zone' },
    summary: 'List approvals, newest first',
    params: form.zoneParams,
    query: ListApprovals,
    response: { 200: form.pageOf(Approval) },
    handle: async ({ zone, query }) => {
      const page = await flows.page(zone, pageQueryOf(query), query.state === undefined ? {} : { state: query.state });
      return pageAnswer({ ...page, items: page.items.map(worded) });
    },
  });
  addRoute(router, {
    ...{ method: 'GET', url: `${base}/:approval_id`, tag, access: 'read', reach: 'zone' },
    summary: 'Read an approval',
    params: approvalParams,
    response: { 200: Approval },
    handle: async ({ zone, params }) => shown(worded(await flows.get(zone, params.approval_id))),
  });
  for (const verb of ['approve', 'reject'] as const) {
    addRoute(router, {
      ...{ method: 'POST', url: `${base}/:approval_id/${verb}`, tag, access: 'approve', reach: 'zone', creates: true },
      summary: verb === 'approve' ? 'Let it be done, once' : 'Let it not be done; the word stands',
      params: approvalParams,
      body: DecideApproval,
      bodyOptional: true,
      response: { 200: Approval },
      handle: async ({ zone, params, body }) => {
        const { approval_id: id } = params;
        const decided = await flows.decide(zone, { id, decision: verbs[verb], reason: body.reason });
        const location = `/v1/zones/${zone.zoneId}/approvals/${id}`;
        return createdAnswer({ ...decided, entity: worded(decided.entity) }, location);
      },
    });
  }
  addSatisfyRoute(router, flows);
}

/** The seeds' older name for approving: what cannot be approved any more does not exist there. */
function addSatisfyRoute(router: Router, flows: ApiFlows['approvals']): void {
  addRoute(router, {
    ...{ method: 'POST', url: '/v1/zones/:zone_id/step-up-challenges/:approval_id/satisfy', tag },
    ...{ access: 'approve', reach: 'zone', creates: true },
    summary: 'Approve, under the name of older clients',
    params: approvalParams,
    body: DecideApproval,
    bodyOptional: true,
    response: { 200: Satisfied },
    handle: async ({ zone, params, body }): Promise<Answer> => {
      const { approval_id: id } = params;
      try {
        const { entity } = await flows.decide(zone, { id, decision: 'approved', reason: body.reason });
        return { status: 200, body: { id: entity.id, satisfied_at: entity.decidedAt } };
      } catch (error) {
        const failure = asFailure(error);
        if (failure.reason !== 'approval_decided') throw failure;
        throw fail('not_found', { description: 'The challenge does not exist, is decided or has expired.' });
      }
    },
  });
}
