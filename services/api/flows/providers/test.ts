// Has the STS obtain a credential as a governed call would. Who asked is recorded first, here: a test speaks to the provider
// in the installation's name.
import type { ProviderTest } from '../../ports/provider-peer.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import { type ZoneCall, found } from '../admin-call.ts';

/** @throws not_found, sts_unavailable; what the provider did is the answer. */
export async function testProvider(
  deps: ApiDeps,
  call: ZoneCall,
  { id, subject }: { id: string; subject: string },
): Promise<ProviderTest> {
  await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    found(await tx.providers.find(id), 'provider');
    await tx.record(call.admin, { action: 'provider.test', entityType: 'provider', entityId: id, fields: [] });
  });
  return deps.providers.test({ zoneId: call.zoneId, providerId: id, subject }, call.facts);
}
