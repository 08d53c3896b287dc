// Fourth step: one policy decision per resource, and one for session lifecycle when it was asked for.
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import { lifecycleScope } from '../../domain/audience.ts';
import { lifecycleResource, userResource, userSessionScope } from '../../domain/decision-input.ts';
import type { DecidedResource, SubjectFacts } from '../../domain/decision-input.ts';
import type { Asked } from '../evidence.ts';
import { decideByPolicy, refusalOf } from '../decide-by-policy.ts';
import type { DecideDeps, PolicyOutcome } from '../decide-by-policy.ts';
import type { AuthenticatedClient } from './authenticate-client.ts';
import type { Candidate, Resolved } from './resolve-resources.ts';
import type { Subject } from './validate-subject.ts';

/** What came out for one resource; `failure` undefined means granted. */
export interface Decided {
  readonly identifier: string;
  readonly scopes: readonly string[];
  readonly policy: PolicyOutcome | undefined;
  readonly failure: Failure | undefined;
  /** True for what grants no target: session lifecycle, and a user's session, which grants no scope either. */
  readonly lifecycle: boolean;
  /** When what the user granted ends; undefined when nothing of the kind bounds it. */
  readonly endsAtMs?: number | undefined;
}

export interface DecideAt {
  readonly asked: Asked;
  readonly client: AuthenticatedClient;
  readonly subject: Subject;
  readonly nowMs: number;
}

type ActionId = 'TokenExchange' | 'SessionLifecycle' | 'UserSession';

/** The subject as policies know it; of a user who signs in, what the mandate will say. */
function subjectOf({ subject, client }: DecideAt): SubjectFacts | undefined {
  if (subject.mandate) return subject.mandate.claims;
  if (!subject.user) return undefined;
  const { id: clientId, zoneId } = client.application;
  return { sub: subject.user.subject, sub_type: 'user', client_id: clientId, zone_id: zoneId };
}

async function ask(
  deps: DecideDeps,
  at: DecideAt,
  about: {
    readonly resource: DecidedResource;
    readonly scopes: readonly string[];
    readonly action: ActionId;
    readonly endsAtMs?: number | undefined;
  },
): Promise<Decided> {
  const policy = await decideByPolicy(
    deps,
    {
      zone: at.client.zone,
      application: at.client.application,
      resource: about.resource,
      action: { id: about.action },
      requestedScopes: about.scopes,
      session: at.subject.bound.session,
      path: at.subject.bound.path,
      subject: subjectOf(at),
      userClaims: at.subject.userClaims,
      actor: at.subject.acting?.actor?.claims,
      nowMs: at.nowMs,
    },
    at.asked,
  );
  return {
    identifier: about.resource.identifier,
    scopes: about.scopes,
    policy,
    // A hold is settled for the whole request, in the step after this one.
    failure: policy.decision.kind === 'hold' ? undefined : refusalOf(policy),
    lifecycle: about.action !== 'TokenExchange',
    endsAtMs: about.endsAtMs,
  };
}

async function decideCandidate(deps: DecideDeps, at: DecideAt, candidate: Candidate): Promise<Decided> {
  if (candidate.kind === 'refused') {
    const { identifier, failure } = candidate;
    return { identifier, scopes: [], policy: undefined, failure, lifecycle: false };
  }
  const { resource, scopes, endsAtMs } = candidate;
  return ask(deps, at, { resource: { ...resource, type: 'Resource' }, scopes, action: 'TokenExchange', endsAtMs });
}

/** May this user sign in here at all? What is granted is neither scope nor target. */
async function decideUser(deps: DecideDeps, at: DecideAt): Promise<Decided> {
  const about = { resource: userResource, scopes: [userSessionScope], action: 'UserSession' } as const;
  return { ...(await ask(deps, at, about)), scopes: [] };
}

/** Every decision of the exchange, in the order asked; lifecycle last. */
export async function decide(deps: DecideDeps, resolved: Resolved, at: DecideAt): Promise<readonly Decided[]> {
  const pending = resolved.candidates.map(async (candidate) => decideCandidate(deps, at, candidate));
  if (resolved.lifecycle) {
    pending.push(ask(deps, at, { resource: lifecycleResource, scopes: [lifecycleScope], action: 'SessionLifecycle' }));
  }
  if (at.subject.user) pending.push(decideUser(deps, at));
  return Promise.all(pending);
}

/** The failure of an exchange in which nothing was granted: the common reason, or `access_denied` with all of them. */
export function overallFailure(decided: readonly Decided[]): Failure {
  const failures = decided.map(({ failure }) => failure).filter((failure) => failure !== undefined);
  const [first] = failures;
  if (first && (failures.length === 1 || failures.every(({ reason }) => reason === first.reason))) return first;
  const denied = decided.map(({ identifier, failure }) => ({ resource: identifier, error: failure?.reason ?? '' }));
  return fail('access_denied', { details: { denied_resources: denied } });
}
