// A zone's verification keys, read from the STS.
import { fail } from '#mesh/failure';
import { type Jwks, parseJwks } from '#mesh/mandate';
import type { PeerHttp } from '#mesh/rpc';

/** Undefined when there is no such zone; rejects with `sts_unavailable` when nobody can say. */
export function createZoneKeys(sts: PeerHttp): (zoneId: string) => Promise<Jwks | undefined> {
  return async (zoneId) => {
    try {
      const { status, text } = await sts.get(`/zones/${encodeURIComponent(zoneId)}/.well-known/jwks.json`);
      if (status === 404 || status === 400) return undefined;
      if (status !== 200) throw new Error(`status ${status}`);
      return parseJwks(text);
    } catch (error) {
      throw fail('sts_unavailable', { privateDetail: 'zone keys could not be read', cause: error });
    }
  };
}
