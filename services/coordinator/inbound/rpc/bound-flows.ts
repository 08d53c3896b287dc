// The flows as inbound calls them: bound to their dependencies by the wiring.
import type { AgentSessionId } from '#mesh/ids';
import type { AgentSession, SessionState } from '../../domain/agent-session.ts';
import type { Caller, MandateCaller } from '../../domain/caller.ts';
import type { DelegationEdge } from '../../domain/delegation-graph.ts';
import type { CreateDelegation, CreatedDelegation } from '../../flows/create-delegation.ts';
import type { EndedSessions, EndSession } from '../../flows/end-session.ts';
import type { RenewMandate } from '../../flows/renew-session-mandate.ts';
import type { RevokeDelegation, RevokedEdges } from '../../flows/revoke-delegation.ts';
import type { StartedSession, StartSession } from '../../flows/start-session.ts';

/** Facts of a call that flows carry into log and ledger. */
export interface Facts {
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly traceparent: string | undefined;
}

export interface PageQuery {
  readonly limit: number;
  readonly cursor: string | undefined;
}

interface Page {
  readonly sessions: readonly AgentSession[];
  readonly nextCursor: string | undefined;
}

interface EdgePage {
  readonly edges: readonly DelegationEdge[];
  readonly nextCursor: string | undefined;
}

/** The flows, bound to their dependencies. */
export interface CoordinatorFlows {
  startSession(request: { caller: MandateCaller; start: StartSession }, facts: Facts): Promise<StartedSession>;
  renewSessionMandate(
    request: { caller: MandateCaller; renew: RenewMandate },
    facts: Facts,
  ): Promise<NonNullable<StartedSession['mandate']>>;
  endSession(request: { caller: Caller; end: EndSession }, facts: Facts): Promise<EndedSessions>;
  getSession(caller: Caller, sessionId: AgentSessionId): Promise<AgentSession>;
  listSessions(caller: Caller, page: PageQuery & { states: readonly SessionState[] }): Promise<Page>;
  listChildren(caller: Caller, children: PageQuery & { parentId: AgentSessionId }): Promise<Page>;
  listDelegations(
    caller: Caller,
    query: PageQuery & { sessionId: AgentSessionId; direction: 'inbound' | 'outbound' },
  ): Promise<EdgePage>;
  createDelegation(
    request: { caller: MandateCaller; create: CreateDelegation },
    facts: Facts,
  ): Promise<CreatedDelegation>;
  revokeDelegation(request: { caller: Caller; revoke: RevokeDelegation }, facts: Facts): Promise<RevokedEdges>;
}
