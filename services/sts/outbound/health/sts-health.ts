// Whether this replica may be sent requests. Redis away alone leaves governed calls served, from Postgres and the journal, so
// it does not take the replica out.
import { fail } from '#mesh/failure';
import { createHealth } from '#mesh/health';
import type { Health } from '#mesh/health';

export interface HealthParts {
  readonly database: { ping(): Promise<void> };
  readonly policy: { ping(): Promise<void> };
  readonly revocations: { assertUsable(): void };
  readonly trail: { isUsable(): boolean };
}

export function createStsHealth({ database, policy, revocations, trail }: HealthParts): Health {
  return createHealth({
    checks: {
      postgres: async () => database.ping(),
      opa: async () => policy.ping(),
      revocation: async () => revocations.assertUsable(),
      audit: async () => {
        if (!trail.isUsable()) throw fail('audit_unavailable');
      },
    },
  });
}
