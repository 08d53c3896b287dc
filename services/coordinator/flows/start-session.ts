// Starts an agent session: decides by the rules of a start, counts it against the limits, records it and, when asked, has
// its mandate minted. Idempotent by key.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import { type AgentSession, isOpen } from '../domain/agent-session.ts';
import type { MandateCaller } from '../domain/caller.ts';
import { decideStart, type StartVerdict } from '../domain/session-start.ts';
import type { CallFacts, CoordinatorDeps, CoordinatorLimits } from '../ports/deps.ts';
import type { CapacityClaim, GraphTransaction } from '../ports/session-graph.ts';
import type { SessionMandate } from '../ports/session-minter.ts';
import { endSession } from './end-session.ts';

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
}

export interface StartedSession {
  readonly session: AgentSession;
  readonly mandate: SessionMandate | undefined;
}

const operation = 'start-session';

/**
 * Starts a session. A repeated key answers with the session of the first call and mints nothing.
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
  const digest = sha256Hex(
    canonicalJson({ ...start, parentId: start.parentId ?? null, idempotencyKey: start.idempotencyKey ?? null }),
  );
  const outcome = await deps.graph.change(caller, async (tx) => {
    const known = await earlierSession(tx, start, digest);
    if (known !== undefined) return { session: known, fresh: false };
    return { session: await createSession(deps, { tx, caller, start, facts, digest }), fresh: true };
  });
  if (!start.mandate || !outcome.fresh) return { session: outcome.session, mandate: undefined };
  return { session: outcome.session, mandate: await mintOrEnd(deps, { caller, session: outcome.session }, facts) };
}

async function earlierSession(
  tx: GraphTransaction,
  start: StartSession,
  digest: string,
): Promise<AgentSession | undefined> {
  if (start.idempotencyKey === undefined) return undefined;
  const receipt = await tx.receipt(operation, start.idempotencyKey);
  if (receipt === undefined) return undefined;
  if (receipt.requestDigest !== digest)
    throw fail('conflict', { description: 'the idempotency key was used for another request' });
  return tx.session(receipt.resultId as AgentSessionId);
}

interface Creation {
  readonly tx: GraphTransaction;
  readonly caller: MandateCaller;
  readonly start: StartSession;
  readonly facts: CallFacts;
  readonly digest: string;
}

async function createSession(deps: CoordinatorDeps, creation: Creation): Promise<AgentSession> {
  const { tx, caller, start, facts, digest } = creation;
  if (start.parentId !== undefined) await tx.lockGraph('shared');
  const parent = start.parentId === undefined ? undefined : await tx.session(start.parentId);
  const nowMs = Math.floor(deps.clock.now());
  const wish = { ...start, ttlSeconds: start.ttlSeconds === 0 ? deps.limits.defaultTtlSeconds : start.ttlSeconds };
  const verdict = decideStart({ caller, wish, parent }, deps.limits, nowMs);
  if (verdict.kind === 'refused') throw fail(verdict.reason, { description: verdict.why });
  const session = buildSession(deps, { creation, parent, verdict, nowMs });
  await claim(tx, session, deps.limits);
  await tx.insertSession(session);
  if (start.idempotencyKey !== undefined)
    await tx.keepReceipt(operation, start.idempotencyKey, { resultId: session.id, requestDigest: digest });
  await tx.recordSessions([{ session, transition: 'started', reason: 'requested' }], { ...facts, caller });
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

/** Counter keys in the order they are locked in, everywhere. */
async function claim(tx: GraphTransaction, session: AgentSession, limits: CoordinatorLimits): Promise<void> {
  const claims: CapacityClaim[] = [
    { key: 'zone', limit: limits.maxPerZone },
    { key: `application:${session.applicationId}`, limit: limits.maxPerApplication },
  ];
  if (session.parentId !== undefined) claims.push({ key: `children:${session.parentId}`, limit: limits.maxChildren });
  const { full } = await tx.claimCapacity(claims);
  if (full === undefined) return;
  if (full === 'zone') throw fail('zone_session_limit');
  throw fail(full.startsWith('application:') ? 'application_session_limit' : 'child_session_limit');
}

/** A session whose first mandate was refused was never of use: it ends at once instead of counting until its TTL. */
async function mintOrEnd(
  deps: CoordinatorDeps,
  started: { caller: MandateCaller; session: AgentSession },
  facts: CallFacts,
): Promise<SessionMandate> {
  const { caller, session } = started;
  try {
    return await deps.minter.mint(
      caller,
      {
        sessionId: session.id,
        edgeId: undefined,
        scopes: [],
        resources: [],
        ttlSeconds: 0,
        minDelegationEpoch: 0,
      },
      facts.requestId,
    );
  } catch (error) {
    if (isOpen(session)) {
      await endSession(
        deps,
        { caller, end: { sessionId: session.id, reason: 'mandate refused', waitApplied: false, deadlineMs: 0 } },
        facts,
      );
    }
    throw error;
  }
}
