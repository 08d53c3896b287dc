// The flows about tokens that exist, and about what is published of them, bound to their ports.
import { introspectForZone, introspectToken } from './introspect-token.ts';
import type { IntrospectDeps, TokenQuestion } from './introspect-token.ts';
import { issuerMetadata, zoneJwks, zoneMetadata } from './publish-zone.ts';
import type { PublishDeps } from './publish-zone.ts';
import { recordUnread } from './refuse-client.ts';
import type { RefusalDeps } from './refuse-client.ts';
import { revokeToken } from './revoke-token.ts';
import type { RevokeDeps, RevokeRequest } from './revoke-token.ts';
import { watchRevocations } from './watch-revocations.ts';
import type { WatchDeps, WatchRequest } from './watch-revocations.ts';

export function bindTokenFlows(deps: RefusalDeps & IntrospectDeps & RevokeDeps & PublishDeps & WatchDeps) {
  return {
    recordUnread: async (unread: Parameters<typeof recordUnread>[1]) => recordUnread(deps, unread),
    introspectToken: async (question: TokenQuestion) => introspectToken(deps, question),
    introspectForZone: async (zoneId: string, token: string) => introspectForZone(deps, { zoneId, token }),
    revokeToken: async (request: RevokeRequest) => revokeToken(deps, request),
    watchRevocations: (request: WatchRequest) => watchRevocations(deps, request),
    zoneJwks: async (zoneId: string, wantedKid?: string) => zoneJwks(deps, zoneId, wantedKid),
    issuerMetadata: () => issuerMetadata(deps),
    zoneMetadata: async (zoneId: string) => zoneMetadata(deps, zoneId),
  };
}
