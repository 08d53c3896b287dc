// An approver's word on what waits for one. The decision, its evidence and the admin's audit commit together; a word that
// may not count is recorded too, because somebody tried.
import { asFailure, fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import type { Approval } from '../../domain/approval.ts';
import type { DecisionOutcome } from '../../ports/approvals.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type Created, type ZoneCall, found } from '../admin-call.ts';
import { createOnce } from '../create-once.ts';

export interface DecideApproval {
  readonly id: string;
  readonly decision: 'approved' | 'rejected';
  readonly reason: string | undefined;
}

const verbs = { approved: 'approve', rejected: 'reject' } as const;

/** What an outcome that did not count means; undefined when it counted. */
function refusalOf(outcome: DecisionOutcome): Failure | undefined {
  switch (outcome) {
    case 'approved':
    case 'rejected':
      return undefined;
    case 'not_found':
      return fail('not_found', { description: 'There is no such approval here.' });
    case 'decided':
      return fail('approval_decided', { description: 'It is decided already, or its time is over.' });
    case 'own_chain':
      return fail('permission_denied', {
        description: 'Nobody approves what is done in their own name.',
        privateDetail: outcome,
      });
    case 'not_an_approver':
      return fail('permission_denied', { description: 'Policy names other approvers.', privateDetail: outcome });
  }
}

async function recordRefusedWord(
  deps: ApiDeps,
  call: ZoneCall,
  { id, decision, cause }: DecideApproval & { readonly cause: string },
): Promise<void> {
  await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.record(call.admin, {
      action: `approval.${verbs[decision]}_refused`,
      entityType: 'approval',
      entityId: id,
      fields: [],
      facts: { approver: call.admin.sub ?? '', cause },
    });
  });
}

/**
 * The approval as it stands after the word.
 * @throws not_found, approval_decided, permission_denied (no named approver, part of the chain, policy names others).
 */
export async function decideApproval(deps: ApiDeps, call: ZoneCall, word: DecideApproval): Promise<Created<Approval>> {
  const { sub: approver, tokenId } = call.admin;
  if (approver === undefined) throw fail('permission_denied', { privateDetail: 'no_named_approver' });
  const { id, decision, reason } = word;
  try {
    return await createOnce<Approval, undefined>(deps, call, {
      zoneId: call.zoneId,
      receiptZone: call.zoneId,
      prepare: async () => undefined,
      write: async (tx) => {
        await tx.requireZone();
        const refusal = refusalOf(await tx.approvals.decide({ id, decision, approver, tokenId, reason }));
        if (refusal) throw refusal;
        const entity = found(await tx.approvals.find(id), 'approval');
        await tx.record(call.admin, {
          action: `approval.${verbs[decision]}`,
          entityType: 'approval',
          entityId: id,
          fields: ['state', ...(reason === undefined ? [] : ['reason'])],
          facts: { approver },
        });
        return { entity, status: 200 };
      },
    });
  } catch (error) {
    const failure = asFailure(error);
    const cause = failure.reason === 'permission_denied' ? failure.privateDetail : undefined;
    if (cause !== undefined) await recordRefusedWord(deps, call, { ...word, cause });
    throw failure;
  }
}
