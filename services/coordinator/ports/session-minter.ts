// Mandates for sessions. The STS mints them on the authority of the bearer that asked; the Coordinator only passes it on.
import type { AgentSessionId, EdgeId } from '#mesh/ids';
import type { MandateCaller } from '../domain/caller.ts';

export interface SessionMandateWish {
  readonly sessionId: AgentSessionId;
  readonly edgeId: EdgeId | undefined;
  /** Empty means all that the intersection allows. */
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  /** 0 means the default of the class. */
  readonly ttlSeconds: number;
  /** The graph epoch the STS must have seen before it mints. */
  readonly minDelegationEpoch: number;
  /** The thumbprint of the session's own key, which its mandate is bound to; undefined binds it as the caller's is. */
  readonly dpopJkt: string | undefined;
}

export interface SessionMandate {
  readonly token: string;
  readonly expiresInSeconds: number;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
}

/** Promise: a mandate no wider than bearer, holding and path together, or a Failure; never retried by itself. */
export interface SessionMinter {
  mint(caller: MandateCaller, wish: SessionMandateWish, requestId: string): Promise<SessionMandate>;
}
