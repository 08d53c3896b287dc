// Which resources exist, as last heard; the request path never waits for it when the resource is known.
import type { Resource } from '../domain/routing.ts';

export interface ResourceCatalogue {
  byIdentifier(zoneId: string, identifier: string): Resource | undefined;
  bySlugs(zoneSlug: string, resourceSlug: string): Resource | undefined;
  /** One coalesced, rate-bounded read for what is not known yet; a miss stands only after it. Rejects with `store_unavailable`. */
  refreshFor(zone: string, name: string): Promise<void>;
}
