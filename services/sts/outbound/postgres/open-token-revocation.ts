// What ends mandates at their client's request: the anchor's writer, and the wait until every enforcement point has it.
import type { Database } from '#mesh/postgres';
import { createRevocationBarrier } from '#mesh/revocation';
import type { RevocationBarrier } from '#mesh/revocation';
import type { Clock } from '#mesh/time';
import { createWatchPlaces } from '../../domain/watch-places.ts';
import type { WatchPlaces } from '../../domain/watch-places.ts';
import type { TokenRevoker } from '../../ports/token-revoker.ts';
import { createTokenRevoker } from './token-revoker-postgres.ts';
import type { ZoneShares } from './zone-shares.ts';

export interface TokenRevocationPorts {
  readonly tokenRevoker: TokenRevoker;
  readonly barrier: RevocationBarrier;
  readonly barrierPlaces: WatchPlaces;
}

/** Usually they wait for milliseconds. While a point is silent each looks twenty times a second, for 25 seconds at most. */
const places = { inAll: 128, perZone: 16 };

export function openTokenRevocation(database: Database, shares: ZoneShares, clock: Clock): TokenRevocationPorts {
  return {
    tokenRevoker: createTokenRevoker(shares),
    barrier: createRevocationBarrier(database, clock),
    barrierPlaces: createWatchPlaces(places),
  };
}
