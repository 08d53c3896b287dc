// ZoneKeys from memory: a zone's keys are read once, with the windows in which they sign and verify, and forgotten after 15
// minutes or when they change. Private parts are opened on first use. An envelope that does not open is counted; its public
// key still verifies.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { readVerificationKey, zoneJwk } from '#mesh/mandate';
import type { KeySource, SigningKey, ZoneJwk } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import { isPublished, maySign, signingKeyOf } from '../../domain/zone-key.ts';
import type { KeyWindow } from '../../domain/zone-key.ts';
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
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly maxStalenessMs: number;
  readonly onUnopenable?: (keyId: string) => void;
}

export interface CachedZoneKeys extends ZoneKeys, KeySource {
  drop(zoneId: string): void;
  dropAll(): void;
}

interface HeldKey extends KeyWindow {
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly jwk: ZoneJwk;
  /** Undefined when the private part does not open, or is erased. */
  readonly open: () => SigningKey | undefined;
}

interface ZoneKeySet {
  /** Newest first. */
  readonly keys: readonly HeldKey[];
}

/** authority.md "Zone keys": keys are cached at most 15 minutes. */
const maxAgeMs = 15 * 60_000;
const maxZones = 4000;
/** Whoever names a key that is not held makes the zone's keys be read again, at most so often: such names can be invented. */
const unknownKeyPauseMs = 1000;

function openKey(options: ZoneKeysOptions, row: ZoneKeyRow): SigningKey | undefined {
  if (row.envelope === null) return undefined;
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

function openOnce(open: () => SigningKey | undefined): () => SigningKey | undefined {
  let opened: { readonly key: SigningKey | undefined } | undefined;
  return () => (opened ??= { key: open() }).key;
}

function heldKey(options: ZoneKeysOptions, row: ZoneKeyRow, windows: WeakMap<SigningKey, KeyWindow>): HeldKey[] {
  const read = readVerificationKey({ ...row.public_jwk, kid: row.id });
  if (!read) return [];
  const window: KeyWindow = {
    signsFromMs: row.signs_from.getTime(),
    signsUntilMs: row.signs_until?.getTime(),
    retiresAtMs: row.retires_at?.getTime(),
  };
  const open = openOnce(() => {
    const key = openKey(options, row);
    if (key) windows.set(key, window);
    else options.onUnopenable?.(row.id);
    return key;
  });
  return [{ ...window, kid: row.id, publicKey: read.key, jwk: zoneJwk(row.id, read.key), open }];
}

export function createZoneKeys(options: ZoneKeysOptions): CachedZoneKeys {
  const { clock } = options;
  // Of every key handed out for signing, for as long as somebody holds it.
  const windows = new WeakMap<SigningKey, KeyWindow>();
  const readAgainAtMs = new LRUCache<string, number>({ max: maxZones });

  const cache = createFreshCache<ZoneKeySet>({
    read: async (zoneId) => {
      const rows = await inZone(options.database, zoneId, selectZoneKeys);
      return rows && rows.length > 0 ? { keys: rows.flatMap((row) => heldKey(options, row, windows)) } : undefined;
    },
    max: maxZones,
    isFresh: options.isFresh,
    maxStalenessMs: options.maxStalenessMs,
    maxAgeMs,
    monotonic: () => clock.monotonic(),
  });

  /** The keys in JWKS now; read again, once in a while, when the wanted one is not among those held. */
  async function inUse(zoneId: string, wantedKid?: string): Promise<readonly HeldKey[] | undefined> {
    const has = ({ keys }: ZoneKeySet): boolean => wantedKid === undefined || keys.some(({ kid }) => kid === wantedKid);
    let set = await cache.get(zoneId);
    const nowMs = clock.monotonic();
    if (set && !has(set) && nowMs >= (readAgainAtMs.get(zoneId) ?? Number.NEGATIVE_INFINITY)) {
      readAgainAtMs.set(zoneId, nowMs + unknownKeyPauseMs);
      set = await cache.get(zoneId, has);
    }
    return set?.keys.filter((key) => isPublished(key, clock.now()));
  }

  return {
    async signingKey(zoneId) {
      const set = await cache.get(zoneId);
      return set && signingKeyOf(set.keys, clock.now())?.open();
    },
    maySign(key) {
      const window = windows.get(key);
      return window !== undefined && maySign(window, clock.now());
    },
    published: async (zoneId, wantedKid) => (await inUse(zoneId, wantedKid))?.map(({ jwk }) => jwk),
    publicKey: async (zoneId, kid) => (await inUse(zoneId, kid))?.find((key) => key.kid === kid)?.publicKey,
    drop: (zoneId) => cache.drop(zoneId),
    dropAll: () => cache.dropAll(),
  };
}
