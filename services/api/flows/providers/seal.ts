// Has secrets sealed by the STS, each for a row id of its own that is chosen anew with every sealing.
import type { SealedSecret } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';

/** @throws sts_unavailable. */
export async function sealSecrets(
  deps: ApiDeps,
  { zoneId, facts }: ZoneCall,
  secrets: Readonly<Record<string, string>>,
): Promise<SealedSecret[]> {
  const sealed: SealedSecret[] = [];
  for (const [name, value] of Object.entries(secrets)) {
    const rowId = deps.newId();
    sealed.push({ name, rowId, envelope: await deps.sts.sealSecret({ zoneId, rowId, value }, facts) });
  }
  return sealed;
}
