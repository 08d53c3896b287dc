// Ends sessions whose time has passed, so that their counts are given back and the ledger says when they ended. Their
// mandates have expired by themselves; this is bookkeeping, safe to run on every replica.
import { asFailure } from '#mesh/failure';
import type { AgentSessionId, ZoneId } from '#mesh/ids';
import type { CoordinatorDeps } from '../ports/deps.ts';
import { endSessions } from './end-session.ts';

/** Sessions looked up at a time, so that a look stays short however many are overdue. */
const batchSize = 200;

/**
 * Expires all that is overdue; answers how many sessions ended. A zone that fails holds up no other.
 * @throws store_unavailable when there is nobody to ask.
 */
export async function expireSessions(deps: CoordinatorDeps): Promise<number> {
  let ended = 0;
  for (;;) {
    const overdue = await deps.graph.overdue(batchSize);
    let progress = 0;
    for (const session of overdue) progress += await expire(deps, session);
    ended += progress;
    if (overdue.length < batchSize || progress === 0) return ended;
  }
}

async function expire(
  deps: CoordinatorDeps,
  { zoneId, sessionId }: { zoneId: ZoneId; sessionId: AgentSessionId },
): Promise<number> {
  const caller = { kind: 'control-plane', zoneId } as const;
  const facts = { requestId: deps.newId(), traceId: undefined, traceparent: undefined };
  try {
    const done = await deps.graph.change({ caller, lock: 'exclusive', requestId: facts.requestId }, async (tx) => {
      const sessions = await tx.openSubtree(sessionId);
      return endSessions(deps, { tx, caller, facts, sessions, reason: 'expired', state: 'expired' });
    });
    return done.sessionIds.length;
  } catch (error) {
    if (asFailure(error).reason === 'store_unavailable') throw error;
    deps.logger.error({ error, zoneId, sessionId }, 'a session past its expiry could not be ended and is tried again');
    return 0;
  }
}
