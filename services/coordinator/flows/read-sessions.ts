// Reading sessions: an application sees its own, the control plane sees the zone's.
import { fail } from '#mesh/failure';
import type { AgentSessionId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../domain/agent-session.ts';
import { type Caller, maySee } from '../domain/caller.ts';
import type { CoordinatorDeps } from '../ports/deps.ts';
import type { SessionPage } from '../ports/session-graph.ts';

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

/** Newest first. */
export async function listSessions(
  deps: CoordinatorDeps,
  caller: Caller,
  page: { limit: number; cursor: string | undefined; states: readonly SessionState[] },
): Promise<SessionPage> {
  const applicationId = caller.kind === 'mandate' ? caller.clientId : undefined;
  return deps.graph.list(caller, { ...page, applicationId });
}
