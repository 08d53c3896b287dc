// Agent sessions as the control plane sees them, through the Coordinator.
import type { BarrierReport } from '#mesh/revocation';
import type { CallFacts } from './control-store.ts';
import type { Page, PageQuery } from './collection.ts';

export interface AgentSession {
  readonly id: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly parentId?: string | undefined;
  readonly kind: string;
  readonly state: string;
  readonly depth: number;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly startedAt?: string | undefined;
  readonly expiresAt?: string | undefined;
  readonly endedAt?: string | undefined;
}

export interface EndedSessions {
  readonly endedSessionIds: readonly string[];
  readonly revokedEdgeIds: readonly string[];
  readonly revocationNumber: number;
  readonly barrier?: BarrierReport | undefined;
}

/** Everything rejects with `coordinator_unavailable` when the Coordinator cannot be asked; its own refusals pass. */
export interface AgentSessions {
  list(zoneId: string, query: PageQuery & { states: readonly string[] }, facts: CallFacts): Promise<Page<AgentSession>>;
  get(zoneId: string, sessionId: string, facts: CallFacts): Promise<AgentSession>;
  end(
    end: { zoneId: string; sessionId: string; reason: string; waitApplied: boolean },
    facts: CallFacts,
  ): Promise<EndedSessions>;
}
