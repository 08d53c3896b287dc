// Token exchange (RFC 8693): authenticate the client, find what it comes from, narrow, decide, mint, leave evidence,
// answer. Every outcome, refusals included, is in the ledger before the caller hears of it.
import { asFailure, fail } from '#mesh/failure';
import type { Failure, JsonValue } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import type { Evidence, RefusalSampler } from '../../ports/evidence.ts';
import { decisionEvent } from '../evidence.ts';
import type { DecideDeps } from '../decide-by-policy.ts';
import { provePossession, requireBinding } from '../possession.ts';
import type { PossessionDeps } from '../possession.ts';
import { authenticateClient } from './authenticate-client.ts';
import type { AuthenticateDeps, AuthenticatedClient } from './authenticate-client.ts';
import { decide, overallFailure } from './decide.ts';
import type { Decided } from './decide.ts';
import { checkLifetime, mint } from './mint.ts';
import type { MintDeps, Minted } from './mint.ts';
import { approvalOf } from '../resolve-hold.ts';
import type { ApprovedHold, HoldDeps } from '../resolve-hold.ts';
import { resolveResources } from './resolve-resources.ts';
import type { ResolveDeps } from './resolve-resources.ts';
import { settleHolds } from './settle-holds.ts';
import { spendIdToken } from './sign-in-user.ts';
import type { TokenGrant, TokenRequest } from './token-request.ts';
import { validateSubject } from './validate-subject.ts';
import type { Subject, SubjectDeps } from './validate-subject.ts';

export type ExchangeDeps = AuthenticateDeps &
  SubjectDeps &
  ResolveDeps &
  DecideDeps &
  HoldDeps &
  PossessionDeps &
  MintDeps & {
    readonly evidence: Evidence;
    readonly clock: Pick<Clock, 'now'>;
    readonly refusalSampler: RefusalSampler;
  };

/** What is known of the request so far, for the evidence of a refusal. */
interface Progress {
  client?: AuthenticatedClient;
  subject?: Subject;
}

function actorFacts({ mandate, acting }: Subject): Record<string, JsonValue | undefined> {
  const actor = acting?.actor?.claims;
  if (!actor) return {};
  return { actor: actor.sub, actor_jti: actor.jti, subject_application_id: mandate?.claims.client_id };
}

function subjectFacts(subject: Subject, request: TokenRequest): Record<string, JsonValue | undefined> {
  const claims = subject.mandate?.claims;
  return {
    subject: claims?.sub ?? subject.user?.subject,
    subject_jti: claims?.jti,
    subject_issuer_id: subject.user?.issuerId,
    delegation_path: subject.bound.path?.edges.map(({ id }) => id),
    agent_session_id: subject.bound.session?.id ?? request.agentSessionId,
    delegation_edge_id: claims?.delegation_edge_id ?? request.delegationEdgeId,
    ...actorFacts(subject),
  };
}

function facts(request: TokenRequest, progress: Progress): Record<string, JsonValue | undefined> {
  const { client, subject } = progress;
  return {
    use: request.subject?.type === 'access_token' ? 'per_call' : 'ambient',
    application_id: request.applicationId,
    application_name: client?.application.name,
    requested_scopes: request.scopes ? [...request.scopes] : undefined,
    agent_session_id: request.agentSessionId,
    delegation_edge_id: request.delegationEdgeId,
    ...(subject ? subjectFacts(subject, request) : {}),
    source_address: client ? undefined : request.source,
  };
}

/** What was minted, on the events of what was granted. */
function mintedFacts(minted: Minted | undefined): Record<string, JsonValue | undefined> {
  const claims = minted?.claims;
  return {
    jti: claims?.jti,
    sid: claims?.sid,
    root_sid: claims?.root_sid,
    expires_at: claims?.exp,
    // Thumbprints of public keys: they say which key may use what was minted.
    cnf: claims?.cnf && { ...claims.cnf },
  };
}

async function recordRefusal(
  deps: ExchangeDeps,
  request: TokenRequest,
  progress: Progress & { failure: Failure },
): Promise<void> {
  const { client, failure } = progress;
  const sample = client ? { suppressed: 0 } : deps.refusalSampler.admit(request.source);
  if (!sample) return;
  await deps.evidence.emit(
    decisionEvent({
      eventType: 'token.exchange',
      asked: request.asked,
      // Before the client is known the zone is only a claim; an event under a stranger's claim would be forged evidence.
      zoneId: client?.zone.id,
      recordInputs: false,
      failure,
      facts: {
        ...facts(request, progress),
        claimed_zone_id: client ? undefined : request.zoneId,
        resources: [...request.resources],
        suppressed: sample.suppressed > 0 ? sample.suppressed : undefined,
      },
    }),
  );
}

async function recordDecisions(
  deps: ExchangeDeps,
  request: TokenRequest,
  outcome: {
    client: AuthenticatedClient;
    subject: Subject;
    decided: readonly Decided[];
    minted: Minted | undefined;
    approval: ApprovedHold | undefined;
  },
): Promise<void> {
  const { client, subject, decided, minted, approval } = outcome;
  await Promise.all(
    decided.map(async ({ identifier, scopes, policy, failure }) =>
      deps.evidence.emit(
        decisionEvent({
          eventType: 'token.exchange',
          asked: request.asked,
          zoneId: client.zone.id,
          recordInputs: client.zone.recordInputs,
          policy,
          failure,
          facts: {
            ...facts(request, { client, subject }),
            resource: identifier,
            approval_id: approvalOf(failure ? { failure } : { approval }),
            ...(failure ? {} : { scopes: [...scopes], ...mintedFacts(minted) }),
          },
        }),
      ),
    ),
  );
}

function answer(minted: Minted, decided: readonly Decided[]): TokenGrant {
  const { claims } = minted;
  return {
    accessToken: minted.token,
    expiresInSeconds: claims.exp - claims.iat,
    confirmation: claims.cnf,
    scopes: claims.scope?.split(' ') ?? [],
    targets: claims.target ?? [],
    denied: decided.flatMap(({ identifier, failure, policy }) =>
      failure
        ? [
            {
              resource: identifier,
              error: failure.entry.oauthError,
              description: failure.description,
              diagnostics: policy?.decision.diagnostics ?? [],
            },
          ]
        : [],
    ),
  };
}

async function exchange(
  deps: ExchangeDeps,
  request: TokenRequest,
  progress: Progress,
): Promise<{ grant?: TokenGrant; refused?: Failure }> {
  deps.revocations.assertUsable();
  // Read before anything the mandate will rest on, so that whatever ends from here on is noticed when signing.
  const since = deps.revocations.applied();
  const client = await authenticateClient(deps, request);
  progress.client = client;
  const { senderConstraint } = client.application;
  const proven = await provePossession(deps, { zoneId: client.zone.id, proof: request.proof, senderConstraint });
  const nowMs = deps.clock.now();
  const subject = await validateSubject(deps, request, { client, proven, nowMs });
  progress.subject = subject;
  const confirmation = requireBinding({ senderConstraint, subjectConfirmation: subject.confirmation, proven });
  const at = { client, subject, confirmation, nowMs, since };
  checkLifetime(request, at);
  const resolved = await resolveResources(deps, request, { subject, nowMs });
  if (subject.user) await spendIdToken(deps, subject.user);
  const decided = await decide(deps, resolved, { asked: request.asked, client, subject, nowMs });
  const { approval, refused, ...settled } = await settleHolds(deps, request, { client, subject, decided });
  const granted = settled.decided.filter(({ failure }) => !failure);
  const minted = granted.length > 0 ? await mint(deps, request, { ...at, granted, approval }) : undefined;
  await recordDecisions(deps, request, { client, subject, decided: settled.decided, minted, approval });
  return minted ? { grant: answer(minted, decided) } : { refused: refused ?? overallFailure(settled.decided) };
}

/** Exchanges, or throws the failure to answer with. `audit_unavailable` when the outcome cannot be made durable. */
export async function exchangeToken(deps: ExchangeDeps, request: TokenRequest): Promise<TokenGrant> {
  const progress: Progress = {};
  let outcome: { grant?: TokenGrant; refused?: Failure };
  try {
    outcome = await exchange(deps, request, progress);
  } catch (error) {
    const failure = asFailure(error);
    // Without a journal nothing can be recorded any more, this refusal included.
    if (failure.reason !== 'audit_unavailable') await recordRefusal(deps, request, { ...progress, failure });
    throw failure;
  }
  if (outcome.grant) return outcome.grant;
  throw outcome.refused ?? fail('access_denied');
}
