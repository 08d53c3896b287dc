// What the control plane asks of the STS about providers: the STS alone opens secrets and speaks to token endpoints.
import type { FailureReason } from '#mesh/failure';
import type { CallFacts } from './control-store.ts';

export interface ProviderTest {
  /** Undefined when a credential was obtained. */
  readonly reason: FailureReason | undefined;
  readonly description: string;
  readonly elapsedMs: number;
  readonly expiresAtMs: number | undefined;
}

export interface BegunConnection {
  readonly authorizationUrl: string;
  readonly state: string;
  readonly expiresAtMs: number;
}

export interface CompletedConnection {
  readonly connectionId: string;
  readonly providerId: string;
}

/** Everything rejects with `sts_unavailable` when the STS cannot be asked. */
export interface ProviderPeer {
  test(test: { zoneId: string; providerId: string; subject: string }, facts: CallFacts): Promise<ProviderTest>;
  /** @throws invalid_request, not_found, rate_limited. */
  begin(
    begin: { zoneId: string; providerId: string; subject: string; redirectUri: string; actorId: string },
    facts: CallFacts,
  ): Promise<BegunConnection>;
  /** @throws invalid_request, not_found, provider_unavailable, credential_not_releasable. */
  complete(
    complete: { zoneId: string; state: string; code: string; issuer: string; actorId: string },
    facts: CallFacts,
  ): Promise<CompletedConnection>;
}
