// How many governed calls of one zone may be under way in this process, whatever stream they came on: one zone whose
// policies are slow must not take the others' turn.

export interface ZoneWindows {
  /** The way out, or undefined when the zone has its share under way. */
  enter(zoneId: string): (() => void) | undefined;
}

export function createZoneWindows(perZone: number): ZoneWindows {
  const underWay = new Map<string, number>();
  return {
    enter(zoneId) {
      const count = underWay.get(zoneId) ?? 0;
      if (count >= perZone) return undefined;
      underWay.set(zoneId, count + 1);
      return () => {
        const left = (underWay.get(zoneId) ?? 1) - 1;
        if (left > 0) underWay.set(zoneId, left);
        else underWay.delete(zoneId);
      };
    },
  };
}
