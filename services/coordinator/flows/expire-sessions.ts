// Ends sessions whose time has passed, so that their counts are given back and the ledger says when they ended. Their
// mandates have expired by themselves; this is bookkeeping, safe to run on every replica.
import type { CoordinatorDeps } from '../ports/deps.ts';
import { endTree } from './end-session.ts';

/** One pass over at most this many sessions, so that a pass holds no zone's graph for long. */
const batchSize = 200;

/** Expires what is overdue; answers how many sessions ended. */
export async function expireSessions(deps: CoordinatorDeps): Promise<number> {
  const overdue = await deps.graph.overdue(batchSize);
  let ended = 0;
  for (const { zoneId, sessionId } of overdue) {
    const caller = { kind: 'control-plane', zoneId } as const;
    const facts = { requestId: deps.newId(), traceId: undefined, traceparent: undefined };
    const result = await deps.graph.change(caller, async (tx) => {
      await tx.lockGraph('exclusive');
      return endTree(deps, { tx, caller, facts, sessionId, reason: 'expired', state: 'expired' });
    });
    ended += result.sessionIds.length;
  }
  return ended;
}
