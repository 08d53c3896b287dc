// Fifth step: decisions that allow with a hold. One hold stands for the whole mandate, because that is what is minted: all
// resources that are granted, those that nobody holds included.
import { asFailure, fail } from '#mesh/failure';
import type { Failure, JsonObject } from '#mesh/failure';
import { actorsOf, chainOf } from '../../domain/hold.ts';
import type { HeldChain } from '../../domain/hold.ts';
import type { HoldRule } from '../../domain/hold-rule.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import { resolveHold } from '../resolve-hold.ts';
import type { ApprovedHold, HeldRequest, HoldDeps } from '../resolve-hold.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import type { Decided } from './decide.ts';
import type { TokenRequest } from './token-request.ts';
import type { Subject } from './validate-subject.ts';

export interface SettleAt {
  readonly client: AuthenticatedClient;
  readonly subject: Subject;
  readonly decided: readonly Decided[];
}

export interface Settled {
  /** As decided; when a hold is open, everything it keeps back carries its failure. */
  readonly decided: readonly Decided[];
  /** To be spent with the mint; undefined when nothing is held. */
  readonly approval: ApprovedHold | undefined;
  /** What the whole request comes to while a hold is open. */
  readonly refused: Failure | undefined;
}

/** What of all policies said the approver is shown; each note is bounded where it is read. */
const maxDiagnostics = 8;

function heldRequest(request: TokenRequest, at: SettleAt, rules: readonly [HoldRule, ...HoldRule[]]): HeldRequest {
  const { client, subject } = at;
  const granted = at.decided.filter(({ failure }) => !failure);
  const version = oneVersion(granted);
  const claims = subject.mandate?.claims;
  const applicationId = client.application.id;
  const { session, path } = subject.bound;
  const diagnostics: readonly JsonObject[] = granted.flatMap(({ policy }) => policy?.decision.diagnostics ?? []);
  return {
    action: {
      zoneId: client.zone.id,
      applicationId,
      principal: { ...subject.principal, actors: actorsOf(subject.act && { act: subject.act }) },
      session: {
        sid: claims?.sid,
        agentSessionId: session?.id,
        delegationEdgeId: path?.edges.at(-1)?.id,
      },
      targets: granted.map(({ identifier, scopes }) => ({ resource: identifier, scopes })),
      operation: { kind: 'token_exchange', use: claims ? 'per_call' : 'ambient' },
      policyDigest: version.digest,
    },
    rules,
    chain: chainOf({ applicationId, claims: chainClaims(subject, applicationId), session, path }),
    diagnostics: diagnostics.slice(0, maxDiagnostics),
    policySetVersionId: version.versionId,
    requestId: request.asked.requestId,
    challenge: request.challenge,
  };
}

/** Who the new mandate is for and through whom, for those who may not approve it. */
function chainClaims({ mandate, user, act }: Subject, applicationId: string): HeldChain['claims'] {
  if (!mandate) return user && { sub: user.subject, client_id: applicationId };
  return act ? { ...mandate.claims, act } : mandate.claims;
}

/** All decisions of a request come from one version, unless it was replaced between them: then it has to be asked again. */
function oneVersion(granted: readonly Decided[]): PolicySetVersion {
  const versions = granted.flatMap(({ policy }) => (policy?.version ? [policy.version] : []));
  const [version] = versions;
  if (!version || versions.some(({ digest }) => digest !== version.digest)) {
    throw fail('policy_unavailable', { privateDetail: 'version_replaced_meanwhile' });
  }
  return version;
}

/** Finds or raises the hold. Throws `store_unavailable` when neither is possible. */
export async function settleHolds(deps: HoldDeps, request: TokenRequest, at: SettleAt): Promise<Settled> {
  const { decided } = at;
  const [first, ...more] = decided.flatMap(({ policy }) => (policy?.decision.hold ? [policy.decision.hold] : []));
  if (!first) return { decided, approval: undefined, refused: undefined };
  try {
    const approval = await resolveHold(deps, heldRequest(request, at, [first, ...more]));
    return { decided, approval, refused: undefined };
  } catch (error) {
    const refused = asFailure(error);
    return {
      decided: decided.map((one) => (one.failure ? one : { ...one, failure: refused })),
      approval: undefined,
      refused,
    };
  }
}
