// Takes away what the zone enforces: from then on it denies everything. Archiving an active set does the same.
import { fail } from '#mesh/failure';
import type { StreamNumber } from '#mesh/revocation';
import type { IfMatch } from '../../domain/entity-tag.ts';
import type { PolicySet } from '../../domain/policy.ts';
import type { ControlTransaction } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';
import { changeGuarded } from '../change-guarded.ts';
import { type Changed, afterPropagation } from './change-enforcement.ts';

/** @throws not_found, conflict (the zone enforces no version of this set), barrier_timeout (the change stands). */
export async function deactivatePolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  { policySetId, waitMs }: { policySetId: string; waitMs?: number | undefined },
): Promise<Changed> {
  const position = await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    await tx.lockActivation();
    found(await tx.policySets.hold(policySetId), 'policy set');
    if (!(await isActive(tx, policySetId))) {
      throw fail('conflict', { description: 'The zone enforces no version of this policy set.' });
    }
    await tx.record(call.admin, {
      action: 'policy_set.deactivate',
      entityType: 'policy_set',
      entityId: policySetId,
      fields: ['activeVersionId'],
    });
    return enforceNothing(tx, call, policySetId);
  });
  return { propagation: await afterPropagation(deps, position, waitMs) };
}

/** @throws not_found, version_mismatch. */
export async function archivePolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  { id, ifMatch }: { id: string; ifMatch: IfMatch | undefined },
): Promise<void> {
  await changeGuarded<PolicySet>(deps, call, {
    id,
    entity: 'policy_set',
    rows: (tx) => ({
      // Activations hold this lock before the row: in the other order two of them would wait for each other.
      lock: async (setId) => {
        await tx.lockActivation();
        return tx.policySets.lock(setId);
      },
    }),
    ifMatch,
    verb: 'archive',
    fields: ['archivedAt'],
    apply: (tx) => tx.policySets.archive(id),
    tell: async (tx) => {
      const watched = (await tx.enforcement.shadowVersion())?.policySetId === id;
      if (watched) await tx.enforcement.watch(undefined);
      if (await isActive(tx, id)) await enforceNothing(tx, call, id);
      else if (watched) await tx.invalidatePolicy({ policySetId: id, versionId: undefined, digest: undefined });
    },
  });
}

async function isActive(tx: ControlTransaction, policySetId: string): Promise<boolean> {
  return (await tx.activeVersion())?.policySetId === policySetId;
}

async function enforceNothing(tx: ControlTransaction, call: ZoneCall, policySetId: string): Promise<StreamNumber> {
  const previousVersionId = (await tx.activeVersion())?.id;
  const activation = {
    ...{ policySetId, versionId: undefined, digest: undefined, verb: 'deactivate' as const },
    previousVersionId,
  };
  await tx.activate(undefined);
  await tx.recordActivation(call.admin, activation);
  return tx.invalidatePolicy(activation);
}
