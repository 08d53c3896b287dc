// The Coordinator's sessions and edges as the STS reads them, and whether one may carry a mandate now.
import type { PathEdge } from '#mesh/authority';

export interface AgentSession {
  readonly id: string;
  readonly zoneId: string;
  readonly applicationId: string;
  readonly parentId: string | undefined;
  readonly kind: string;
  readonly state: string;
  readonly depth: number;
  /** What the session holds: the outer bound of every mandate bound to it. */
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  /** The session record of the mandate that started it. */
  readonly sid: string;
  /** True when `agent:lifecycle` was passed on to it. */
  readonly passLifecycle: boolean;
  readonly expiresAtMs: number;
}

export type SessionVerdict =
  | { readonly kind: 'live' }
  | {
      readonly kind: 'refused';
      readonly cause: 'session_not_active' | 'session_expired' | 'session_of_another_application';
    };

/** Whether `session` may carry a mandate of `applicationId` at `nowMs`. */
export function checkSession(session: AgentSession, applicationId: string, nowMs: number): SessionVerdict {
  if (session.applicationId !== applicationId) return { kind: 'refused', cause: 'session_of_another_application' };
  if (session.state !== 'active') return { kind: 'refused', cause: 'session_not_active' };
  if (session.expiresAtMs <= nowMs) return { kind: 'refused', cause: 'session_expired' };
  return { kind: 'live' };
}

/** The path from the root edge down to the presented one, with everything read for it. */
export interface DelegationPath {
  /** Root first; never empty. */
  readonly edges: readonly PathEdge[];
  /** The zone's graph epoch when the path was read. */
  readonly epoch: number;
}
