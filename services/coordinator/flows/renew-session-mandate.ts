// Mints a session's mandate anew, for its parent or its application to hand over. A session never renews itself, so that
// whoever started it decides how long it goes on.
import { fail } from '#mesh/failure';
import type { AgentSessionId, EdgeId } from '#mesh/ids';
import { isLive } from '../domain/agent-session.ts';
import { type MandateCaller, mayMintFor } from '../domain/caller.ts';
import type { CallFacts, CoordinatorDeps } from '../ports/deps.ts';
import type { SessionMandate } from '../ports/session-minter.ts';

export interface RenewMandate {
  readonly sessionId: AgentSessionId;
  readonly edgeId: EdgeId | undefined;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly ttlSeconds: number;
  /** The thumbprint of the session's own key. */
  readonly dpopJkt: string | undefined;
}

/** @throws not_found, permission_denied, session_not_live, token_revoked, store_unavailable, and what the STS says. */
export async function renewSessionMandate(
  deps: CoordinatorDeps,
  request: { caller: MandateCaller; renew: RenewMandate },
  facts: CallFacts,
): Promise<SessionMandate> {
  const { caller, renew } = request;
  const session = await deps.graph.find(caller, renew.sessionId);
  if (session === undefined) throw fail('not_found', { description: 'no such session in this zone' });
  if (!mayMintFor(caller, session))
    throw fail('permission_denied', {
      description: 'a mandate is renewed by the parent of its session, or at the root by its application',
    });
  if (!isLive(session, deps.clock.now())) throw fail('session_not_live');
  return deps.minter.mint(caller, { ...renew, minDelegationEpoch: 0 }, facts.requestId);
}
