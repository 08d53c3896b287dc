// Whether a caller may act on a stored session; asks for its ancestors only where the answer depends on them.
import type { AgentSession } from '../domain/agent-session.ts';
import { type Caller, mayGovern } from '../domain/caller.ts';
import type { GraphTransaction } from '../ports/session-graph.ts';

export async function governs(tx: GraphTransaction, caller: Caller, session: AgentSession): Promise<boolean> {
  if (mayGovern(caller, session, [])) return true;
  if (caller.kind === 'control-plane' || caller.clientId !== session.applicationId) return false;
  return mayGovern(caller, session, await tx.ancestorIds(session.id));
}
