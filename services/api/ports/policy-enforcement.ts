// What a zone watches beside what it enforces, and how far its last change has come, within one transaction.
import type { StreamNumber } from '#mesh/revocation';
import type { PolicySetVersion, PolicySource } from '../domain/policy.ts';

export interface EnforcementReads {
  /** The version that is evaluated beside the active one and never enforced. */
  shadowVersion(): Promise<PolicySetVersion | undefined>;
  /** The number of the zone's last change of what it enforces or watches; 0 when it never changed. */
  lastChange(): Promise<StreamNumber>;
}

export interface PolicyEnforcement extends EnforcementReads {
  /** As policySources, whose policies stay what they are until the transaction ends. */
  lockSources(versionIds: readonly string[]): Promise<readonly PolicySource[]>;
  /** Makes it the one shadow of the zone, or none. */
  watch(versionId: string | undefined): Promise<void>;
}
