// Delegates part of what a session holds to another session, after checking that the new edge narrows and closes no loop.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { EdgeId, ZoneId } from '#mesh/ids';
import { type MandateCaller, mayGovern, mayMintFor } from '../domain/caller.ts';
import { decideEdge, type DelegationEdge, type EdgeWish } from '../domain/delegation-graph.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { GraphTransaction } from '../ports/session-graph.ts';
import type { SessionMandate } from '../ports/session-minter.ts';

export interface CreateDelegation extends EdgeWish {
  readonly zoneId: ZoneId;
  readonly mandate: boolean;
  readonly idempotencyKey: string | undefined;
}

export interface CreatedDelegation {
  readonly edge: DelegationEdge;
  readonly epoch: number;
  readonly mandate: SessionMandate | undefined;
}

const operation = 'create-delegation';

/**
 * Creates an edge. A repeated key answers with the edge of the first call and mints nothing.
 * @throws permission_denied, session_not_live, delegation_cycle, delegation_not_active, delegation_exceeds_authority,
 * invalid_request, conflict, token_revoked, store_unavailable, and what the STS says when a mandate was asked for.
 */
export async function createDelegation(
  deps: CoordinatorDeps,
  request: { caller: MandateCaller; create: CreateDelegation },
  facts: CallFacts,
): Promise<CreatedDelegation> {
  const { caller, create } = request;
  const digest = requestDigest(create);
  const outcome = await deps.graph.change(caller, async (tx) => {
    await tx.lockGraph('exclusive');
    const known = await earlierEdge(tx, create, digest);
    if (known !== undefined) return { edge: known, epoch: 0, fresh: false };
    const edge = await insertDecidedEdge(deps, { tx, caller, create });
    if (create.idempotencyKey !== undefined)
      await tx.keepReceipt(operation, create.idempotencyKey, { resultId: edge.id, requestDigest: digest });
    await tx.recordEdges([edge], { kind: 'created', reason: 'requested' }, { ...facts, caller });
    const epoch = await tx.nextEpoch();
    await tx.invalidate({ epoch, sessionIds: [], edgeIds: [edge.id] });
    return { edge, epoch, fresh: true };
  });
  const { edge, epoch, fresh } = outcome;
  if (!create.mandate || !fresh || edge.state !== 'active') return { edge, epoch, mandate: undefined };
  return { edge, epoch, mandate: await mintForTarget(deps, { caller, edge, epoch }, facts) };
}

function requestDigest(create: CreateDelegation): string {
  const { parentEdgeId, mandateTtlSeconds, idempotencyKey, ...rest } = create;
  return sha256Hex(
    canonicalJson({
      ...rest,
      parentEdgeId: parentEdgeId ?? null,
      mandateTtlSeconds: mandateTtlSeconds ?? null,
      idempotencyKey: idempotencyKey ?? null,
    }),
  );
}

async function earlierEdge(
  tx: GraphTransaction,
  create: CreateDelegation,
  digest: string,
): Promise<DelegationEdge | undefined> {
  if (create.idempotencyKey === undefined) return undefined;
  const receipt = await tx.receipt(operation, create.idempotencyKey);
  if (receipt === undefined) return undefined;
  if (receipt.requestDigest !== digest)
    throw fail('conflict', { description: 'the idempotency key was used for another request' });
  return tx.edge(receipt.resultId as EdgeId);
}

async function insertDecidedEdge(
  deps: CoordinatorDeps,
  from: { tx: GraphTransaction; caller: MandateCaller; create: CreateDelegation },
): Promise<DelegationEdge> {
  const { tx, caller, create } = from;
  const nowMs = Math.floor(deps.clock.now());
  const source = await tx.session(create.sourceSessionId);
  const target = await tx.session(create.targetSessionId);
  if (source !== undefined && !mayGovern(caller, source, await tx.ancestorIds(source.id)))
    throw fail('permission_denied');
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

async function mintForTarget(
  deps: CoordinatorDeps,
  minting: { caller: MandateCaller; edge: DelegationEdge; epoch: number },
  facts: CallFacts,
): Promise<SessionMandate> {
  const { caller, edge, epoch } = minting;
  return deps.minter.mint(
    caller,
    {
      sessionId: edge.targetSessionId,
      edgeId: edge.id,
      scopes: [],
      resources: [],
      ttlSeconds: 0,
      minDelegationEpoch: epoch,
    },
    facts.requestId,
  );
}
