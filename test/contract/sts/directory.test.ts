import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { describe } from 'vitest';
import { newId } from '#mesh/ids';
import { createPool } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { createCachedDirectory } from '../../../services/sts/outbound/cache/directory-cached.ts';
import {
  createDelegationGraphMemory,
  createDirectoryMemory,
  createMemoryWorld,
} from '../../../services/sts/outbound/memory/directory-memory.ts';
import { createZoneReader } from '../../../services/sts/outbound/postgres/zone-reader.ts';
import { shareByZone } from '../../../services/sts/outbound/postgres/zone-shares.ts';
import { disposableDatabase } from '../../support/database.ts';
import { directoryContract } from './directory-contract.ts';
import type { DirectoryWorld } from './directory-contract.ts';

const expiresAtMs = Date.UTC(2100, 0, 1);

async function memoryWorld(): Promise<DirectoryWorld> {
  const world = createMemoryWorld();
  const common = { version: 1 };
  return {
    directory: createDirectoryMemory(world),
    graph: createDelegationGraphMemory(world),
    async addZone() {
      const id = newId();
      const secretCheckKey = randomBytes(32);
      world.zones.set(id, { id, name: 'zone', calendar: undefined, recordInputs: true, secretCheckKey, ...common });
      return id;
    },
    async addApplication(zoneId) {
      const id = newId();
      const registered = { name: 'a', registrationMethod: 'managed', credentialType: 'token', secretHash: undefined };
      const said = { senderConstraint: 'off', publicKeys: [], mayAct: [], serves: [] };
      const rest = { traits: [], labels: {}, ...said, expiresAtMs: undefined, ...common };
      world.applications.set(id, { id, zoneId, ...registered, ...rest });
      return id;
    },
    async addResource(zoneId, identifier) {
      const id = newId();
      const rest = { operations: [], operationEnforcement: false, providerId: undefined, ...common };
      world.resources.set(identifier, {
        id,
        zoneId,
        identifier,
        kind: 'http',
        upstreamUrl: 'http://u',
        scopes: ['read'],
        ...rest,
      });
      return id;
    },
    async addSession(zoneId, applicationId) {
      const id = newId();
      const state = { parentId: undefined, kind: 'instance', state: 'active', depth: 0, passLifecycle: false };
      world.sessions.set(id, {
        id,
        zoneId,
        applicationId,
        scopes: [],
        resources: [],
        sid: newId(),
        expiresAtMs,
        ...state,
      });
      return id;
    },
    async addEdge(_zoneId, edge, applicationId) {
      const id = newId();
      const ends = { issuerApplicationId: applicationId, receiverApplicationId: applicationId };
      world.edges.set(id, {
        id,
        ...edge,
        ...ends,
        scopes: ['read'],
        resources: [],
        maxHops: 2,
        expiresAtMs,
        state: 'active',
      });
      return id;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

async function postgresWorld(): Promise<DirectoryWorld> {
  const stack = new AsyncDisposableStack();
  const { administratorUrl, urls } = stack.use(await disposableDatabase());
  const database = stack.use(createPool({ service: 'sts', connectionString: urls.sts, logger: silentLogger }));
  const administrator = new pg.Pool({ connectionString: administratorUrl, max: 2 });
  stack.defer(async () => administrator.end());
  const cached = createCachedDirectory({
    reader: createZoneReader(shareByZone(database, 4)),
    fresh: { resources: () => false, policy: () => false, delegations: () => false },
    maxStalenessMs: 5000,
    clock: createClock(),
  });
  const insert = async (text: string, values: readonly unknown[]): Promise<string> => {
    await administrator.query(text, [...values]);
    return String(values[0]);
  };
  return {
    directory: cached.directory,
    graph: cached.graph,
    addZone: async () => {
      const id = newId();
      return insert(`INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, 'zone', $2, $3)`, [
        id,
        `z-${id}`,
        randomBytes(32),
      ]);
    },
    addApplication: async (zoneId) =>
      insert(
        `INSERT INTO api.applications (id, zone_id, name, registration_method, credential_type) VALUES ($1, $2, 'a', 'managed', 'token')`,
        [newId(), zoneId],
      ),
    addResource: async (zoneId, identifier) => {
      const id = newId();
      return insert(
        `INSERT INTO api.resources (id, zone_id, identifier, slug, name, kind, upstream_url, scopes)
         VALUES ($1, $2, $3, $4, 'r', 'http', 'http://u', '{read}')`,
        [id, zoneId, identifier, `r-${id}`],
      );
    },
    addSession: async (zoneId, applicationId) =>
      insert(
        `INSERT INTO coordinator.agent_sessions (id, zone_id, application_id, root_id, kind, state, depth, client_id, sid, expires_at)
         VALUES ($1::text, $2, $3::text, $1::text, 'instance', 'active', 0, $3::text, $4, now() + interval '1 h')`,
        [newId(), zoneId, applicationId, newId()],
      ),
    addEdge: async (zoneId, edge, applicationId) =>
      insert(
        `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id, issuer_application_id,
           receiver_application_id, parent_edge_id, scopes, max_hops, state, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, '{read}', 2, 'active', now() + interval '1 h')`,
        [
          newId(),
          zoneId,
          edge.sourceSessionId,
          edge.targetSessionId,
          applicationId,
          applicationId,
          edge.parentEdgeId ?? null,
        ],
      ),
    [Symbol.asyncDispose]: async () => stack.disposeAsync(),
  };
}

describe('Directory and DelegationGraph in memory', () => directoryContract(memoryWorld));
describe('Directory and DelegationGraph cached over Postgres', () => directoryContract(postgresWorld));
