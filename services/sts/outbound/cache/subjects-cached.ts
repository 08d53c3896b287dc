// Subjects from memory: issuers by zone and grants by application and user, dropped by the stream of the API's changes and
// by a user's anchors; the claims of a session never change and only leave by age.
import { LRUCache } from 'lru-cache';
import type { JsonObject } from '#mesh/failure';
import type { AnchorKindName } from '#mesh/mandate';
import type { Clock } from '#mesh/time';
import type { Grant, SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { Subjects } from '../../ports/subjects.ts';
import type { SubjectReader } from '../postgres/subject-reader.ts';
import { createFreshCache } from './fresh-cache.ts';
import type { FreshCache } from './fresh-cache.ts';

export interface CachedSubjectsOptions {
  readonly reader: SubjectReader;
  readonly isFresh: () => boolean;
  readonly maxStalenessMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly onLookup?: (kind: string, hit: boolean) => void;
}

export interface CachedSubjects extends Subjects {
  resourceChanged(zoneId: string, kind: string, id: string): void;
  /**
   * What rests on what an anchor ends is read anew: its own stream may be behind, and a mandate that is made from what it
   * has not told of yet would carry a newer number than the anchor.
   */
  anchorApplied(zoneId: string, kind: AnchorKindName, id: string): void;
  allResources(): void;
  sizes(): Readonly<Record<string, number>>;
}

/** As in the directory: nothing is believed longer, whatever the streams say. */
const maxAgeMs = 10 * 60_000;
/** The longest a session record's mandates live. */
const claimsAgeMs = 60 * 60_000;
const limits = { issuers: 4000, grants: 50_000, claims: 50_000 };

interface Grants {
  readonly list: readonly Grant[];
}

/** The key is zone, application and user, of which only the last may hold spaces. */
async function readGrants(reader: SubjectReader, key: string): Promise<Grants> {
  const [zoneId = '', applicationId = ''] = key.split(' ', 2);
  return { list: await reader.grants(zoneId, applicationId, key.slice(zoneId.length + applicationId.length + 2)) };
}

/** The grants that are held, by user: an anchor names a user, and a user grants to more than one application. */
class GrantsByUser {
  readonly #cache: FreshCache<Grants>;
  /** A user that falls out takes its grants along, so that none is held that no anchor finds. */
  readonly #applications = new LRUCache<string, Set<string>>({
    max: limits.grants,
    disposeAfter: (applications, user, reason) => {
      if (reason === 'evict') this.#drop(user, applications);
    },
  });

  constructor(cache: FreshCache<Grants>) {
    this.#cache = cache;
  }

  async get(zoneId: string, applicationId: string, subject: string): Promise<Grants | undefined> {
    const user = `${zoneId} ${subject}`;
    const applications = this.#applications.get(user) ?? new Set();
    this.#applications.set(user, applications.add(applicationId));
    return this.#cache.get(`${zoneId} ${applicationId} ${subject}`);
  }

  drop(zoneId: string, subject: string): void {
    const user = `${zoneId} ${subject}`;
    this.#drop(user, this.#applications.get(user) ?? []);
    this.#applications.delete(user);
  }

  #drop(user: string, applications: Iterable<string>): void {
    const zoneEnd = user.indexOf(' ');
    for (const id of applications) this.#cache.drop(`${user.slice(0, zoneEnd)} ${id}${user.slice(zoneEnd)}`);
  }
}

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
  const grants = createFreshCache<Grants>({
    ...shared('grants'),
    max: limits.grants,
    read: async (key) => readGrants(reader, key),
  });
  const grantsOf = new GrantsByUser(grants);
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
  const dropZone = (zoneId: string): void => {
    issuers.drop(zoneId);
    grants.dropPrefix(`${zoneId} `);
  };
  return {
    issuers: async (zoneId) => (await issuers.get(zoneId))?.list ?? [],
    grants: async (zoneId, applicationId, subject) => (await grantsOf.get(zoneId, applicationId, subject))?.list ?? [],
    claims: async (zoneId, id) => claims.get(`${zoneId} ${id}`),
    resourceChanged(zoneId, kind, id) {
      if (kind === 'grant') grants.drop(`${zoneId} ${id}`);
      // The grants of an issuer's users end with it.
      else if (kind === 'subject_issuer' || kind === 'zone') dropZone(zoneId);
    },
    anchorApplied(zoneId, kind, id) {
      if (kind === 'subject') {
        // The end of an issuer is written as the end of its users.
        issuers.drop(zoneId);
        grantsOf.drop(zoneId, id);
      } else if (kind === 'zone') dropZone(zoneId);
    },
    allResources() {
      issuers.dropAll();
      grants.dropAll();
    },
    sizes: () => ({ issuers: issuers.size, grants: grants.size, claims: claims.size }),
  };
}
