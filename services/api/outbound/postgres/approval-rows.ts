// Approvals through what the STS publishes: its view without secrets and its function, in the API's transaction.
import type { ZoneTransaction } from '#mesh/postgres';
import type { Approval } from '../../domain/approval.ts';
import type { Approvals, DecisionOutcome } from '../../ports/approvals.ts';
import { createCollection } from './collection.ts';
import type { TableShape } from './table-shape.ts';

const approvalShape: TableShape<Approval> = {
  table: 'sts_pub.approvals',
  columns: {
    id: 'plain',
    state: 'plain',
    challengeType: 'plain',
    approvers: 'plain',
    applicationId: 'plain',
    subject: 'plain',
    subjectType: 'plain',
    sid: 'plain',
    agentSessionId: 'plain',
    delegationEdgeId: 'plain',
    chain: 'plain',
    targets: 'json',
    operation: 'json',
    diagnostics: 'json',
    policySetVersionId: 'plain',
    policyDigest: 'plain',
    binding: 'plain',
    requestId: 'plain',
    createdAt: 'time',
    expiresAt: 'time',
    decidedBy: 'plain',
    reason: 'plain',
    decidedAt: 'time',
    consumedAt: 'time',
    consumedRequestId: 'plain',
  },
  archives: false,
  versioned: false,
};

export function createApprovalRows(tx: ZoneTransaction): Approvals {
  const rows = createCollection(tx, approvalShape);
  return {
    find: (id) => rows.find(id),
    page: (query, filter) => rows.page(query, filter),
    decide: async ({ id, decision, approver, tokenId, reason }) => {
      const row = await tx.one<{ outcome: DecisionOutcome }>(
        'SELECT sts_pub.decide_approval($1, $2, $3, $4, $5, $6) AS outcome',
        [tx.zoneId, id, decision, approver, tokenId, reason ?? null],
      );
      return row?.outcome ?? 'not_found';
    },
  };
}
