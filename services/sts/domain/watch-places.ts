// How many may follow revocation through one replica: so many in all, and of them so many of one zone, so that no zone takes
// the places of the others.

export interface WatchPlaces {
  /** Takes a place; undefined when there is none. The function gives it back, once. */
  enter(zoneId: string): (() => void) | undefined;
  readonly taken: number;
}

export function createWatchPlaces(limits: { readonly inAll: number; readonly perZone: number }): WatchPlaces {
  const zones = new Map<string, number>();
  let taken = 0;
  return {
    enter(zoneId) {
      const own = zones.get(zoneId) ?? 0;
      if (own >= limits.perZone || taken >= limits.inAll) return undefined;
      zones.set(zoneId, own + 1);
      taken += 1;
      let left = false;
      return () => {
        if (left) return;
        left = true;
        taken -= 1;
        const rest = (zones.get(zoneId) ?? 1) - 1;
        if (rest === 0) zones.delete(zoneId);
        else zones.set(zoneId, rest);
      };
    },
    get taken() {
      return taken;
    },
  };
}
