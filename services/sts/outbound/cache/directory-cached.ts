// The Directory and the DelegationGraph from memory: a FreshCache per kind of thing over the zone reader, dropped by
// invalidation streams and by anchors as they are applied.
import { fail } from '#mesh/failure';
import type { PathEdge } from '#mesh/authority';
import type { AnchorKindName } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { DelegationGraph } from '../../ports/delegation-graph.ts';
import type { Directory } from '../../ports/directory.ts';
import type { CurrentConnections } from '../postgres/connections-postgres.ts';
import type { AtEpoch, ZoneReader } from '../postgres/zone-reader.ts';
import { createFreshCache } from './fresh-cache.ts';
import type { FreshCache, FreshCacheOptions } from './fresh-cache.ts';

/** Which stream keeps which memory. */
export interface Freshness {
  readonly resources: () => boolean;
  readonly policy: () => boolean;
  readonly delegations: () => boolean;
}

export interface CachedDirectoryOptions {
  readonly reader: ZoneReader;
  readonly fresh: Freshness;
  readonly maxStalenessMs: number;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly onLookup?: (kind: string, hit: boolean) => void;
}

export interface CachedDirectory {
  readonly directory: Directory;
  readonly graph: DelegationGraph;
  readonly connections: CurrentConnections;
  readonly drops: Drops;
  /** Entries held, by kind; for metrics. */
  sizes(): Readonly<Record<string, number>>;
}

/** What the streams say. */
export interface Drops {
  resourceChanged(zoneId: string, kind: string, id: string): void;
  policyChanged(zoneId: string): void;
  delegationsChanged(change: {
    zoneId: string;
    epoch: number;
    sessionIds: readonly string[];
    edgeIds: readonly string[];
  }): void;
  anchorApplied(zoneId: string, kind: AnchorKindName, id: string): void;
  allResources(): void;
  allPolicies(): void;
  allDelegations(): void;
}

/** Nothing is believed longer than this even while streams are complete; it bounds what a lost event could do. */
const maxAgeMs = 10 * 60_000;
/** Sized for 1,000 zones on one replica; an entry is at most a few KiB, policy sets apart. */
const limits = {
  zones: 4000,
  applications: 20_000,
  resources: 20_000,
  providers: 8000,
  // Sealed tokens of some KiB, one for each user of each provider.
  connections: 20_000,
  policies: 512,
  sessions: 100_000,
  edges: 100_000,
};
/** A caller that has just changed the graph waits for its own change at most this long. */
const epochWaitMs = 2000;
const epochPollMs = 20;
/** The longest path there is (max_hops 10). */
const maxPath = 10;

function keyOf(zoneId: string, id: string): string {
  return `${zoneId} ${id}`;
}

function split(key: string): [string, string] {
  const at = key.indexOf(' ');
  return [key.slice(0, at), key.slice(at + 1)];
}

function splitConnection(key: string): [string, string, string] {
  const [zoneId, rest] = split(key);
  return [zoneId, ...split(rest)];
}

type Caches = ReturnType<typeof createCaches>;

function createCaches(options: CachedDirectoryOptions) {
  const { reader, fresh } = options;
  const make = <V extends object>(
    kind: keyof typeof limits,
    isFresh: () => boolean,
    read: FreshCacheOptions<V>['read'],
  ): FreshCache<V> =>
    createFreshCache<V>({
      read,
      isFresh,
      max: limits[kind],
      maxStalenessMs: options.maxStalenessMs,
      maxAgeMs,
      monotonic: () => options.clock.monotonic(),
      ...(options.onLookup ? { onLookup: (hit: boolean) => options.onLookup?.(kind, hit) } : {}),
    });
  return {
    zones: make('zones', fresh.resources, async (zoneId) => reader.zone(zoneId)),
    applications: make('applications', fresh.resources, async (key) => reader.application(...split(key))),
    resources: make('resources', fresh.resources, async (key) => reader.resource(...split(key))),
    providers: make('providers', fresh.resources, async (key) => reader.provider(...split(key))),
    connections: make('connections', fresh.resources, async (key) => reader.connection(...splitConnection(key))),
    policies: make('policies', fresh.policy, async (zoneId) => reader.policySets(zoneId)),
    sessions: make('sessions', fresh.delegations, async (key) => reader.session(...split(key))),
    edges: make('edges', fresh.delegations, async (key) => reader.edge(...split(key))),
    epochs: make('zones', fresh.delegations, async (zoneId) => ({ epoch: await reader.epoch(zoneId) })),
  };
}

function createDirectory(caches: Caches): Directory {
  return {
    zone: async (zoneId) => caches.zones.get(zoneId),
    application: async (zoneId, id) => caches.applications.get(keyOf(zoneId, id)),
    resource: async (zoneId, identifier) => caches.resources.get(keyOf(zoneId, identifier)),
    provider: async (zoneId, id) => caches.providers.get(keyOf(zoneId, id)),
    activePolicySet: async (zoneId) => (await caches.policies.get(zoneId))?.active,
    shadowPolicySet: async (zoneId) => (await caches.policies.get(zoneId))?.shadow,
  };
}

function createGraph(caches: Caches, clock: CachedDirectoryOptions['clock']): DelegationGraph {
  /** Reads until the row is from `minEpoch` or later. */
  async function atEpoch<T>(
    cache: FreshCache<AtEpoch<T>>,
    key: string,
    minEpoch: number,
  ): Promise<AtEpoch<T> | undefined> {
    const untilMs = clock.monotonic() + epochWaitMs;
    for (;;) {
      const found = await cache.get(key, ({ epoch }) => epoch >= minEpoch);
      if (minEpoch === 0 || (found && found.epoch >= minEpoch)) return found;
      const [zoneId] = split(key);
      const known = await caches.epochs.get(zoneId, ({ epoch }) => epoch >= minEpoch);
      if (!found && known && known.epoch >= minEpoch) return cache.get(key, () => false);
      if (clock.monotonic() >= untilMs) throw fail('store_unavailable', { privateDetail: 'graph_epoch_not_reached' });
      await clock.sleep(epochPollMs);
    }
  }

  return {
    async session(zoneId, sessionId, minEpoch = 0) {
      return (await atEpoch(caches.sessions, keyOf(zoneId, sessionId), minEpoch))?.value;
    },
    async path(zoneId, edgeId, minEpoch = 0) {
      const edges: PathEdge[] = [];
      let epoch = 0;
      for (let next: string | undefined = edgeId; next !== undefined;) {
        if (edges.length >= maxPath) return undefined;
        const found: AtEpoch<PathEdge> | undefined = await atEpoch(caches.edges, keyOf(zoneId, next), minEpoch);
        if (!found) return undefined;
        edges.unshift(found.value);
        epoch = Math.max(epoch, found.epoch);
        next = found.value.parentEdgeId;
      }
      return { edges, epoch };
    },
    epoch: async (zoneId) => (await caches.epochs.get(zoneId))?.epoch ?? 0,
  };
}

function createDrops(caches: Caches): Drops {
  function zoneGone(zoneId: string): void {
    caches.zones.drop(zoneId);
    caches.policies.drop(zoneId);
    // Everything read under a zone says that the zone lives.
    const { applications, resources, providers, connections } = caches;
    for (const cache of [applications, resources, providers, connections]) cache.dropPrefix(keyOf(zoneId, ''));
  }
  return {
    resourceChanged(zoneId, kind, id) {
      if (kind === 'application') caches.applications.drop(keyOf(zoneId, id));
      else if (kind === 'provider') {
        caches.providers.drop(keyOf(zoneId, id));
        // Told of when a connection of it is made or ended, too.
        caches.connections.dropPrefix(keyOf(zoneId, `${id} `));
      }
      // Resources are held by identifier and the event names the row; the zone's are read again, and no other's.
      else if (kind === 'resource') caches.resources.dropPrefix(keyOf(zoneId, ''));
      // Issuers and grants are kept elsewhere; what nobody knows may be anything of the zone.
      else if (kind !== 'subject_issuer' && kind !== 'grant') zoneGone(zoneId);
    },
    policyChanged: (zoneId) => caches.policies.drop(zoneId),
    delegationsChanged({ zoneId, sessionIds, edgeIds }) {
      caches.epochs.drop(zoneId);
      for (const id of sessionIds) caches.sessions.drop(keyOf(zoneId, id));
      for (const id of edgeIds) caches.edges.drop(keyOf(zoneId, id));
    },
    anchorApplied(zoneId, kind, id) {
      if (kind === 'agent_session') caches.sessions.drop(keyOf(zoneId, id));
      else if (kind === 'edge') caches.edges.drop(keyOf(zoneId, id));
      else if (kind === 'application') caches.applications.drop(keyOf(zoneId, id));
      else if (kind === 'zone') zoneGone(zoneId);
    },
    allResources() {
      const { zones, applications, resources, providers, connections } = caches;
      for (const cache of [zones, applications, resources, providers, connections]) cache.dropAll();
    },
    allPolicies: () => caches.policies.dropAll(),
    allDelegations() {
      for (const cache of [caches.sessions, caches.edges, caches.epochs]) cache.dropAll();
    },
  };
}

export function createCachedDirectory(options: CachedDirectoryOptions): CachedDirectory {
  const caches = createCaches(options);
  return {
    directory: createDirectory(caches),
    graph: createGraph(caches, options.clock),
    connections: {
      get: async (zoneId, providerId, subject) => caches.connections.get(keyOf(zoneId, keyOf(providerId, subject))),
      drop: (zoneId, providerId, subject) => caches.connections.drop(keyOf(zoneId, keyOf(providerId, subject))),
    },
    drops: createDrops(caches),
    sizes: () => Object.fromEntries(Object.entries(caches).map(([kind, cache]) => [kind, cache.size])),
  };
}
