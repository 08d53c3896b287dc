// Whether a path of delegation edges, from the root down, still carries authority, and how much.
// It stands alone because the whole path is checked anew at every mint, by whoever mints.
import { earliestExpiry } from './narrow.ts';
import { intersect, isSubset } from './scope.ts';

/** One delegation edge as the Coordinator stores it. */
export interface PathEdge {
  readonly id: string;
  readonly parentEdgeId?: string | undefined;
  readonly sourceSessionId: string;
  readonly targetSessionId: string;
  readonly issuerApplicationId: string;
  readonly receiverApplicationId: string;
  readonly scopes: readonly string[];
  /** Empty: those of the source. */
  readonly resources: readonly string[];
  /** 1 to 10: how many edges this path may have from here on, this one included. */
  readonly maxHops: number;
  /** Longest life of a mandate on this edge. */
  readonly ttlSeconds?: number | undefined;
  readonly expiresAtMs: number;
  /** Only `active` carries authority. */
  readonly state: string;
}

export type PathRefusal =
  | 'empty_path'
  | 'too_long'
  | 'not_active'
  | 'expired'
  | 'broken'
  | 'cycle'
  | 'no_scopes'
  | 'scopes_widened'
  | 'resources_widened'
  | 'hops_exceeded';

export type PathVerdict =
  | {
      readonly kind: 'valid';
      readonly scopes: readonly string[];
      /** Empty: the path sets no bound of its own, what the first source holds counts. */
      readonly resources: readonly string[];
      /** Latest moment a mandate minted now on this path may live to. */
      readonly expiresAtMs: number;
      readonly hopCount: number;
    }
  /** `edgeId` is the first edge that broke a rule; undefined for a path without edges. */
  | { readonly kind: 'refused'; readonly reason: PathRefusal; readonly edgeId: string | undefined };

/** The largest `max_hops`; a longer path cannot have been created. */
export const maxPathEdges = 10;

function ownRefusal(edge: PathEdge, nowMs: number): PathRefusal | undefined {
  if (edge.state !== 'active') return 'not_active';
  // Written so that a time that is no number refuses.
  if (!(edge.expiresAtMs > nowMs)) return 'expired';
  if (edge.scopes.length === 0) return 'no_scopes';
  if (!(edge.maxHops >= 1 && edge.maxHops <= maxPathEdges)) return 'hops_exceeded';
  if (edge.ttlSeconds !== undefined && !(edge.ttlSeconds > 0)) return 'expired';
  return undefined;
}

function isLinked(edge: PathEdge, above: PathEdge | undefined): boolean {
  if (above === undefined) return edge.parentEdgeId === undefined;
  return (
    edge.parentEdgeId === above.id &&
    edge.sourceSessionId === above.targetSessionId &&
    edge.issuerApplicationId === above.receiverApplicationId
  );
}

/** What the path covers before an edge is looked at. */
interface Covered {
  readonly above: PathEdge | undefined;
  readonly resources: readonly string[];
  readonly sessions: ReadonlySet<string>;
}

function linkRefusal(edge: PathEdge, { above, resources, sessions }: Covered): PathRefusal | undefined {
  if (!isLinked(edge, above)) return 'broken';
  if (edge.sourceSessionId === edge.targetSessionId || sessions.has(edge.targetSessionId)) return 'cycle';
  if (above === undefined) return undefined;
  if (!isSubset(edge.scopes, above.scopes)) return 'scopes_widened';
  if (resources.length > 0 && !isSubset(edge.resources, resources)) return 'resources_widened';
  return edge.maxHops < above.maxHops ? undefined : 'hops_exceeded';
}

/**
 * Checks a path, root first: every edge active and unexpired, each linked to the one above it, no session twice, and
 * scopes, resources and hops narrower at each step. Says what the last session may be given.
 */
export function checkPath(edges: readonly PathEdge[], nowMs: number): PathVerdict {
  if (edges.length > maxPathEdges) return { kind: 'refused', reason: 'too_long', edgeId: edges[maxPathEdges]?.id };
  const sessions = new Set<string>();
  let above: PathEdge | undefined;
  let resources: readonly string[] = [];
  let expiresAtMs = Number.POSITIVE_INFINITY;
  for (const edge of edges) {
    const reason = ownRefusal(edge, nowMs) ?? linkRefusal(edge, { above, resources, sessions });
    if (reason !== undefined) return { kind: 'refused', reason, edgeId: edge.id };
    sessions.add(edge.sourceSessionId).add(edge.targetSessionId);
    if (edge.resources.length > 0) resources = edge.resources;
    const ttlEndMs = edge.ttlSeconds === undefined ? undefined : nowMs + edge.ttlSeconds * 1000;
    expiresAtMs = earliestExpiry(expiresAtMs, edge.expiresAtMs, ttlEndMs);
    above = edge;
  }
  if (above === undefined) return { kind: 'refused', reason: 'empty_path', edgeId: undefined };
  return {
    kind: 'valid',
    scopes: intersect(above.scopes),
    resources: intersect(resources),
    expiresAtMs,
    hopCount: edges.length,
  };
}
