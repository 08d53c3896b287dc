// Revokes an edge and all derived from it: their mandates are refused from the anchors on, the sessions go on without them.
import { fail } from '#mesh/failure';
import type { EdgeId } from '#mesh/ids';
import type { Caller } from '../domain/caller.ts';
import type { DelegationEdge } from '../domain/delegation-graph.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { BarrierReport } from '#mesh/revocation';
import type { GraphTransaction } from '../ports/session-graph.ts';
import { waitUntilApplied } from './end-session.ts';
import { governs } from './govern.ts';

export interface RevokeDelegation {
  readonly edgeId: EdgeId;
  readonly reason: string;
  readonly waitApplied: boolean;
  readonly deadlineMs: number;
}

export interface RevokedEdges {
  readonly edgeIds: readonly string[];
  /** The sessions that presented them. */
  readonly targetSessionIds: readonly string[];
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
  const change = { caller, lock: 'exclusive', requestId: facts.requestId } as const;
  const revoked = await deps.graph.change(change, async (tx) => {
    const edge = await tx.edge(revoke.edgeId);
    if (edge === undefined) throw fail('not_found', { description: 'no such delegation in this zone' });
    if (!(await mayRevoke(tx, caller, edge))) throw fail('permission_denied');
    const edges = await tx.liveEdgesBelow(edge.id);
    return revokeEdges(deps, { tx, caller, facts, edges, reason: revoke.reason });
  });
  const barrier = revoke.waitApplied
    ? await waitUntilApplied(deps, revoked.revocationNumber, revoke.deadlineMs)
    : undefined;
  return { ...revoked, barrier };
}

export interface EdgesEnd {
  readonly tx: GraphTransaction;
  readonly caller: Caller;
  readonly facts: CallFacts;
  readonly edges: readonly DelegationEdge[];
  readonly reason: string;
}

/** Revokes live edges within a transaction that holds the graph exclusively. */
export async function revokeEdges(deps: CoordinatorDeps, end: EdgesEnd): Promise<Omit<RevokedEdges, 'barrier'>> {
  const { tx, caller, facts, edges, reason } = end;
  const targetSessionIds = [...new Set(edges.map((edge) => edge.targetSessionId))];
  if (edges.length === 0) return { edgeIds: [], targetSessionIds, revocationNumber: 0 };
  const edgeIds = edges.map((each) => each.id);
  const anchors = edgeIds.map((anchor) => ({ kind: 'edge' as const, anchor }));
  const [, , epoch] = await Promise.all([
    tx.revokeEdges(edges, Math.floor(deps.clock.now())),
    tx.recordEdges(edges, { kind: 'revoked', reason }, { ...facts, caller }),
    tx.nextEpoch(),
  ]);
  const [, revocationNumber] = await Promise.all([
    tx.invalidate({ epoch, sessionIds: [], edgeIds }),
    tx.revoke(anchors, reason),
  ]);
  return { edgeIds, targetSessionIds, revocationNumber };
}

/** The issuing side revokes: whoever governs the source session. */
async function mayRevoke(tx: GraphTransaction, caller: Caller, edge: DelegationEdge): Promise<boolean> {
  if (caller.kind === 'control-plane') return true;
  const source = await tx.session(edge.sourceSessionId);
  return source !== undefined && governs(tx, caller, source);
}
