// Delegates part of what a session holds to another session, after checking that the new edge narrows and closes no loop.
import { fail } from '#mesh/failure';
import type { ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import type { AgentSession } from '../domain/agent-session.ts';
import { type MandateCaller, mayMintFor } from '../domain/caller.ts';
import { decideEdge, type DelegationEdge, type EdgeWish } from '../domain/delegation-graph.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { GraphTransaction } from '../ports/session-graph.ts';
import type { SessionMandate } from '../ports/session-minter.ts';
import { governs } from './govern.ts';
import { earlierResult, forgetResult, keepResult, type KeyUse, keyUse } from './receipts.ts';
import { revokeEdges } from './revoke-delegation.ts';

export interface CreateDelegation extends EdgeWish {
  readonly zoneId: ZoneId;
  /** When given, the applications that source and target must belong to. */
  readonly issuerApplicationId?: ApplicationId | undefined;
  readonly receiverApplicationId?: ApplicationId | undefined;
  readonly mandate: boolean;
  readonly idempotencyKey: string | undefined;
  /** The thumbprint of the target's own key. */
  readonly dpopJkt: string | undefined;
}

export interface CreatedDelegation {
  readonly edge: DelegationEdge;
  /** 0 when an earlier call had created the edge. */
  readonly epoch: number;
  readonly mandate: SessionMandate | undefined;
  /** True when an earlier call with the same key had created it. */
  readonly replayed: boolean;
}

/**
 * Live edges that may start at one session: far above what 50 sessions of a zone need for every pair of them, and it bounds
 * what one cascade can touch.
 */
const maxEdgesPerSource = 256;

/**
 * Creates an edge. A repeated key answers with the edge of the first call and mints nothing; the key of an edge whose mandate
 * was refused is free again.
 * @throws permission_denied, session_not_live, delegation_cycle, delegation_not_active, delegation_exceeds_authority,
 * delegation_limit, invalid_request, conflict, token_revoked, store_unavailable, and what the STS says when a mandate was
 * asked for.
 */
export async function createDelegation(
  deps: CoordinatorDeps,
  request: { caller: MandateCaller; create: CreateDelegation },
  facts: CallFacts,
): Promise<CreatedDelegation> {
  const { caller, create } = request;
  const use = keyUse(caller, 'create-delegation', create);
  const change = { caller, lock: 'exclusive', requestId: facts.requestId } as const;
  const outcome = await deps.graph.change(change, async (tx) => {
    const known = await earlierResult(tx, use);
    const earlier = known === undefined ? undefined : await tx.edge(known as EdgeId);
    if (earlier !== undefined) return { edge: earlier, epoch: 0, fresh: false };
    const edge = await insertDecidedEdge(deps, { tx, caller, create });
    const [, , epoch] = await Promise.all([
      keepResult(tx, use, edge.id),
      tx.recordEdges([edge], { kind: 'created', reason: 'requested' }, { ...facts, caller }),
      tx.nextEpoch(),
    ]);
    await tx.invalidate({ epoch, sessionIds: [], edgeIds: [edge.id] });
    return { edge, epoch, fresh: true };
  });
  const { edge, epoch, fresh } = outcome;
  const created = { edge, epoch, replayed: !fresh };
  if (!create.mandate || !fresh || edge.state !== 'active') return { ...created, mandate: undefined };
  return {
    ...created,
    mandate: await mintOrAbandon(deps, { caller, edge, epoch, use, dpopJkt: create.dpopJkt }, facts),
  };
}

async function insertDecidedEdge(
  deps: CoordinatorDeps,
  from: { tx: GraphTransaction; caller: MandateCaller; create: CreateDelegation },
): Promise<DelegationEdge> {
  const { tx, caller, create } = from;
  const nowMs = Math.floor(deps.clock.now());
  const source = await tx.session(create.sourceSessionId);
  const target = await tx.session(create.targetSessionId);
  if (source !== undefined && !(await governs(tx, caller, source))) throw fail('permission_denied');
  if (create.mandate && target !== undefined && !mayMintFor(caller, target)) {
    throw fail('permission_denied', { description: 'only the parent of the target may ask for its mandate' });
  }
  const verdict = decideEdge(
    create,
    {
      source,
      target,
      parentEdge: create.parentEdgeId === undefined ? undefined : await tx.edge(create.parentEdgeId),
      sourceHasInbound: await tx.hasLiveInbound(create.sourceSessionId, nowMs),
      closesLoop: await tx.reaches(create.targetSessionId, create.sourceSessionId, nowMs),
    },
    nowMs,
  );
  if (verdict.kind === 'refused') throw fail(verdict.reason, { description: verdict.why });
  if (source === undefined || target === undefined) throw fail('session_not_live');
  requireApplications(create, { source, target });
  if ((await tx.countLiveOutbound(source.id, nowMs, maxEdgesPerSource)) >= maxEdgesPerSource)
    throw fail('delegation_limit');
  const edge: DelegationEdge = {
    id: deps.newId() as EdgeId,
    zoneId: create.zoneId,
    sourceSessionId: source.id,
    targetSessionId: target.id,
    issuerApplicationId: source.applicationId,
    receiverApplicationId: target.applicationId,
    parentEdgeId: create.parentEdgeId,
    scopes: create.scopes,
    resources: verdict.resources,
    maxHops: create.maxHops,
    ttlSeconds: create.mandateTtlSeconds,
    state: verdict.state,
    createdAtMs: nowMs,
    expiresAtMs: verdict.expiresAtMs,
  };
  await tx.insertEdge(edge);
  return edge;
}

function requireApplications(create: CreateDelegation, ends: { source: AgentSession; target: AgentSession }): void {
  const issuer = create.issuerApplicationId ?? ends.source.applicationId;
  const receiver = create.receiverApplicationId ?? ends.target.applicationId;
  if (issuer !== ends.source.applicationId || receiver !== ends.target.applicationId)
    throw fail('conflict', { description: 'the sessions belong to other applications than those named' });
}

interface Minting {
  readonly caller: MandateCaller;
  readonly edge: DelegationEdge;
  readonly epoch: number;
  readonly use: KeyUse | undefined;
  readonly dpopJkt: string | undefined;
}

/** An edge whose mandate was refused is told to nobody, so it does not stay. */
async function mintOrAbandon(deps: CoordinatorDeps, minting: Minting, facts: CallFacts): Promise<SessionMandate> {
  const { caller, edge, epoch, dpopJkt } = minting;
  const wish = { scopes: [], resources: [], ttlSeconds: 0, minDelegationEpoch: epoch, dpopJkt };
  try {
    return await deps.minter.mint(
      caller,
      { ...wish, sessionId: edge.targetSessionId, edgeId: edge.id },
      facts.requestId,
    );
  } catch (error) {
    await abandon(deps, minting, facts);
    throw error;
  }
}

/** Done in the service's own name: a caller who was revoked meanwhile leaves no edge behind either. */
async function abandon(deps: CoordinatorDeps, { caller, edge, use }: Minting, facts: CallFacts): Promise<void> {
  const own = { kind: 'control-plane', zoneId: caller.zoneId } as const;
  try {
    await deps.graph.change({ caller: own, lock: 'exclusive', requestId: facts.requestId }, async (tx) => {
      await forgetResult(tx, use);
      const edges = await tx.liveEdgesBelow(edge.id);
      await revokeEdges(deps, { tx, caller, facts, edges, reason: 'mandate refused' });
    });
  } catch (error) {
    const fields = { error, requestId: facts.requestId, edgeId: edge.id };
    deps.logger.error(fields, 'an edge whose mandate was refused could not be revoked and stays until its expiry');
  }
}
