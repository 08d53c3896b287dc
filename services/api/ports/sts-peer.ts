// What the control plane asks of the STS. Nothing is stored there: envelopes come back and live in our rows.
import type { JsonObject } from '#mesh/failure';
import type { PolicySource } from '../domain/policy.ts';
import type { TokenState } from '../domain/token-state.ts';
import type { CallFacts } from './control-store.ts';
import type { ZoneKeyRow } from './zone-keys.ts';

export interface PolicyProblem {
  readonly policyVersionId: string;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

export interface EnforcedPolicy {
  /** Undefined when the zone has none. */
  readonly versionId: string | undefined;
  readonly digest: string | undefined;
  readonly loaded: boolean;
}

/** Everything rejects with `sts_unavailable` when the STS, or for policies OPA behind it, cannot be asked. */
export interface StsPeer {
  makeZoneKey(zoneId: string, keyId: string, facts: CallFacts): Promise<ZoneKeyRow>;
  /** The envelope opens for this row of api.provider_secrets alone. */
  sealSecret(secret: { zoneId: string; rowId: string; value: string }, facts: CallFacts): Promise<Uint8Array>;
  /** Empty when the policies may be enforced together. */
  validate(
    set: { zoneId: string; policies: readonly Omit<PolicySource, 'contentSha256' | 'archived'>[]; params: JsonObject },
    facts: CallFacts,
  ): Promise<readonly PolicyProblem[]>;
  policyStatus(zoneId: string, facts: CallFacts): Promise<EnforcedPolicy>;
  /** What a token of the zone is worth now; `revocation_stale` rather than a guess. */
  introspect(zoneId: string, token: string, facts: CallFacts): Promise<TokenState>;
}
