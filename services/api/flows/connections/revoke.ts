// Ends a connection: its tokens are forgotten in the transaction that says so, and every replica drops what it holds of it.
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';

/** @throws not_found. */
export async function revokeConnection(deps: ApiDeps, call: ZoneCall, id: string): Promise<void> {
  await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    const providerId = found(await tx.revokeConnection(id), 'connection');
    // The provider may have been archived since.
    const provider = await tx.providers.find(providerId);
    await tx.record(call.admin, {
      action: 'connection.revoke',
      entityType: 'connection',
      entityId: id,
      fields: ['state'],
      facts: { provider_id: providerId },
    });
    await tx.invalidate('provider', providerId, provider?.version ?? 1);
  });
}
