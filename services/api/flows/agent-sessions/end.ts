// Ends an agent session through the Coordinator. Who asked for it is recorded first, here: the end itself is the
// Coordinator's evidence, and a call whose answer is lost must still be found.
import type { ApiDeps } from '../../ports/deps.ts';
import type { EndedSessions } from '../../ports/agent-sessions.ts';
import type { ZoneCall } from '../admin-call.ts';

/** @throws not_found, coordinator_unavailable, barrier_timeout (the end stands). */
export async function endAgentSession(
  deps: ApiDeps,
  call: ZoneCall,
  { sessionId, reason, waitApplied }: { sessionId: string; reason: string; waitApplied: boolean },
): Promise<EndedSessions> {
  await deps.store.change(call.zoneId, call.facts, async (tx) => {
    await tx.requireZone();
    await tx.record(call.admin, {
      action: 'agent_session.end',
      entityType: 'agent_session',
      entityId: sessionId,
      fields: ['state'],
      facts: { reason },
    });
  });
  return deps.sessions.end({ zoneId: call.zoneId, sessionId, reason, waitApplied }, call.facts);
}
