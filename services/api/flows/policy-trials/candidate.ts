// The set a trial is about: a stored version of the policy set, or policies that are in the author's hands still.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { manifestIds, maxSetBytes } from '../../domain/policy.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { TrialCandidate } from '../../ports/policy-trials.ts';
import type { PolicyProblem } from '../../ports/sts-peer.ts';
import { type ZoneCall, found } from '../admin-call.ts';

export interface CandidateChoice {
  readonly policySetId: string;
  /** A stored version of the set; or else policies. */
  readonly versionId?: string | undefined;
  readonly policies?: readonly { readonly name?: string | undefined; readonly content: string }[] | undefined;
  readonly params?: JsonObject | undefined;
}

export interface ChosenCandidate extends TrialCandidate {
  readonly versionId: string | undefined;
  readonly digest: string | undefined;
}

async function storedVersion(
  deps: ApiDeps,
  { zoneId }: ZoneCall,
  { policySetId, versionId }: { policySetId: string; versionId: string },
): Promise<ChosenCandidate> {
  return deps.store.read(zoneId, async (tx) => {
    found(await tx.policySets.find(policySetId), 'policy set');
    const version = found(await tx.policySetVersions.find(versionId), 'version of this policy set');
    if (version.policySetId !== policySetId) throw fail('not_found');
    const policies = await tx.policySources(manifestIds(version.manifest));
    return { zoneId, versionId, digest: version.digest, policies, params: version.params };
  });
}

/** @throws not_found, invalid_request (neither or both, too large). */
export async function chooseCandidate(
  deps: ApiDeps,
  call: ZoneCall,
  choice: CandidateChoice,
): Promise<ChosenCandidate> {
  const { policySetId, versionId, policies, params } = choice;
  if ((versionId === undefined) === (policies === undefined)) {
    throw fail('invalid_request', { fields: [{ path: 'version_id', rule: 'either version_id or policies' }] });
  }
  if (versionId !== undefined) {
    if (params !== undefined) {
      throw fail('invalid_request', { fields: [{ path: 'params', rule: 'a stored version has its own' }] });
    }
    return storedVersion(deps, call, { policySetId, versionId });
  }
  const given = policies ?? [];
  const bytes = given.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
  if (bytes > maxSetBytes) {
    throw fail('invalid_request', { fields: [{ path: 'policies', rule: `at most ${maxSetBytes} bytes together` }] });
  }
  await deps.store.read(call.zoneId, async (tx) => found(await tx.policySets.find(policySetId), 'policy set'));
  return {
    zoneId: call.zoneId,
    versionId: undefined,
    digest: undefined,
    policies: given.map(({ name, content }, at) => ({
      policyVersionId: `candidate-${at + 1}`,
      name: name ?? `candidate-${at + 1}`,
      content,
    })),
    params: params ?? {},
  };
}

/** Problems in one answer at most, and of each message; as in a refused activation. */
const maxProblems = 50;
const maxMessage = 300;

/** Problems as they may be shown. */
export function shownProblems(problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  return problems.slice(0, maxProblems).map(({ policyVersionId, line, column, code, message }) => ({
    policyVersionId,
    line,
    column,
    code,
    message: message.slice(0, maxMessage).toWellFormed(),
  }));
}
