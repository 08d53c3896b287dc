// What a mandate of the zone is worth now (RFC 7662), for an administrator of it. The STS judges; nothing is changed or spent.
import type { TokenState } from '../../domain/token-state.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ZoneCall } from '../admin-call.ts';

/** @throws not_found (zone), revocation_stale, sts_unavailable, store_unavailable. */
export async function introspectToken(deps: ApiDeps, { zoneId, facts }: ZoneCall, token: string): Promise<TokenState> {
  await deps.store.read(zoneId, async () => undefined);
  return deps.sts.introspect(zoneId, token, facts);
}
