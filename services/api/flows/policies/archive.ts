// Takes a policy out of use for new set versions. What is active goes on enforcing it: deactivation is its own act.
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';

/** @throws not_found. */
export async function archivePolicy(deps: ApiDeps, call: ZoneCall, id: string): Promise<void> {
  await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    found(await tx.policies.lock(id), 'policy');
    await tx.policies.archive(id);
    await tx.record(call.admin, {
      action: 'policy.archive',
      entityType: 'policy',
      entityId: id,
      fields: ['archivedAt'],
    });
  });
}
