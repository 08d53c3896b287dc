// Everything a new mandate is bound by from above: the mandate it comes from, the agent session it is for and the
// delegation path it presents, each checked again now.
import { checkPath, earliestExpiry } from '#mesh/authority';
import type { PathEdge } from '#mesh/authority';
import { fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import type { AnchorRef } from '#mesh/mandate';
import { checkSession } from '../domain/agent-session.ts';
import type { AgentSession, DelegationPath } from '../domain/agent-session.ts';
import { isLive } from '../domain/directory.ts';
import { meetAll } from '../domain/narrowing.ts';
import type { Above } from '../domain/narrowing.ts';
import type { DelegationGraph } from '../ports/delegation-graph.ts';
import type { Directory } from '../ports/directory.ts';

export interface BindingDeps {
  readonly delegationGraph: DelegationGraph;
  readonly directory: Pick<Directory, 'application'>;
}

export interface BindingRequest {
  readonly zoneId: string;
  readonly applicationId: string;
  readonly agentSessionId: string | undefined;
  readonly delegationEdgeId: string | undefined;
  readonly nowMs: number;
  readonly minEpoch?: number | undefined;
  /**
   * True when what the session holds bounds a mandate on a path too (session mandates); otherwise a presented path
   * stands in its place, because a receiver in another application never held what is delegated to it.
   */
  readonly holdingBoundsPath: boolean;
  /** What a session or edge that carries nothing means at this surface. */
  readonly refusal: FailureReason;
}

export interface BoundAuthority {
  readonly session: AgentSession | undefined;
  readonly path: DelegationPath | undefined;
  readonly bounds: readonly Above[];
  readonly expiriesMs: readonly number[];
}

async function liveSession(
  { delegationGraph }: BindingDeps,
  request: BindingRequest,
  sessionId: string,
): Promise<AgentSession> {
  const session = await delegationGraph.session(request.zoneId, sessionId, request.minEpoch);
  if (!session) throw fail(request.refusal, { privateDetail: 'session_unknown' });
  const verdict = checkSession(session, request.applicationId, request.nowMs);
  if (verdict.kind === 'refused') throw fail(request.refusal, { privateDetail: verdict.cause });
  return session;
}

interface Source {
  readonly session: AgentSession;
  readonly issuerExpiresAtMs: number | undefined;
}

/** The session an edge comes from and the application it belongs to: what either has lost, it passes on to nobody. */
async function liveSource(deps: BindingDeps, request: BindingRequest, edge: PathEdge): Promise<Source> {
  const { zoneId, nowMs } = request;
  const [session, issuer] = await Promise.all([
    deps.delegationGraph.session(zoneId, edge.sourceSessionId, request.minEpoch),
    deps.directory.application(zoneId, edge.issuerApplicationId),
  ]);
  if (!issuer || !isLive(issuer, nowMs)) throw fail(request.refusal, { privateDetail: 'source_application_unknown' });
  if (!session || checkSession(session, issuer.id, nowMs).kind === 'refused') {
    throw fail(request.refusal, { privateDetail: 'source_session_not_active' });
  }
  return { session, issuerExpiresAtMs: issuer.expiresAtMs };
}

async function livePath(
  deps: BindingDeps,
  request: BindingRequest,
  presented: { readonly session: AgentSession; readonly edgeId: string },
): Promise<{ path: DelegationPath; above: Above; expiresAtMs: number }> {
  const path = await deps.delegationGraph.path(request.zoneId, presented.edgeId, request.minEpoch);
  const last = path?.edges.at(-1);
  if (!path || !last) throw fail(request.refusal, { privateDetail: 'edge_unknown' });
  // The target of an edge presents it, nobody else (reference weak spot: edge holder confusion).
  if (last.targetSessionId !== presented.session.id || last.receiverApplicationId !== request.applicationId) {
    throw fail(request.refusal, { privateDetail: 'edge_of_another_session' });
  }
  const verdict = checkPath(path.edges, request.nowMs);
  if (verdict.kind === 'refused') throw fail(request.refusal, { privateDetail: `path_${verdict.reason}` });
  const sources = await Promise.all(path.edges.map(async (edge) => liveSource(deps, request, edge)));
  // A path says nothing of resources when it passes on all its first source holds, so that holding bounds it here too.
  const [first] = sources;
  const above = meetAll([
    { scopes: first?.session.scopes ?? [], resources: first?.session.resources ?? [] },
    { scopes: verdict.scopes, resources: verdict.resources.length > 0 ? verdict.resources : undefined },
  ]);
  const ends = sources.flatMap(({ session, issuerExpiresAtMs }) => [session.expiresAtMs, issuerExpiresAtMs]);
  return { path, above, expiresAtMs: earliestExpiry(verdict.expiresAtMs, ...ends) };
}

/** Session and path as they stand now, with the bounds they set. Throws the surface's refusal when one carries nothing. */
export async function bindAuthority(deps: BindingDeps, request: BindingRequest): Promise<BoundAuthority> {
  const { agentSessionId, delegationEdgeId } = request;
  if (agentSessionId === undefined) {
    if (delegationEdgeId !== undefined) throw fail(request.refusal, { privateDetail: 'edge_without_session' });
    return { session: undefined, path: undefined, bounds: [], expiriesMs: [] };
  }
  const session = await liveSession(deps, request, agentSessionId);
  const held: Above = { scopes: session.scopes, resources: session.resources };
  if (delegationEdgeId === undefined) {
    return { session, path: undefined, bounds: [held], expiriesMs: [session.expiresAtMs] };
  }
  const presented = await livePath(deps, request, { session, edgeId: delegationEdgeId });
  return {
    session,
    path: presented.path,
    bounds: request.holdingBoundsPath ? [held, presented.above] : [presented.above],
    expiriesMs: [session.expiresAtMs, presented.expiresAtMs],
  };
}

/** Every anchor that ends what a session and a path carry. */
export function bindingAnchors({ session, path }: Pick<BoundAuthority, 'session' | 'path'>): readonly AnchorRef[] {
  const anchors: AnchorRef[] = [];
  if (session) anchors.push({ kind: 'agent_session', id: session.id }, { kind: 'session', id: session.sid });
  for (const edge of path?.edges ?? []) {
    anchors.push(
      { kind: 'edge', id: edge.id },
      { kind: 'agent_session', id: edge.sourceSessionId },
      { kind: 'agent_session', id: edge.targetSessionId },
      { kind: 'application', id: edge.issuerApplicationId },
      { kind: 'application', id: edge.receiverApplicationId },
    );
  }
  return anchors;
}
