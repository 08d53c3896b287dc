// What an agent session is and which states it may take. Pure: whoever stores, serves or sweeps sessions asks here.
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';

export const sessionStates = ['active', 'suspended', 'terminated', 'expired'] as const;
export type SessionState = (typeof sessionStates)[number];

/** The scope that lets a mandate call the Coordinator. It passes to a child only when asked for and held. */
export const lifecycleScope = 'agent:lifecycle';

/** A running agent: a node of the zone's session trees. */
export interface AgentSession {
  readonly id: AgentSessionId;
  readonly zoneId: ZoneId;
  readonly applicationId: ApplicationId;
  readonly parentId: AgentSessionId | undefined;
  /** The first ancestor; the session itself at the root. */
  readonly rootId: AgentSessionId;
  readonly kind: 'instance';
  readonly state: SessionState;
  /** 0 at the root. */
  readonly depth: number;
  /** What the session holds: the bound of all it may be given or may delegate. */
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  /** The client and session record of the mandate that started it. */
  readonly clientId: string;
  readonly sessionRecordId: string;
  readonly passLifecycle: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly startedAtMs: number;
  readonly expiresAtMs: number;
  readonly endedAtMs: number | undefined;
  /** Grows with every change of state, so that each transition has a key of its own. */
  readonly transitions: number;
}

/** True while mandates of this session may be minted. */
export function isLive(session: AgentSession, nowMs: number): boolean {
  return session.state === 'active' && session.expiresAtMs > nowMs;
}

/** True until the session has ended: only these count against limits and end with a cascade. */
export function isOpen(session: AgentSession): boolean {
  return session.state === 'active' || session.state === 'suspended';
}
