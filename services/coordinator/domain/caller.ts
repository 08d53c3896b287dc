// Who asks the Coordinator, reduced to what its rules depend on, and which callers may act on which session.
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import type { AgentSession } from './agent-session.ts';

/** The proof and the certificate under a bearer, as they were presented. */
export interface ShownWithBearer {
  readonly dpop: string | undefined;
  /** The path the proof was made for, without query. */
  readonly path: string;
  readonly certificateThumbprint: string | undefined;
}

/** A verified ambient mandate with `agent:lifecycle`. */
export interface MandateCaller {
  readonly kind: 'mandate';
  readonly zoneId: ZoneId;
  readonly clientId: ApplicationId;
  /** Undefined for a mandate of the application itself. */
  readonly agentSessionId: AgentSessionId | undefined;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
  readonly sessionRecordId: string;
  /** The revocation number its STS had applied when it signed. */
  readonly rev: number;
  /** Every id by which an anchor could refuse this mandate. */
  readonly anchorIds: readonly string[];
  /** The mandate itself: what the STS is shown when it mints for this caller. */
  readonly bearer: string;
  /** What came with it and proved its key, for the STS to check again. */
  readonly shown: ShownWithBearer;
}

/** The API on behalf of an administrator. */
export interface ControlPlaneCaller {
  readonly kind: 'control-plane';
  readonly zoneId: ZoneId;
}

export type Caller = MandateCaller | ControlPlaneCaller;

/** True when the caller may see the session: the control plane, or the session's own application. */
export function maySee(caller: Caller, session: AgentSession): boolean {
  return caller.kind === 'control-plane' || caller.clientId === session.applicationId;
}

/**
 * True when the caller may end the session or act in its name: the control plane, the session's application itself, or a
 * session on itself and what stands below it.
 */
export function mayGovern(caller: Caller, session: AgentSession, ancestorIds: readonly string[]): boolean {
  if (caller.kind === 'control-plane') return true;
  if (caller.clientId !== session.applicationId) return false;
  const own = caller.agentSessionId;
  return own === undefined || own === session.id || ancestorIds.includes(own);
}

/**
 * A session's mandate is minted for its parent, or, at the root, for its application by a mandate bound to no session;
 * never for the session itself.
 */
export function mayMintFor(caller: MandateCaller, session: AgentSession): boolean {
  return caller.clientId === session.applicationId && caller.agentSessionId === session.parentId;
}
