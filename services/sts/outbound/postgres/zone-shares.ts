// The database as zones share it: each has its turn at the connections and none holds them all, so that a zone which asks
// for a thousand things that do not exist delays nobody but itself.
import { fail } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';
import type { Database, ZoneTransaction } from '#mesh/postgres';
import { createZoneTurns } from '../../domain/zone-turns.ts';

export interface ZoneShares {
  /**
   * Runs work in the zone when its line has its turn; `store_unavailable` when too many wait. The line is the zone's own
   * unless another is named.
   */
  inZone<T>(zoneId: ZoneId, work: (tx: ZoneTransaction) => Promise<T>, line?: string): Promise<T>;
}

/** A quarter of the connections is always there for another zone. */
const zoneShare = 0.75;
/** A read takes about a millisecond; a line this long is one that nobody should join. */
const maxWaiting = 8192;
const maxWaitingPerZone = 512;

/** `connections` is the size of the database's pool. */
export function shareByZone(database: Pick<Database, 'inZone'>, connections: number): ZoneShares {
  const perZone = Math.max(1, Math.floor(connections * zoneShare));
  const turns = createZoneTurns({ places: connections, perZone, maxWaiting, maxWaitingPerZone });
  return {
    async inZone(zoneId, work, line = zoneId) {
      const leave = await turns.enter(line);
      if (!leave) throw fail('store_unavailable', { privateDetail: 'too many reads of one zone' });
      try {
        return await database.inZone(zoneId, work);
      } finally {
        leave();
      }
    },
  };
}
