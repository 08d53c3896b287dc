import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe } from 'vitest';
import { newId } from '#mesh/ids';
import { createPool } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { createCachedSubjects } from '../../../services/sts/outbound/cache/subjects-cached.ts';
import { createSessionRecordsMemory } from '../../../services/sts/outbound/memory/minting-memory.ts';
import { createSubjectsMemory } from '../../../services/sts/outbound/memory/subjects-memory.ts';
import { createSessionRecordsPostgres } from '../../../services/sts/outbound/postgres/session-records-postgres.ts';
import { createSubjectReader } from '../../../services/sts/outbound/postgres/subject-reader.ts';
import { shareByZone } from '../../../services/sts/outbound/postgres/zone-shares.ts';
import type { SessionRecords } from '../../../services/sts/ports/session-records.ts';
import { disposableDatabase } from '../../support/database.ts';
import { subjectsContract } from './subjects-contract.ts';
import type { SubjectsWorld } from './subjects-contract.ts';

function recordIn(records: SessionRecords): SubjectsWorld['addRecord'] {
  return async (zoneId, subject, subjectClaims) => {
    const id = newId();
    const of = { zoneId, parentId: undefined, applicationId: newId(), agentSessionId: undefined };
    const until = { expiresAtMs: Date.UTC(2100, 0, 1) };
    await records.insert({ id, ...of, subject, subjectType: 'user', ...until, subjectClaims });
    return id;
  };
}

async function memoryWorld(): Promise<SubjectsWorld> {
  const records = createSessionRecordsMemory();
  const subjects = createSubjectsMemory(records.records);
  return {
    subjects,
    addZone: async () => newId(),
    async addIssuer(zoneId, issuer) {
      const id = newId();
      const keys = { jwksUrl: `${issuer}/keys`, audience: 'a', algorithms: ['ES256'] };
      subjects.issuersOf.set(id, {
        id,
        zoneId,
        issuer,
        ...keys,
        claims: { groups: 'g' },
        mayAct: 'id_token',
        version: 1,
      });
      return id;
    },
    archiveIssuer: async (_zoneId, id) => void subjects.issuersOf.delete(id),
    async addGrant(_zoneId, { subject, scopes, expiresAtMs }) {
      const applicationId = newId();
      subjects.grantsOf.set(`${applicationId} ${subject}`, [{ resourceId: newId(), scopes, expiresAtMs }]);
      return applicationId;
    },
    revokeGrants: async (_zoneId, applicationId, subject) =>
      void subjects.grantsOf.delete(`${applicationId} ${subject}`),
    addRecord: recordIn(records),
    [Symbol.asyncDispose]: async () => {},
  };
}

async function postgresWorld(): Promise<SubjectsWorld> {
  const stack = new AsyncDisposableStack();
  const { administratorUrl, urls } = stack.use(await disposableDatabase());
  const database = stack.use(createPool({ service: 'sts', connectionString: urls.sts, logger: silentLogger }));
  const administrator = new pg.Pool({ connectionString: administratorUrl, max: 2 });
  stack.defer(async () => administrator.end());
  const shares = shareByZone(database, 4);
  // What the stream would say is said here by hand: a cache that was told gives the new answer at once.
  const subjects = createCachedSubjects({
    reader: createSubjectReader(shares),
    isFresh: () => true,
    maxStalenessMs: 5000,
    clock: createClock(),
  });
  const write = async (text: string, values: readonly unknown[]): Promise<string> => {
    await administrator.query(text, [...values]);
    return String(values[0]);
  };
  return {
    subjects,
    addZone: async () => {
      const id = newId();
      const values = [id, `z-${id}`, randomBytes(32)];
      return write(`INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, 'zone', $2, $3)`, values);
    },
    async addIssuer(zoneId, issuer) {
      const id = await write(
        `INSERT INTO api.subject_issuers (id, zone_id, name, issuer, jwks_url, audience, algorithms, claims, may_act)
         VALUES ($1, $2, 'i', $3, $3 || '/keys', 'a', '{ES256}', '{"groups": "g"}', 'id_token')`,
        [newId(), zoneId, issuer],
      );
      subjects.resourceChanged(zoneId, 'subject_issuer', id);
      return id;
    },
    async archiveIssuer(zoneId, id) {
      await write('UPDATE api.subject_issuers SET archived_at = now() WHERE id = $1', [id]);
      subjects.resourceChanged(zoneId, 'subject_issuer', id);
    },
    async addGrant(zoneId, { subject, scopes, expiresAtMs }) {
      const [applicationId, resourceId] = [newId(), newId()];
      await write(
        `INSERT INTO api.applications (id, zone_id, name, registration_method, credential_type)
         VALUES ($1, $2, 'a', 'managed', 'token')`,
        [applicationId, zoneId],
      );
      await write(
        `INSERT INTO api.resources (id, zone_id, identifier, slug, name, kind, upstream_url, scopes)
         VALUES ($1::text, $2, 'resource://' || $1::text, 'r-' || $1::text, 'r', 'http', 'http://u', '{read}')`,
        [resourceId, zoneId],
      );
      const expiresAt = expiresAtMs === undefined ? null : new Date(expiresAtMs);
      await write(
        `INSERT INTO api.grants (id, zone_id, application_id, subject_issuer_id, subject, resource_id, scopes, expires_at)
         VALUES ($1, $2, $3, split_part($4::text, ':', 2), $4, $5, $6, $7)`,
        [newId(), zoneId, applicationId, subject, resourceId, scopes, expiresAt],
      );
      subjects.resourceChanged(zoneId, 'grant', `${applicationId} ${subject}`);
      return applicationId;
    },
    async revokeGrants(zoneId, applicationId, subject) {
      await write('UPDATE api.grants SET archived_at = now() WHERE application_id = $1', [applicationId]);
      subjects.resourceChanged(zoneId, 'grant', `${applicationId} ${subject}`);
    },
    addRecord: recordIn(createSessionRecordsPostgres(shares)),
    [Symbol.asyncDispose]: async () => stack.disposeAsync(),
  };
}

describe('Subjects in memory', () => subjectsContract(memoryWorld));
describe('Subjects cached over Postgres', () => subjectsContract(postgresWorld));
