// Point reads of one zone as domain values. Rows that cannot be what they claim to be stop here.
import { fail } from '#mesh/failure';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { knownId } from '#mesh/ids';
import type { ZoneId } from '#mesh/ids';
import type { ZoneTransaction } from '#mesh/postgres';
import type { PathEdge } from '#mesh/authority';
import type { ActorName } from '#mesh/mandate';
import type { AgentSession } from '../../domain/agent-session.ts';
import type { Connection } from '../../domain/connection.ts';
import type { Application, Operation, Provider, Resource, Zone } from '../../domain/directory.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import { selectConnection, toConnection } from './connection-rows.ts';
import * as sql from './statements.ts';
import type { ZoneShares } from './zone-shares.ts';

/** A row with the graph epoch it was read at. */
export interface AtEpoch<T> {
  readonly value: T;
  readonly epoch: number;
}

/** Row ids are UUIDv7; what has another form cannot exist and is not asked for. */
const rowId = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Runs work in the zone; undefined for a zone id that cannot exist. */
export async function inZone<T>(
  database: ZoneShares,
  zoneId: string,
  work: (tx: ZoneTransaction) => Promise<T>,
): Promise<T | undefined> {
  return rowId.test(zoneId) ? database.inZone(knownId<ZoneId>(zoneId), work) : undefined;
}

/** Whoever asks whether a zone exists may have invented it: all who ask stand in one line. */
function claimed(database: ZoneShares): ZoneShares {
  return { inZone: async (zoneId, work) => database.inZone(zoneId, work, 'claimed') };
}

function operationsOf(value: JsonValue): readonly Operation[] {
  const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [];
  return list.map((item) => {
    const { method, path, scope } = item as { method?: unknown; path?: unknown; scope?: unknown };
    if (typeof method !== 'string' || typeof path !== 'string' || typeof scope !== 'string') {
      throw fail('internal_error', { privateDetail: 'malformed operation row' });
    }
    return { method, path, scope };
  });
}

export interface ZoneReader {
  zone(zoneId: string): Promise<Zone | undefined>;
  application(zoneId: string, id: string): Promise<Application | undefined>;
  resource(zoneId: string, identifier: string): Promise<Resource | undefined>;
  provider(zoneId: string, id: string): Promise<Provider | undefined>;
  /** Live, sealed. */
  connection(zoneId: string, providerId: string, subject: string): Promise<Connection | undefined>;
  policySets(zoneId: string): Promise<PolicySets>;
  session(zoneId: string, id: string): Promise<AtEpoch<AgentSession> | undefined>;
  edge(zoneId: string, id: string): Promise<AtEpoch<PathEdge> | undefined>;
  epoch(zoneId: string): Promise<number>;
}

/** What a zone enforces, and what it watches. */
export interface PolicySets {
  readonly active: PolicySetVersion | undefined;
  readonly shadow: PolicySetVersion | undefined;
}

function toZone(row: sql.ZoneRow): Zone {
  return {
    id: row.id,
    name: row.name,
    calendar: row.calendar ?? undefined,
    recordInputs: row.record_inputs,
    secretCheckKey: row.secret_check_key,
    version: Number(row.version),
  };
}

/** The public JWKs of a set; what is no object is no key. */
function keysOf(set: JsonValue): readonly JsonObject[] {
  const { keys } = (set ?? {}) as { keys?: JsonValue };
  const list = Array.isArray(keys) ? (keys as readonly JsonValue[]) : [];
  return list.filter((key): key is JsonObject => typeof key === 'object' && key !== null && !Array.isArray(key));
}

/** Registered actors: an id alone names an application; a row that names nobody names nobody. */
function actorsOf(value: JsonValue): readonly ActorName[] {
  const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [];
  return list.flatMap((item): ActorName[] => {
    if (typeof item === 'string') return [{ client_id: item }];
    const { sub: subject, client_id: clientId } = (item ?? {}) as { sub?: JsonValue; client_id?: JsonValue };
    const named: ActorName = {
      ...(typeof subject === 'string' ? { sub: subject } : {}),
      ...(typeof clientId === 'string' ? { client_id: clientId } : {}),
    };
    return Object.keys(named).length > 0 ? [named] : [];
  });
}

function toApplication(row: sql.ApplicationRow): Application {
  return {
    id: row.id,
    zoneId: row.zone_id,
    name: row.name,
    registrationMethod: row.registration_method,
    credentialType: row.credential_type,
    secretHash: row.secret_hash ?? undefined,
    traits: row.traits,
    labels: row.labels,
    senderConstraint: row.sender_constraint,
    publicKeys: row.credential_type === 'public-key' ? keysOf(row.public_keys) : [],
    mayAct: actorsOf(row.may_act),
    serves: row.serves,
    expiresAtMs: row.expires_at?.getTime(),
    version: Number(row.version),
  };
}

function toResource(row: sql.ResourceRow): Resource {
  return {
    id: row.id,
    zoneId: row.zone_id,
    identifier: row.identifier,
    kind: row.kind,
    upstreamUrl: row.upstream_url,
    scopes: row.scopes,
    operations: operationsOf(row.operations),
    operationEnforcement: row.operation_enforcement,
    providerId: row.provider_id ?? undefined,
    version: Number(row.version),
  };
}

function toPolicySet(zoneId: string, row: sql.PolicySetRow): PolicySetVersion {
  return {
    zoneId,
    policySetId: row.policy_set_id,
    versionId: row.policy_set_version_id,
    digest: row.digest,
    params: row.params,
    policies: (row.policies ?? []).map((policy) => ({
      policyVersionId: policy.policy_version_id,
      name: policy.name,
      content: policy.content,
    })),
  };
}

function toSession(row: sql.AgentSessionRow): AtEpoch<AgentSession> {
  return {
    epoch: Number(row.epoch),
    value: {
      id: row.id,
      zoneId: row.zone_id,
      applicationId: row.application_id,
      parentId: row.parent_id ?? undefined,
      kind: row.kind,
      state: row.state,
      depth: row.depth,
      scopes: row.scopes,
      resources: row.resources,
      sid: row.sid,
      passLifecycle: row.pass_lifecycle,
      expiresAtMs: row.expires_at.getTime(),
    },
  };
}

function toEdge(row: sql.EdgeRow): AtEpoch<PathEdge> {
  return {
    epoch: Number(row.epoch),
    value: {
      id: row.id,
      parentEdgeId: row.parent_edge_id ?? undefined,
      sourceSessionId: row.source_session_id,
      targetSessionId: row.target_session_id,
      issuerApplicationId: row.issuer_application_id,
      receiverApplicationId: row.receiver_application_id,
      scopes: row.scopes,
      resources: row.resources,
      maxHops: row.max_hops,
      ttlSeconds: row.ttl_seconds ?? undefined,
      expiresAtMs: row.expires_at.getTime(),
      state: row.state,
    },
  };
}

/** One row, if the id can name one. */
async function point<R, V>(read: {
  id: string;
  select: () => Promise<R | undefined>;
  to: (row: R) => V;
}): Promise<V | undefined> {
  if (!rowId.test(read.id)) return undefined;
  const row = await read.select();
  return row && read.to(row);
}

async function readProvider(tx: ZoneTransaction, id: string): Promise<Provider | undefined> {
  const row = rowId.test(id) ? await sql.selectProvider(tx, id) : undefined;
  if (!row) return undefined;
  const secrets = await sql.selectProviderSecrets(tx, id);
  return {
    id: row.id,
    zoneId: row.zone_id,
    identifier: row.identifier,
    kind: row.kind,
    config: row.config,
    secrets: secrets.map((secret) => ({ name: secret.name, rowId: secret.row_id, envelope: secret.envelope })),
    version: Number(row.version),
  };
}

async function readZone(tx: ZoneTransaction): Promise<Zone | undefined> {
  const row = await sql.selectZone(tx);
  return row && toZone(row);
}

/** Reads through the owners' views, one zone-bound transaction each. */
export function createZoneReader(database: ZoneShares): ZoneReader {
  return {
    zone: async (zoneId) => inZone(claimed(database), zoneId, readZone),
    application: async (zoneId, id) =>
      inZone(database, zoneId, async (tx) =>
        point({ id, select: async () => sql.selectApplication(tx, id), to: toApplication }),
      ),
    resource: async (zoneId, identifier) =>
      inZone(database, zoneId, async (tx) => {
        const row = await sql.selectResource(tx, identifier);
        return row && toResource(row);
      }),
    provider: async (zoneId, id) => inZone(database, zoneId, async (tx) => readProvider(tx, id)),
    connection: async (zoneId, providerId, subject) =>
      inZone(database, zoneId, async (tx) => {
        const row = await selectConnection(tx, { providerId, subject });
        return row && toConnection(row);
      }),
    async policySets(zoneId) {
      const rows = (await inZone(database, zoneId, async (tx) => sql.selectPolicySets(tx))) ?? [];
      const versionOf = (isActive: boolean): PolicySetVersion | undefined => {
        const row = rows.find((each) => each.is_active === isActive);
        return row && toPolicySet(zoneId, row);
      };
      return { active: versionOf(true), shadow: versionOf(false) };
    },
    session: async (zoneId, id) =>
      inZone(database, zoneId, async (tx) =>
        point({ id, select: async () => sql.selectAgentSession(tx, id), to: toSession }),
      ),
    edge: async (zoneId, id) =>
      inZone(database, zoneId, async (tx) => point({ id, select: async () => sql.selectEdge(tx, id), to: toEdge })),
    epoch: async (zoneId) => Number((await inZone(database, zoneId, sql.selectGraphEpoch)) ?? 0),
  };
}
