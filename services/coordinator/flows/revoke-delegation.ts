// Revokes an edge and all derived from it: their mandates are refused from the anchors on, the sessions go on without them.
import { fail } from '#mesh/failure';
import type { EdgeId } from '#mesh/ids';
import { type Caller, mayGovern } from '../domain/caller.ts';
import type { DelegationEdge } from '../domain/delegation-graph.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { BarrierReport } from '#mesh/revocation';
import type { GraphTransaction } from '../ports/session-graph.ts';
import { waitUntilApplied } from './end-session.ts';

export interface RevokeDelegation {
  readonly edgeId: EdgeId;
  readonly reason: string;
  readonly waitApplied: boolean;
  readonly deadlineMs: number;
}

export interface RevokedEdges {
  readonly edgeIds: readonly string[];
  readonly revocationNumber: number;
  readonly barrier: BarrierReport | undefined;
}

/**
 * Revokes an edge with all derived from it. Revoking a revoked edge changes nothing and succeeds.
 * @throws not_found, permission_denied, token_revoked, store_unavailable, barrier_timeout (the revocation stands).
 */
export async function revokeDelegation(
  deps: CoordinatorDeps,
  request: { caller: Caller; revoke: RevokeDelegation },
  facts: CallFacts,
): Promise<RevokedEdges> {
  const { caller, revoke } = request;
  const revoked = await deps.graph.change(caller, async (tx) => {
    await tx.lockGraph('exclusive');
    const edge = await tx.edge(revoke.edgeId);
    if (edge === undefined) throw fail('not_found', { description: 'no such delegation in this zone' });
    if (!(await mayRevoke(tx, caller, edge))) throw fail('permission_denied');
    const edges = await tx.liveEdgesBelow(edge.id);
    if (edges.length === 0) return { edgeIds: [], revocationNumber: 0 };
    const edgeIds = edges.map((each) => each.id);
    await tx.revokeEdges(edges, Math.floor(deps.clock.now()));
    await tx.recordEdges(edges, { kind: 'revoked', reason: revoke.reason }, { ...facts, caller });
    await tx.invalidate({ epoch: await tx.nextEpoch(), sessionIds: [], edgeIds });
    const anchors = edgeIds.map((anchor) => ({ kind: 'edge' as const, anchor }));
    return { edgeIds, revocationNumber: await tx.revoke(anchors, revoke.reason) };
  });
  const barrier = revoke.waitApplied
    ? await waitUntilApplied(deps, revoked.revocationNumber, revoke.deadlineMs)
    : undefined;
  return { ...revoked, barrier };
}

/** The issuing side revokes: whoever governs the source session. */
async function mayRevoke(tx: GraphTransaction, caller: Caller, edge: DelegationEdge): Promise<boolean> {
  if (caller.kind === 'control-plane') return true;
  const source = await tx.session(edge.sourceSessionId);
  return source !== undefined && mayGovern(caller, source, await tx.ancestorIds(source.id));
}
