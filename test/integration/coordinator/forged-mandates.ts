// Mandates with any claims under a key that the zone really publishes: what no STS of ours would sign, with a signature that
// every verifier takes.
import { newId } from '#mesh/ids';
import { type MandateClaims, parseMandate, zoneJwk } from '#mesh/mandate';
import { forge, testKey } from '../../support/mandates.ts';
import type { CoordinatorWorld } from './coordinator-world.ts';

export type Forge = (change?: Partial<Record<keyof MandateClaims, unknown>>, without?: readonly string[]) => string;

/** Publishes a key of the test's own in the world's zone. The STS never signs with it. */
export async function publishedForger(world: CoordinatorWorld): Promise<Forge> {
  const key = testKey(newId());
  await world.sts.inZone(
    world.zone.id,
    `INSERT INTO sts.zone_keys (id, zone_id, version, public_jwk, envelope, signs_from, signs_until)
     VALUES ($1, $2, 99, $3, 'none', now() - interval '2 hours', now() - interval '1 hour')`,
    [key.kid, world.zone.id, JSON.stringify(zoneJwk(key.kid, key.publicKey))],
  );
  const model = parseMandate(await world.mandate());
  if (model === undefined) throw new Error('no mandate to start from');
  const { claims } = model;
  return (change = {}, without = []) => {
    const changed = { ...claims, jti: newId(), ...change };
    const kept = Object.fromEntries(Object.entries(changed).filter(([name]) => !without.includes(name)));
    return forge(JSON.stringify({ alg: 'ES256', kid: key.kid, typ: 'JWT' }), JSON.stringify(kept), key);
  };
}
