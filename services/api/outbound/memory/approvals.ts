// Approvals in memory, for tests of flows: rows a test puts there, decided by the rules of the STS.
import type { Approval } from '../../domain/approval.ts';
import type { Approvals } from '../../ports/approvals.ts';
import { createMemoryCollection, type MemoryTable } from './collection.ts';

interface Telling {
  readonly now: () => string;
  readonly tell: (kind: string, what: object) => void;
}

export function createMemoryApprovals(table: MemoryTable, { now, tell }: Telling): Approvals {
  const rows = createMemoryCollection<Approval>(table, { unique: [], versioned: false, now });
  return {
    find: (id) => rows.find(id),
    page: (query, filter) => rows.page(query, filter),
    decide: async ({ id, decision, approver, reason }) => {
      const approval = await rows.find(id);
      if (approval === undefined) return 'not_found';
      if (approval.chain.includes(approver)) return 'own_chain';
      if (approval.approvers?.includes(approver) === false) return 'not_an_approver';
      if (approval.state !== 'pending') return 'decided';
      await rows.update(id, { state: decision, decidedBy: approver, decidedAt: now(), reason });
      tell('approval', { id, decision, approver });
      return decision;
    },
  };
}
