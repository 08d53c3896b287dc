// Connects a user, or a zone, to a provider: the STS keeps the attempt and the tokens, this records who did it and tells every
// replica that what it remembers of the provider is old.
import type { Connection } from '../../domain/connection.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { BegunConnection } from '../../ports/provider-peer.ts';
import { type ZoneCall, found } from '../admin-call.ts';

export interface BeginConnection {
  readonly providerId: string;
  readonly subject: string;
  readonly redirectUri: string;
}

/** @throws invalid_request, not_found, rate_limited, sts_unavailable. */
export async function beginConnection(
  deps: ApiDeps,
  call: ZoneCall,
  { providerId, subject, redirectUri }: BeginConnection,
): Promise<BegunConnection> {
  const { zoneId, admin, facts } = call;
  await deps.store.change(zoneId, facts, async (tx) => {
    await tx.requireZone();
    found(await tx.providers.find(providerId), 'provider');
    await tx.record(admin, {
      action: 'connection.begin',
      entityType: 'provider',
      entityId: providerId,
      fields: ['subject', 'redirectUri'],
      facts: { subject },
    });
  });
  return deps.providers.begin({ zoneId, providerId, subject, redirectUri, actorId: admin.tokenId }, facts);
}

export interface CompleteConnection {
  readonly state: string;
  readonly code: string;
  readonly issuer: string;
}

/** @throws invalid_request, not_found, provider_unavailable, credential_not_releasable, sts_unavailable. */
export async function completeConnection(
  deps: ApiDeps,
  call: ZoneCall,
  { state, code, issuer }: CompleteConnection,
): Promise<Connection> {
  const { zoneId, admin, facts } = call;
  await deps.store.read(zoneId, async () => undefined);
  const completed = await deps.providers.complete({ zoneId, state, code, issuer, actorId: admin.tokenId }, facts);
  const { connectionId, providerId } = completed;
  return deps.store.change(zoneId, facts, async (tx) => {
    await tx.requireZone();
    const provider = found(await tx.providers.find(providerId), 'provider');
    const connection = found(await tx.connections.find(connectionId), 'connection');
    await tx.record(admin, {
      action: 'connection.complete',
      entityType: 'connection',
      entityId: connectionId,
      fields: [],
      facts: { provider_id: providerId, subject: connection.subject },
    });
    await tx.invalidate('provider', providerId, provider.version);
    return connection;
  });
}
