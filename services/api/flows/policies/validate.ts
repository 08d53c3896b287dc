// Has policies checked by the STS as they would be loaded.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import type { CallFacts } from '../../ports/control-store.ts';
import type { ApiDeps } from '../../ports/deps.ts';

export interface Candidate {
  readonly policyVersionId: string;
  readonly name: string;
  readonly content: string;
}

/** Problems in one answer at most; the first few are what an author mends. */
const maxProblems = 50;
/** A message quotes a policy's names; cut so that an answer stays small. */
const maxMessage = 300;

/** @throws policy_invalid with every problem's line and column, sts_unavailable. */
export async function requireValid(
  deps: ApiDeps,
  set: { zoneId: string; policies: readonly Candidate[]; params: JsonObject },
  facts: CallFacts,
): Promise<void> {
  const problems = await deps.sts.validate(set, facts);
  if (problems.length === 0) return;
  throw fail('policy_invalid', {
    details: {
      problems: problems.slice(0, maxProblems).map(({ policyVersionId, line, column, code, message }) => ({
        ...(set.policies.length > 1 ? { policy_version_id: policyVersionId } : {}),
        line,
        column,
        code,
        message: message.slice(0, maxMessage).toWellFormed(),
      })),
    },
  });
}
