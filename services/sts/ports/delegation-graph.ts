// The need: the Coordinator's sessions and delegation paths, from memory when fresh.
import type { AgentSession, DelegationPath } from '../domain/agent-session.ts';

/**
 * Undefined for what does not exist in the zone; `store_unavailable` when nobody can say. `minEpoch` is a graph epoch
 * the caller knows of: an answer is from that epoch or a later one.
 */
export interface DelegationGraph {
  session(zoneId: string, sessionId: string, minEpoch?: number): Promise<AgentSession | undefined>;
  /** The edge with everything above it, root first. Also undefined when an ancestor is missing or the path is too long. */
  path(zoneId: string, edgeId: string, minEpoch?: number): Promise<DelegationPath | undefined>;
  /** The zone's graph epoch; 0 before its first change. */
  epoch(zoneId: string): Promise<number>;
}
