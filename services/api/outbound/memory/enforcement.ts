// What a zone watches, and the numbers of its changes, in memory.
import type { StreamNumber } from '#mesh/revocation';
import type { PolicySetVersion, PolicySource } from '../../domain/policy.ts';
import type { PolicyEnforcement } from '../../ports/policy-enforcement.ts';

export interface EnforcementState {
  policyChanges: number;
}

export function policyNumber({ policyChanges }: EnforcementState): StreamNumber {
  return { stream: 'caracal.policy.invalidate', incarnation: 'memory', number: policyChanges };
}

export function createMemoryEnforcement(
  state: EnforcementState,
  versions: () => PolicySetVersion[],
  sources: (ids: readonly string[]) => PolicySource[],
): PolicyEnforcement {
  return {
    shadowVersion: async () => versions().find(({ shadow }) => shadow),
    lastChange: async () => policyNumber(state),
    lockSources: async (ids) => sources(ids),
    watch: async (versionId) => {
      for (const row of versions()) Object.assign(row, { shadow: row.id === versionId });
    },
  };
}
