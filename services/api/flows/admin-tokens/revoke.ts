// Ends an admin token; the next request with it is refused.
import { SYSTEM_ZONE, type ZoneId, knownId } from '#mesh/ids';
import type { ApiDeps } from '../../ports/deps.ts';
import { type AdminCall, found } from '../admin-call.ts';

/** @throws not_found. */
export async function revokeAdminToken(deps: ApiDeps, call: AdminCall, id: string): Promise<void> {
  const token = found(await deps.store.findAdminToken(id), 'admin token');
  await deps.store.change(knownId<ZoneId>(token.zoneId ?? SYSTEM_ZONE), call.facts, async (tx) => {
    found((await tx.revokeAdminToken(id)) || undefined, 'admin token');
    await tx.record(call.admin, {
      action: 'admin_token.revoke',
      entityType: 'admin_token',
      entityId: id,
      fields: ['revokedAt'],
    });
  });
}
