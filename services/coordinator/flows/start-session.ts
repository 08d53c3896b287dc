// Starts an agent session: decides by the rules of a start, counts it against the limits, records it and, when asked, has
// its mandate minted. Idempotent by key.
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import type { AgentSession } from '../domain/agent-session.ts';
import type { MandateCaller } from '../domain/caller.ts';
import { decideStart, type StartVerdict } from '../domain/session-start.ts';
import type { CallFacts, CoordinatorDeps, CoordinatorLimits } from '../ports/deps.ts';
import type { CapacityClaim, GraphTransaction } from '../ports/session-graph.ts';
import type { SessionMandate } from '../ports/session-minter.ts';
import { endSessions } from './end-session.ts';
import { earlierResult, forgetResult, keepResult, type KeyUse, keyUse } from './receipts.ts';

export interface StartSession {
  readonly zoneId: ZoneId;
  readonly applicationId: ApplicationId;
  readonly parentId: AgentSessionId | undefined;
  /** 0 means the default. */
  readonly ttlSeconds: number;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly passLifecycle: boolean;
  readonly mandate: boolean;
  readonly idempotencyKey: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** The thumbprint of the session's own key. */
  readonly dpopJkt: string | undefined;
}

export interface StartedSession {
  readonly session: AgentSession;
  readonly mandate: SessionMandate | undefined;
  /** True when an earlier call with the same key had started it. */
  readonly replayed: boolean;
}

/**
 * Starts a session. A repeated key answers with the session of the first call and mints nothing; the key of a start whose
 * mandate was refused is free again.
 * @throws permission_denied, session_not_live, session_depth_limit, zone_session_limit, application_session_limit,
 * child_session_limit, invalid_scope, invalid_target, conflict (key used for another request), token_revoked,
 * store_unavailable, and what the STS says when a mandate was asked for.
 */
export async function startSession(
  deps: CoordinatorDeps,
  request: { caller: MandateCaller; start: StartSession },
  facts: CallFacts,
): Promise<StartedSession> {
  const { caller, start } = request;
  const use = keyUse(caller, 'start-session', start);
  // Below a parent, nobody may be ending the tree meanwhile; a root stands in nobody's way.
  const lock = start.parentId === undefined ? 'none' : 'shared';
  const outcome = await deps.graph.change({ caller, lock, requestId: facts.requestId }, async (tx) => {
    const known = await earlierResult(tx, use);
    const earlier = known === undefined ? undefined : await tx.session(known as AgentSessionId);
    if (earlier !== undefined) return { session: earlier, fresh: false };
    return { session: await createSession(deps, { tx, caller, start, facts, use }), fresh: true };
  });
  const { session, fresh } = outcome;
  if (!start.mandate || !fresh) return { session, mandate: undefined, replayed: !fresh };
  const minting = { caller, session, use, dpopJkt: start.dpopJkt };
  return { session, mandate: await mintOrAbandon(deps, minting, facts), replayed: false };
}

interface Creation {
  readonly tx: GraphTransaction;
  readonly caller: MandateCaller;
  readonly start: StartSession;
  readonly facts: CallFacts;
  readonly use: KeyUse | undefined;
}

async function createSession(deps: CoordinatorDeps, creation: Creation): Promise<AgentSession> {
  const { tx, caller, start, facts, use } = creation;
  const parent = start.parentId === undefined ? undefined : await tx.session(start.parentId);
  const nowMs = Math.floor(deps.clock.now());
  const wish = { ...start, ttlSeconds: start.ttlSeconds === 0 ? deps.limits.defaultTtlSeconds : start.ttlSeconds };
  const verdict = decideStart({ caller, wish, parent }, deps.limits, nowMs);
  if (verdict.kind === 'refused') throw fail(verdict.reason, { description: verdict.why });
  const session = buildSession(deps, { creation, parent, verdict, nowMs });
  const [{ full }] = await Promise.all([
    tx.insertSession(session, claimsOf(session, deps.limits)),
    keepResult(tx, use, session.id),
    tx.recordSessions([{ session, transition: 'started', reason: 'requested' }], { ...facts, caller }),
  ]);
  if (full !== undefined) throw fail(limitReason(full));
  return session;
}

function buildSession(
  deps: CoordinatorDeps,
  from: {
    creation: Creation;
    parent: AgentSession | undefined;
    verdict: Extract<StartVerdict, { kind: 'granted' }>;
    nowMs: number;
  },
): AgentSession {
  const { creation, parent, verdict, nowMs } = from;
  const id = deps.newId() as AgentSessionId;
  return {
    id,
    zoneId: creation.start.zoneId,
    applicationId: creation.start.applicationId,
    parentId: parent?.id,
    rootId: parent?.rootId ?? id,
    kind: 'instance',
    state: 'active',
    depth: verdict.depth,
    scopes: verdict.scopes,
    resources: verdict.resources,
    clientId: creation.caller.clientId,
    sessionRecordId: creation.caller.sessionRecordId,
    passLifecycle: verdict.passLifecycle,
    labels: creation.start.labels,
    startedAtMs: nowMs,
    expiresAtMs: verdict.expiresAtMs,
    endedAtMs: undefined,
    transitions: 1,
  };
}

/** What a session counts under; a full zone is told before a full application, that before a full parent. */
function claimsOf(session: AgentSession, limits: CoordinatorLimits): CapacityClaim[] {
  const claims: CapacityClaim[] = [
    { key: 'zone', limit: limits.maxPerZone },
    { key: `application:${session.applicationId}`, limit: limits.maxPerApplication },
  ];
  if (session.parentId !== undefined) claims.push({ key: `children:${session.parentId}`, limit: limits.maxChildren });
  return claims;
}

function limitReason(full: string) {
  if (full === 'zone') return 'zone_session_limit';
  return full.startsWith('application:') ? 'application_session_limit' : 'child_session_limit';
}

interface Minting {
  readonly caller: MandateCaller;
  readonly session: AgentSession;
  readonly use: KeyUse | undefined;
  readonly dpopJkt: string | undefined;
}

/** A session whose first mandate was refused was never of use: it ends at once instead of counting until its TTL. */
async function mintOrAbandon(deps: CoordinatorDeps, minting: Minting, facts: CallFacts): Promise<SessionMandate> {
  const { caller, session, dpopJkt } = minting;
  const wish = { edgeId: undefined, scopes: [], resources: [], ttlSeconds: 0, minDelegationEpoch: 0, dpopJkt };
  try {
    return await deps.minter.mint(caller, { ...wish, sessionId: session.id }, facts.requestId);
  } catch (error) {
    await abandon(deps, minting, facts);
    throw error;
  }
}

/** Done in the service's own name: a caller who was revoked meanwhile leaves no session behind either. */
async function abandon(deps: CoordinatorDeps, { caller, session, use }: Minting, facts: CallFacts): Promise<void> {
  const own = { kind: 'control-plane', zoneId: caller.zoneId } as const;
  try {
    await deps.graph.change({ caller: own, lock: 'exclusive', requestId: facts.requestId }, async (tx) => {
      await forgetResult(tx, use);
      const sessions = await tx.openSubtree(session.id);
      await endSessions(deps, { tx, caller, facts, sessions, reason: 'mandate refused', state: 'terminated' });
    });
  } catch (error) {
    const fields = { error, requestId: facts.requestId, sessionId: session.id };
    deps.logger.error(fields, 'a session whose mandate was refused could not be ended and stays until its expiry');
  }
}
