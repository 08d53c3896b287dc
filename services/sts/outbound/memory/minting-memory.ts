// The ports of a mint without stores: keys that are made on the spot, secrets that are compared as text, records in a map.
import { generateKeyPairSync } from 'node:crypto';
import { zoneJwk } from '#mesh/mandate';
import type { KeySource, SigningKey } from '#mesh/mandate';
import type { ZoneKeys } from '../../ports/mandate-issuing.ts';
import type { MintLimiter } from '../../ports/mint-limiter.ts';
import type { SecretVerifier } from '../../ports/secret-verifier.ts';
import type { SessionRecord, SessionRecords } from '../../ports/session-records.ts';
import type { SingleUse } from '../../ports/single-use.ts';

/** One key for all zones it is given. */
export function createZoneKeysMemory(zoneIds: ReadonlySet<string>): ZoneKeys & KeySource {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key: SigningKey = { kid: 'key-1', privateKey };
  return {
    signingKey: async (zoneId) => (zoneIds.has(zoneId) ? key : undefined),
    maySign: () => true,
    published: async (zoneId) => (zoneIds.has(zoneId) ? [zoneJwk(key.kid, publicKey)] : undefined),
    publicKey: async (zoneId, kid) => (zoneIds.has(zoneId) && kid === key.kid ? publicKey : undefined),
  };
}

/** The stored hash is the secret itself; counts what it was asked. */
export function createSecretVerifierMemory(): SecretVerifier & { asked: number } {
  return {
    asked: 0,
    async verify({ storedHash, secret }) {
      this.asked += 1;
      return storedHash === secret;
    },
  };
}

/** Marks that last as long as the test. */
export function createSingleUseMemory(): SingleUse {
  const seen = new Set<string>();
  return {
    async spend({ zoneId, kind, id }) {
      const key = `${zoneId} ${kind} ${id}`;
      if (seen.has(key)) return 'replayed';
      seen.add(key);
      return 'first';
    },
    remembers: () => true,
  };
}

export function createSessionRecordsMemory(): SessionRecords & { readonly records: Map<string, SessionRecord> } {
  const records = new Map<string, SessionRecord>();
  const roots = new Map<string, string>();
  return {
    records,
    async insert(record) {
      const { parentId } = record;
      const rootSid = parentId === undefined ? record.id : (roots.get(parentId) ?? parentId);
      records.set(record.id, record);
      roots.set(record.id, rootSid);
      return { rootSid };
    },
  };
}

/** Allows so many mints per resource and application; no window ever ends. */
export function createMintLimiterMemory(limit: number): MintLimiter {
  const taken = new Map<string, number>();
  return {
    async take(...names) {
      const key = names.join(' ');
      const count = (taken.get(key) ?? 0) + 1;
      taken.set(key, count);
      return count <= limit ? { allowed: true, retryAfterMs: 0 } : { allowed: false, retryAfterMs: 60_000 };
    },
  };
}
