// Reading sessions: an application sees its own, the control plane sees the zone's.
import { fail } from '#mesh/failure';
import type { AgentSessionId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../domain/agent-session.ts';
import { type Caller, maySee } from '../domain/caller.ts';
import type { CoordinatorDeps } from '../ports/deps.ts';
import type { EdgePage, EdgeQuery, SessionPage } from '../ports/session-graph.ts';

/** @throws not_found (also for a session of another application: its existence is not told), token_revoked. */
export async function getSession(
  deps: CoordinatorDeps,
  caller: Caller,
  sessionId: AgentSessionId,
): Promise<AgentSession> {
  const session = await deps.graph.find(caller, sessionId);
  if (session === undefined || !maySee(caller, session))
    throw fail('not_found', { description: 'no such session in this zone' });
  return session;
}

/** The sessions right below one, newest first. @throws not_found, token_revoked. */
export async function listChildren(
  deps: CoordinatorDeps,
  caller: Caller,
  children: { parentId: AgentSessionId; limit: number; cursor: string | undefined },
): Promise<SessionPage> {
  const parent = await getSession(deps, caller, children.parentId);
  return deps.graph.list(caller, { ...children, applicationId: parent.applicationId, states: [] });
}

/** Edges that lead to a session of the caller, or start at it, newest first. @throws not_found, token_revoked. */
export async function listDelegations(deps: CoordinatorDeps, caller: Caller, query: EdgeQuery): Promise<EdgePage> {
  await getSession(deps, caller, query.sessionId);
  return deps.graph.listEdges(caller, query);
}

/** Newest first. */
export async function listSessions(
  deps: CoordinatorDeps,
  caller: Caller,
  page: { limit: number; cursor: string | undefined; states: readonly SessionState[] },
): Promise<SessionPage> {
  const applicationId = caller.kind === 'mandate' ? caller.clientId : undefined;
  return deps.graph.list(caller, { ...page, applicationId });
}
