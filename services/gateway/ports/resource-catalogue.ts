// Which resources exist, as last heard; the request path never waits for it when the resource is known.
import type { Resource } from '../domain/routing.ts';

export interface ResourceCatalogue {
  byIdentifier(zoneId: string, identifier: string): Resource | undefined;
  bySlugs(zoneSlug: string, resourceSlug: string): Resource | undefined;
  /**
   * One coalesced, bounded read for what is not known yet; a miss stands only after it. `askingZoneId` is that of the
   * caller's mandate: each zone has a share of the read. Rejects with `store_unavailable`.
   */
  refreshFor(zone: string, name: string, askingZoneId: string): Promise<void>;
  /** The thing of that kind changed; what depends on it is read again. Resolves when it was, or could not be. */
  changed(change: { readonly zoneId: string; readonly kind: string; readonly id: string }): Promise<void>;
  /** Replaces everything by what is stored. Rejects with `store_unavailable`. */
  reload(): Promise<void>;
}
