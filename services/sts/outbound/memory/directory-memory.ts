// Directory and DelegationGraph over plain maps, for tests of flows: what is put in is there, what is taken out is gone.
import type { PathEdge } from '#mesh/authority';
import type { AgentSession } from '../../domain/agent-session.ts';
import type { Application, Provider, Resource, Zone } from '../../domain/directory.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { DelegationGraph } from '../../ports/delegation-graph.ts';
import type { Directory } from '../../ports/directory.ts';

export interface MemoryWorld {
  readonly zones: Map<string, Zone>;
  readonly applications: Map<string, Application>;
  /** By identifier. */
  readonly resources: Map<string, Resource>;
  readonly providers: Map<string, Provider>;
  readonly policySets: Map<string, PolicySetVersion>;
  readonly sessions: Map<string, AgentSession>;
  readonly edges: Map<string, PathEdge>;
  epoch: number;
}

export function createMemoryWorld(): MemoryWorld {
  return {
    zones: new Map(),
    applications: new Map(),
    resources: new Map(),
    providers: new Map(),
    policySets: new Map(),
    sessions: new Map(),
    edges: new Map(),
    epoch: 0,
  };
}

/** The longest path there is. */
const maxPath = 10;

function ofZone<T extends { readonly zoneId: string }>(found: T | undefined, zoneId: string): T | undefined {
  return found?.zoneId === zoneId ? found : undefined;
}

export function createDirectoryMemory(world: MemoryWorld): Directory {
  const live = (zoneId: string): boolean => world.zones.has(zoneId);
  return {
    zone: async (zoneId) => world.zones.get(zoneId),
    application: async (zoneId, id) => (live(zoneId) ? ofZone(world.applications.get(id), zoneId) : undefined),
    resource: async (zoneId, identifier) =>
      live(zoneId) ? ofZone(world.resources.get(identifier), zoneId) : undefined,
    provider: async (zoneId, id) => ofZone(world.providers.get(id), zoneId),
    activePolicySet: async (zoneId) => world.policySets.get(zoneId),
    shadowPolicySet: async () => undefined,
  };
}

export function createDelegationGraphMemory(world: MemoryWorld): DelegationGraph {
  return {
    session: async (zoneId, id) => ofZone(world.sessions.get(id), zoneId),
    async path(_zoneId, edgeId) {
      const edges: PathEdge[] = [];
      for (let next: string | undefined = edgeId; next !== undefined;) {
        const edge: PathEdge | undefined = world.edges.get(next);
        if (!edge || edges.length >= maxPath) return undefined;
        edges.unshift(edge);
        next = edge.parentEdgeId;
      }
      return { edges, epoch: world.epoch };
    },
    epoch: async () => world.epoch,
  };
}
