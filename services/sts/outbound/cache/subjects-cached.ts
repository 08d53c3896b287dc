// Subjects from memory: issuers by zone and grants by application and user, dropped by the stream of the API's changes;
// the claims of a session never change and only leave by age.
import type { JsonObject } from '#mesh/failure';
import type { Clock } from '#mesh/time';
import type { Grant, SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { Subjects } from '../../ports/subjects.ts';
import type { SubjectReader } from '../postgres/subject-reader.ts';
import { createFreshCache } from './fresh-cache.ts';

export interface CachedSubjectsOptions {
  readonly reader: SubjectReader;
  readonly isFresh: () => boolean;
  readonly maxStalenessMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly onLookup?: (kind: string, hit: boolean) => void;
}

export interface CachedSubjects extends Subjects {
  resourceChanged(zoneId: string, kind: string, id: string): void;
  allResources(): void;
  sizes(): Readonly<Record<string, number>>;
}

/** As in the directory: nothing is believed longer, whatever the streams say. */
const maxAgeMs = 10 * 60_000;
/** The longest a session record's mandates live. */
const claimsAgeMs = 60 * 60_000;
const limits = { issuers: 4000, grants: 50_000, claims: 50_000 };

export function createCachedSubjects(options: CachedSubjectsOptions): CachedSubjects {
  const { reader, isFresh, maxStalenessMs, clock, onLookup } = options;
  const shared = (kind: string) => ({
    isFresh,
    maxStalenessMs,
    maxAgeMs,
    monotonic: () => clock.monotonic(),
    onLookup: (hit: boolean) => onLookup?.(kind, hit),
  });
  const issuers = createFreshCache<{ list: readonly SubjectIssuer[] }>({
    ...shared('issuers'),
    max: limits.issuers,
    read: async (zoneId) => ({ list: await reader.issuers(zoneId) }),
  });
  const grants = createFreshCache<{ list: readonly Grant[] }>({
    ...shared('grants'),
    max: limits.grants,
    read: async (key) => {
      const [zoneId = '', applicationId = ''] = key.split(' ', 2);
      return { list: await reader.grants(zoneId, applicationId, key.slice(zoneId.length + applicationId.length + 2)) };
    },
  });
  const claims = createFreshCache<JsonObject>({
    ...shared('claims'),
    max: limits.claims,
    isFresh: () => true,
    maxAgeMs: claimsAgeMs,
    read: async (key) => {
      const [zoneId = '', id = ''] = key.split(' ', 2);
      return reader.claims(zoneId, id);
    },
  });
  return {
    issuers: async (zoneId) => (await issuers.get(zoneId))?.list ?? [],
    grants: async (zoneId, applicationId, subject) =>
      (await grants.get(`${zoneId} ${applicationId} ${subject}`))?.list ?? [],
    claims: async (zoneId, id) => claims.get(`${zoneId} ${id}`),
    resourceChanged(zoneId, kind, id) {
      if (kind === 'grant') grants.drop(`${zoneId} ${id}`);
      else if (kind === 'subject_issuer') {
        // Its users' grants end with it.
        issuers.drop(zoneId);
        grants.dropPrefix(`${zoneId} `);
      } else if (kind === 'zone') {
        issuers.drop(zoneId);
        grants.dropPrefix(`${zoneId} `);
      }
    },
    allResources() {
      issuers.dropAll();
      grants.dropAll();
    },
    sizes: () => ({ issuers: issuers.size, grants: grants.size, claims: claims.size }),
  };
}
