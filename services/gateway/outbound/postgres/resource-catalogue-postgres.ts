// All protected resources in memory: loaded whole, kept current by what the stream says has changed, read whole again now
// and then. Reads of changes and of names nobody knows are gathered, so that at most one runs at a time.
import { LRUCache } from 'lru-cache';
import { asFailure, fail } from '#mesh/failure';
import type { Database } from '#mesh/postgres';
import type { Resource } from '../../domain/routing.ts';
import type { GatewayMetrics } from '../../metrics.ts';
import type { ResourceCatalogue } from '../../ports/resource-catalogue.ts';
import { readAllResources, readResources } from './resource-rows.ts';

export interface ResourceCataloguePostgres extends ResourceCatalogue {
  readonly size: number;
}

// A name that was not there a moment ago is not asked for again: a caller with a mandate could ask without end.
const missMs = 1000;
const maxMisses = 10_000;
// Names gathered for one read, and of these how many one zone may ask for.
const maxGathered = 256;
const maxGatheredOfZone = 32;

class Catalogue implements ResourceCataloguePostgres {
  readonly #database: Database;
  readonly #metrics: GatewayMetrics;
  #byId = new Map<string, Resource>();
  #byIdentifier = new Map<string, Resource>();
  #bySlugs = new Map<string, Resource>();
  readonly #misses = new LRUCache<string, true>({ max: maxMisses, ttl: missMs });
  #gathered: Gathered = nothing();
  #reading: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(database: Database, metrics: GatewayMetrics) {
    this.#database = database;
    this.#metrics = metrics;
  }

  get size(): number {
    return this.#byId.size;
  }

  byIdentifier(zoneId: string, identifier: string): Resource | undefined {
    return this.#byIdentifier.get(`${zoneId}\n${identifier}`);
  }

  bySlugs(zoneSlug: string, resourceSlug: string): Resource | undefined {
    return this.#bySlugs.get(`${zoneSlug}\n${resourceSlug}`);
  }

  async reload(): Promise<void> {
    const read = this.#reading.then(async () => {
      const all = await this.#counted(readAllResources(this.#database));
      this.#byId = new Map();
      this.#byIdentifier = new Map();
      this.#bySlugs = new Map();
      for (const resource of all) this.#put(resource);
    });
    this.#reading = read.catch(() => undefined);
    await read;
  }

  async changed({ zoneId, kind, id }: { zoneId: string; kind: string; id: string }): Promise<void> {
    if (kind === 'resource') this.#gathered.ids.add(id);
    // Nothing here depends on applications and providers; the zone's slug and life are part of each of its resources.
    else if (kind === 'zone') this.#gathered.zoneIds.add(zoneId);
    else return;
    await this.#readGathered().catch(() => undefined);
  }

  async refreshFor(zone: string, name: string, askingZoneId: string): Promise<void> {
    const key = `${zone}\n${name}`;
    if (this.#misses.has(key)) return;
    const { names, asked } = this.#gathered;
    const ofZone = asked.get(askingZoneId) ?? new Set<string>();
    const isFull = names.size >= maxGathered || ofZone.size >= maxGatheredOfZone;
    if (isFull && !names.has(name)) throw fail('store_unavailable', { privateDetail: 'too many misses' });
    asked.set(askingZoneId, ofZone.add(name));
    names.add(name);
    await this.#readGathered();
    this.#misses.set(key, true);
  }

  // What is gathered while a read runs goes into the next one, which all who gathered share.
  #readGathered(): Promise<void> {
    this.#next ??= this.#reading.then(async () => {
      this.#next = undefined;
      const filter = this.#gathered;
      this.#gathered = nothing();
      const read = this.#readSome(filter);
      this.#reading = read.catch(() => undefined);
      await read;
    });
    return this.#next;
  }

  async #readSome({ ids, zoneIds, names }: Gathered): Promise<void> {
    const filter = { ids: [...ids], zoneIds: [...zoneIds], names: [...names] };
    const found = await this.#counted(readResources(this.#database, filter));
    const live = new Set(found.map(({ id }) => id));
    for (const resource of this.#byId.values()) {
      const wasAsked = ids.has(resource.id) || zoneIds.has(resource.zoneId);
      if (wasAsked && !live.has(resource.id)) this.#remove(resource);
    }
    for (const resource of found) this.#put(resource);
  }

  async #counted<T>(read: Promise<T>): Promise<T> {
    try {
      const result = await read;
      this.#metrics.catalogueReads.inc({ outcome: 'read' });
      return result;
    } catch (error) {
      this.#metrics.catalogueReads.inc({ outcome: asFailure(error).reason });
      throw error;
    }
  }

  #put(resource: Resource): void {
    const known = this.#byId.get(resource.id);
    if (known !== undefined) this.#remove(known);
    this.#byId.set(resource.id, resource);
    this.#byIdentifier.set(`${resource.zoneId}\n${resource.identifier}`, resource);
    this.#bySlugs.set(`${resource.zoneSlug}\n${resource.slug}`, resource);
  }

  #remove(resource: Resource): void {
    this.#byId.delete(resource.id);
    const byIdentifier = `${resource.zoneId}\n${resource.identifier}`;
    if (this.#byIdentifier.get(byIdentifier)?.id === resource.id) this.#byIdentifier.delete(byIdentifier);
    const bySlugs = `${resource.zoneSlug}\n${resource.slug}`;
    if (this.#bySlugs.get(bySlugs)?.id === resource.id) this.#bySlugs.delete(bySlugs);
  }
}

interface Gathered {
  readonly ids: Set<string>;
  readonly zoneIds: Set<string>;
  readonly names: Set<string>;
  /** The names by the zone that asks for them. */
  readonly asked: Map<string, Set<string>>;
}

function nothing(): Gathered {
  return { ids: new Set(), zoneIds: new Set(), names: new Set(), asked: new Map() };
}

export function createResourceCatalogue(database: Database, metrics: GatewayMetrics): ResourceCataloguePostgres {
  return new Catalogue(database, metrics);
}
