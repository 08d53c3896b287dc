/**
 * A zone's verification keys, read from the STS.
 * It stands alone because Gateway and Coordinator read them alike, and a difference between the two would be a hole in one.
 */
import { fail } from '#mesh/failure';
import { type Jwks, parseJwks } from '#mesh/mandate';
import type { PeerHttp } from './peer-http.ts';

/**
 * Undefined when there is no such zone; rejects with `sts_unavailable` when nobody can say. The STS is told which key is
 * wanted, so that it does not answer without it from memory.
 */
export function createZoneKeyReader(sts: PeerHttp): (zoneId: string, kid: string) => Promise<Jwks | undefined> {
  return async (zoneId, kid) => {
    try {
      const path = `/zones/${encodeURIComponent(zoneId)}/.well-known/jwks.json?kid=${encodeURIComponent(kid)}`;
      const { status, text } = await sts.get(path);
      if (status === 404 || status === 400) return undefined;
      if (status !== 200) throw new Error(`status ${status}`);
      return parseJwks(text);
    } catch (error) {
      throw fail('sts_unavailable', { privateDetail: 'zone keys could not be read', cause: error });
    }
  };
}
