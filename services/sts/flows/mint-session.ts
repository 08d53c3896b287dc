// A session's own mandate, minted on the authority of the bearer that asked the Coordinator for it. That bearer is
// verified here: the Coordinator's word alone mints nothing.
import { asFailure, fail } from '#mesh/failure';
import type { Failure, JsonValue } from '#mesh/failure';
import { lifecycleScope, scopesOf } from '../domain/audience.ts';
import { lifecycleResource } from '../domain/decision-input.ts';
import type { DecidedResource } from '../domain/decision-input.ts';
import { lifetimeOf } from '../domain/lifetime.ts';
import { mandateClaims } from '../domain/mandate.ts';
import { meetAll, narrow } from '../domain/narrowing.ts';
import type { Evidence } from '../ports/evidence.ts';
import { bindingAnchors } from './authority-above.ts';
import { decideByPolicy, refusalOf } from './decide-by-policy.ts';
import type { DecideDeps } from './decide-by-policy.ts';
import { decisionEvent } from './evidence.ts';
import type { Asked } from './evidence.ts';
import { overallFailure } from './exchange-token/decide.ts';
import type { Decided } from './exchange-token/decide.ts';
import { requireSigningKey, signNow } from './exchange-token/mint.ts';
import { disjointFailure, narrowingFailure } from './exchange-token/resolve-resources.ts';
import type { Minted, SignDeps } from './exchange-token/mint.ts';
import { knowSession } from './session-caller.ts';
import type { KnownSession, SessionCallerDeps, SessionMintRequest } from './session-caller.ts';

export interface SessionGrant {
  readonly mandate: string;
  readonly expiresInSeconds: number;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly jti: string;
}

export type { SessionMintRequest } from './session-caller.ts';

export type SessionMintDeps = DecideDeps &
  SignDeps &
  SessionCallerDeps & {
    readonly newId: () => string;
    readonly evidence: Evidence;
  };

interface Wanted {
  readonly resource: DecidedResource;
  readonly scopes: readonly string[];
  readonly lifecycle: boolean;
  readonly failure?: Failure;
}

async function narrowed(
  deps: SessionMintDeps,
  request: SessionMintRequest,
  known: KnownSession,
): Promise<readonly Wanted[]> {
  const { claims } = known.caller;
  const above = meetAll([{ scopes: scopesOf(claims), resources: claims.target ?? [] }, ...known.bound.bounds]);
  const identifiers = request.resources.length > 0 ? request.resources : (above.resources ?? []);
  const found = await Promise.all(identifiers.map(async (id) => deps.directory.resource(request.zoneId, id)));
  const resources = found.filter((resource) => resource !== undefined);
  if (request.resources.length > resources.length) throw fail('invalid_target', { privateDetail: 'unknown_resource' });
  const requested = request.scopes.filter((scope) => scope !== lifecycleScope);
  const narrowing = narrow({ requested: requested.length > 0 ? requested : undefined, above, resources });
  if (narrowing.kind === 'disjoint') throw disjointFailure();
  const wanted = narrowing.resources.flatMap(({ identifier, outcome }): Wanted[] => {
    const resource = resources.find((candidate) => candidate.identifier === identifier);
    if (!resource) return [];
    const decided: DecidedResource = { ...resource, type: 'Resource' };
    if (outcome.kind === 'granted') return [{ resource: decided, scopes: outcome.scopes, lifecycle: false }];
    // What was not asked for by name is simply not there; what was, is refused.
    if (request.resources.length === 0) return [];
    const failure = narrowingFailure(outcome);
    return [{ resource: decided, scopes: [], lifecycle: false, failure }];
  });
  if (known.session.passLifecycle) {
    wanted.push({ resource: lifecycleResource, scopes: [lifecycleScope], lifecycle: true });
  }
  return wanted;
}

async function decideOne(
  deps: SessionMintDeps,
  known: KnownSession,
  wanted: Wanted & { readonly asked: Asked },
): Promise<Decided> {
  const { resource, scopes, lifecycle, failure } = wanted;
  const { identifier } = resource;
  if (failure) return { identifier, scopes, lifecycle, failure, policy: undefined };
  const policy = await decideByPolicy(
    deps,
    {
      zone: known.zone,
      application: known.application,
      resource,
      action: { id: lifecycle ? 'SessionLifecycle' : 'SessionMandate' },
      requestedScopes: scopes,
      session: known.session,
      path: known.bound.path,
      subject: known.caller.claims,
      nowMs: known.nowMs,
    },
    wanted.asked,
  );
  return { identifier, scopes, lifecycle, policy, failure: refusalOf(policy) };
}

async function sign(
  deps: SessionMintDeps,
  request: SessionMintRequest,
  about: { known: KnownSession; granted: readonly Decided[] },
): Promise<Minted> {
  const { known, granted } = about;
  const { claims } = known.caller;
  const boundsMs = [claims.exp * 1000, known.application.expiresAtMs, ...known.bound.expiriesMs];
  const life = lifetimeOf({ use: 'ambient', requestedSeconds: request.ttlSeconds, nowMs: known.nowMs, boundsMs });
  if (life.kind === 'above_cap') {
    throw fail('invalid_request', { fields: [{ path: 'ttl_seconds', rule: `at most ${life.capSeconds}` }] });
  }
  if (life.kind === 'nothing_left') throw fail('session_not_live', { privateDetail: 'nothing_left_to_live' });
  const key = await requireSigningKey(deps, known.zone.id);
  const unsigned = mandateClaims({
    use: 'ambient',
    issuer: deps.issuer,
    zoneId: known.zone.id,
    clientId: known.application.id,
    subject: claims.sub,
    subjectType: claims.sub_type,
    scopes: [...new Set(granted.flatMap(({ scopes }) => scopes))].toSorted(),
    targets: granted.filter(({ lifecycle }) => !lifecycle).map(({ identifier }) => identifier),
    sid: claims.sid,
    rootSid: claims.root_sid,
    jti: deps.newId(),
    issuedAt: life.issuedAt,
    expiresAt: life.expiresAt,
    binding: known.bound,
    confirmation: known.confirmation,
    act: claims.act,
    mayAct: claims.may_act,
  });
  const anchors = [...deps.mandateReader.anchorsOf(known.caller), ...bindingAnchors(known.bound)];
  return signNow(deps, key, { claims: unsigned, anchors, since: known.since });
}

function facts(request: SessionMintRequest, known: KnownSession | undefined): Record<string, JsonValue | undefined> {
  const claims = known?.caller.claims;
  return {
    use: 'session',
    application_id: claims?.client_id,
    subject: claims?.sub,
    subject_jti: claims?.jti,
    agent_session_id: request.agentSessionId,
    parent_session_id: known?.session.parentId,
    delegation_edge_id: request.delegationEdgeId,
    claimed_zone_id: known ? undefined : request.zoneId,
  };
}

async function recordDecisions(
  deps: SessionMintDeps,
  request: SessionMintRequest,
  outcome: { known: KnownSession; decided: readonly Decided[]; minted: Minted | undefined },
): Promise<void> {
  const { known, decided, minted } = outcome;
  const events = decided.map(({ identifier, scopes, policy, failure }) =>
    decisionEvent({
      eventType: 'token.exchange',
      asked: request.asked,
      zoneId: known.zone.id,
      recordInputs: known.zone.recordInputs,
      policy,
      failure,
      facts: {
        ...facts(request, known),
        resource: identifier,
        scopes: failure ? undefined : [...scopes],
        jti: failure ? undefined : minted?.claims.jti,
        sid: minted?.claims.sid,
        cnf: minted?.claims.cnf && { ...minted.claims.cnf },
      },
    }),
  );
  await Promise.all(events.map(async (event) => deps.evidence.emit(event)));
}

async function run(
  deps: SessionMintDeps,
  request: SessionMintRequest,
  known: KnownSession,
): Promise<{ minted?: Minted; decided: readonly Decided[] }> {
  const wanted = await narrowed(deps, request, known);
  if (wanted.length === 0) throw fail('invalid_scope', { privateDetail: 'nothing_to_grant' });
  const decided = await Promise.all(
    wanted.map(async (one) => decideOne(deps, known, { ...one, asked: request.asked })),
  );
  const granted = decided.filter(({ failure }) => !failure);
  if (granted.length === 0) return { decided };
  return { decided, minted: await sign(deps, request, { known, granted }) };
}

/** Mints, or throws the failure to answer with; every outcome is recorded first. */
export async function mintSession(deps: SessionMintDeps, request: SessionMintRequest): Promise<SessionGrant> {
  let known: KnownSession | undefined;
  let outcome: { minted?: Minted; decided: readonly Decided[] };
  try {
    known = await knowSession(deps, request);
    outcome = await run(deps, request, known);
  } catch (error) {
    const failure = asFailure(error);
    const zoneId = known?.zone.id;
    await deps.evidence.emit(
      decisionEvent({
        eventType: 'token.exchange',
        asked: request.asked,
        zoneId,
        recordInputs: false,
        failure,
        facts: facts(request, known),
      }),
    );
    throw failure;
  }
  await recordDecisions(deps, request, { known, decided: outcome.decided, minted: outcome.minted });
  if (!outcome.minted) throw overallFailure(outcome.decided);
  const { claims, token } = outcome.minted;
  return {
    mandate: token,
    expiresInSeconds: claims.exp - claims.iat,
    scopes: scopesOf(claims),
    resources: claims.target ?? [],
    jti: claims.jti,
  };
}
