// Has everything sealed anew under ZONE_KEK, after it took the place of another. Who asked is in the ledger before it begins.
import { SYSTEM_ZONE, type ZoneId, knownId } from '#mesh/ids';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ResealProgress } from '../../ports/secret-sealing.ts';
import type { AdminCall } from '../admin-call.ts';

export interface Reseal {
  /** Only this zone; undefined means all. */
  readonly zoneId: string | undefined;
  readonly signal: AbortSignal;
}

/** Progress as it comes; the last says done. @throws not_found (zone), sts_unavailable. */
export async function* resealSecrets(
  deps: ApiDeps,
  call: AdminCall,
  { zoneId, signal }: Reseal,
): AsyncGenerator<ResealProgress> {
  await deps.store.change(knownId<ZoneId>(zoneId ?? SYSTEM_ZONE), call.facts, async (tx) => {
    if (zoneId !== undefined) await tx.requireZone();
    await tx.record(call.admin, {
      action: 'secrets.reseal',
      entityType: zoneId === undefined ? 'installation' : 'zone',
      entityId: zoneId ?? SYSTEM_ZONE,
      fields: [],
    });
  });
  yield* deps.sealing.reseal(zoneId, call.facts, signal);
}
