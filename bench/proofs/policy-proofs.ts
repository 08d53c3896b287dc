// What a thousand zones with policies of their own cost one another, what OPA's restarts cost anyone, and that compiled
// policies say what OPA says.
import type { Proof } from './proof.ts';
import { runSuiteProof } from './suite-proof.ts';
import type { SuiteFindings } from './suite-proof.ts';

/** Both below this are noise of the machine and no doubling. */
const noiseMs = 2;

function judgeZones({ facts }: SuiteFindings): readonly string[] {
  const { p99StillMs: still = Number.NaN, p99ChangingMs: changing = Number.NaN } = facts;
  const doubled = changing > 2 * Math.max(still, noiseMs);
  return doubled || Number.isNaN(changing)
    ? [`an activation takes the others' p99 from ${still} to ${changing} ms`]
    : [];
}

export const policyZonesProof: Proof = {
  name: 'policy-zones',
  sentence:
    "A zone that changes its policies does not double the others' p99, and more zones than are kept are served.",
  unit: 'zones, five policies each',
  defaultSize: 1000,
  run: async (request) =>
    runSuiteProof(
      {
        filter: 'test/integration/sts/policy-zones',
        sizeVariable: 'CARACAL_POLICY_ZONES',
        reportVariable: 'CARACAL_POLICY_ZONES_REPORT',
        columns: ['load', 'decisions', 'decisions/s', 'p50 ms', 'p99 ms', 'max ms'],
        judge: judgeZones,
      },
      request,
    ),
};

export const opaRestartProof: Proof = {
  name: 'opa-restart',
  sentence: 'OPA killed and brought back under exchanges never turns a denial into a grant.',
  unit: 'restarts, with and without compiled policies',
  defaultSize: 10,
  run: async (request) =>
    runSuiteProof(
      {
        filter: 'test/integration/sts/opa-restart',
        sizeVariable: 'CARACAL_OPA_RESTARTS',
        reportVariable: 'CARACAL_OPA_RESTART_REPORT',
        columns: ['restart', 'well again after ms'],
        judge: () => [],
      },
      request,
    ),
};

export const policyEnginesProof: Proof = {
  name: 'policy-engines',
  sentence: "Whatever compiled policies answer by themselves, OPA's server answers too.",
  unit: 'random inputs to each feature of the policy language',
  defaultSize: 200,
  run: async (request) =>
    runSuiteProof(
      {
        filter: 'test/conformance/rego/policy-engines',
        sizeVariable: 'CARACAL_POLICY_ENGINES',
        reportVariable: 'CARACAL_POLICY_ENGINES_REPORT',
        columns: ['features', 'answered by compiled code', 'questions', 'compared'],
        judge: () => [],
      },
      request,
    ),
};
