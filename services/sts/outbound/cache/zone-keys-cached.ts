// ZoneKeys from memory: sealed rows are read once, opened once, and both are forgotten after 15 minutes or when the zone's
// keys change. An envelope that does not open is skipped for signing and counted; its public key still verifies.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readVerificationKey } from '#mesh/mandate';
import type { KeySource, SigningKey, ZoneJwk } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { ZoneKeys } from '../../ports/mandate-issuing.ts';
import type { Vault } from '../../ports/vault.ts';
import { selectZoneKeys } from '../postgres/statements.ts';
import type { ZoneKeyRow } from '../postgres/statements.ts';
import { inZone } from '../postgres/zone-reader.ts';
import type { ZoneShares } from '../postgres/zone-shares.ts';
import { createFreshCache } from './fresh-cache.ts';

export interface ZoneKeysOptions {
  readonly database: ZoneShares;
  readonly vault: Pick<Vault, 'open'>;
  readonly isFresh: () => boolean;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly maxStalenessMs: number;
  readonly onUnopenable?: (keyId: string) => void;
}

export interface CachedZoneKeys extends ZoneKeys, KeySource {
  drop(zoneId: string): void;
  dropAll(): void;
}

interface ZoneKeySet {
  readonly signing: SigningKey | undefined;
  readonly published: readonly ZoneJwk[];
  readonly verifying: ReadonlyMap<string, KeyObject>;
}

/** authority.md "Zone keys": keys are cached at most 15 minutes. */
const maxAgeMs = 15 * 60_000;
const maxZones = 4000;

function openKey(options: ZoneKeysOptions, row: ZoneKeyRow): SigningKey | undefined {
  try {
    const pkcs8 = options.vault.open(row.envelope, { table: 'sts.zone_keys', column: 'envelope', rowId: row.id });
    const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const { x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
    // The pair must be what is published, or nobody could verify what it signs.
    if (x !== row.public_jwk['x'] || y !== row.public_jwk['y']) return undefined;
    return { kid: row.id, privateKey };
  } catch {
    return undefined;
  }
}

function readKeySet(options: ZoneKeysOptions, rows: readonly ZoneKeyRow[]): ZoneKeySet {
  const verifying = new Map<string, KeyObject>();
  const published: ZoneJwk[] = [];
  for (const row of rows) {
    const read = readVerificationKey({ ...row.public_jwk, kid: row.id });
    if (!read) continue;
    verifying.set(row.id, read.key);
    const { x, y } = row.public_jwk as { x: string; y: string };
    published.push({ kty: 'EC', crv: 'P-256', use: 'sig', alg: 'ES256', kid: row.id, x, y });
  }
  const row = rows.find(({ signs }) => signs);
  const signing = row && openKey(options, row);
  if (row && !signing) options.onUnopenable?.(row.id);
  return { signing, published, verifying };
}

export function createZoneKeys(options: ZoneKeysOptions): CachedZoneKeys {
  const cache = createFreshCache<ZoneKeySet>({
    read: async (zoneId) => {
      const rows = await inZone(options.database, zoneId, selectZoneKeys);
      return rows && rows.length > 0 ? readKeySet(options, rows) : undefined;
    },
    max: maxZones,
    isFresh: options.isFresh,
    maxStalenessMs: options.maxStalenessMs,
    maxAgeMs,
    monotonic: () => options.clock.monotonic(),
  });
  return {
    signingKey: async (zoneId) => (await cache.get(zoneId))?.signing,
    published: async (zoneId) => (await cache.get(zoneId))?.published,
    publicKey: async (zoneId, kid) => (await cache.get(zoneId))?.verifying.get(kid),
    drop: (zoneId) => cache.drop(zoneId),
    dropAll: () => cache.dropAll(),
  };
}
