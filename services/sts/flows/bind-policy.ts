// The flows about policy, bound to their ports: what the API asks of them.
import type { JsonObject } from '#mesh/failure';
import type { PolicyCandidate } from '../ports/policy-trials.ts';
import { policySetStatus, validatePolicySet } from './check-policy-set.ts';
import { replayPolicy, simulatePolicy } from './try-policy.ts';
import type { ReplayInput, TryDeps } from './try-policy.ts';

type Deps = Parameters<typeof validatePolicySet>[0] & Parameters<typeof policySetStatus>[0] & TryDeps;

export function bindPolicyFlows(deps: Deps) {
  return {
    validatePolicySet: async (candidate: PolicyCandidate) => validatePolicySet(deps, candidate),
    policySetStatus: async (zoneId: string) => policySetStatus(deps, zoneId),
    simulatePolicy: async (candidate: PolicyCandidate, input: JsonObject) => simulatePolicy(deps, candidate, input),
    replayPolicy: (candidate: PolicyCandidate, batches: AsyncIterable<readonly ReplayInput[]>) =>
      replayPolicy(deps, candidate, batches),
  };
}
