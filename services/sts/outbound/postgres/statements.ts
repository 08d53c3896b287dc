// Every statement the STS sends about zones, sessions and keys, with the shape of its rows. All run in a transaction bound
// to one zone; row-level security shows nothing else.
import type { ZoneTransaction } from '#mesh/postgres';
import type { JsonObject, JsonValue } from '#mesh/failure';

export interface ZoneRow {
  id: string;
  name: string;
  calendar: JsonValue | null;
  record_inputs: boolean;
  secret_check_key: Buffer;
  version: string;
}

export async function selectZone(tx: ZoneTransaction): Promise<ZoneRow | undefined> {
  return tx.one<ZoneRow>(
    `SELECT id, name, calendar, record_inputs, secret_check_key, version
       FROM api_pub.zones WHERE id = $1 AND archived_at IS NULL`,
    [tx.zoneId],
  );
}

export interface ApplicationRow {
  id: string;
  zone_id: string;
  name: string;
  registration_method: string;
  credential_type: string;
  secret_hash: string | null;
  traits: JsonValue;
  labels: JsonValue;
  sender_constraint: string;
  public_keys: JsonValue | null;
  may_act: JsonValue;
  serves: string[];
  expires_at: Date | null;
  version: string;
}

/** The application, unless it or its zone is archived. */
export async function selectApplication(tx: ZoneTransaction, id: string): Promise<ApplicationRow | undefined> {
  return tx.one<ApplicationRow>(
    `SELECT a.id, a.zone_id, a.name, a.registration_method, a.credential_type, a.secret_hash, a.traits, a.labels,
            a.sender_constraint, a.public_keys, a.may_act, a.serves, a.expires_at, a.version
       FROM api_pub.applications a JOIN api_pub.zones z ON z.id = a.zone_id
      WHERE a.zone_id = $1 AND a.id = $2 AND a.archived_at IS NULL AND z.archived_at IS NULL`,
    [tx.zoneId, id],
  );
}

export interface ResourceRow {
  id: string;
  zone_id: string;
  identifier: string;
  kind: string;
  upstream_url: string;
  scopes: string[];
  operations: JsonValue;
  operation_enforcement: boolean;
  provider_id: string | null;
  version: string;
}

export async function selectResource(tx: ZoneTransaction, identifier: string): Promise<ResourceRow | undefined> {
  return tx.one<ResourceRow>(
    `SELECT r.id, r.zone_id, r.identifier, r.kind, r.upstream_url, r.scopes, r.operations, r.operation_enforcement,
            r.provider_id, r.version
       FROM api_pub.resources r JOIN api_pub.zones z ON z.id = r.zone_id
      WHERE r.zone_id = $1 AND r.identifier = $2 AND r.archived_at IS NULL AND z.archived_at IS NULL`,
    [tx.zoneId, identifier],
  );
}

export interface ProviderRow {
  id: string;
  zone_id: string;
  identifier: string;
  kind: string;
  config: JsonObject;
  version: string;
}

export async function selectProvider(tx: ZoneTransaction, id: string): Promise<ProviderRow | undefined> {
  return tx.one<ProviderRow>(
    `SELECT id, zone_id, identifier, kind, config, version
       FROM api_pub.providers WHERE zone_id = $1 AND id = $2 AND archived_at IS NULL`,
    [tx.zoneId, id],
  );
}

export interface ProviderSecretRow {
  name: string;
  row_id: string;
  envelope: Buffer;
}

export async function selectProviderSecrets(tx: ZoneTransaction, providerId: string): Promise<ProviderSecretRow[]> {
  return tx.query<ProviderSecretRow>(
    `SELECT name, row_id, envelope FROM api_pub.provider_secrets
      WHERE zone_id = $1 AND provider_id = $2 ORDER BY name`,
    [tx.zoneId, providerId],
  );
}

export interface PolicySetRow {
  is_active: boolean;
  policy_set_id: string;
  policy_set_version_id: string;
  digest: string;
  params: JsonObject;
  /** Null when a member is missing altogether. */
  policies: { policy_version_id: string; name: string; content: string }[] | null;
}

/** What the zone enforces, and what it watches. */
export async function selectPolicySets(tx: ZoneTransaction): Promise<PolicySetRow[]> {
  return tx.query<PolicySetRow>(
    `SELECT true AS is_active, policy_set_id, policy_set_version_id, digest, params, policies
       FROM api_pub.active_policy_sets WHERE zone_id = $1
     UNION ALL
     SELECT false, policy_set_id, policy_set_version_id, digest, params, policies
       FROM api_pub.shadow_policy_sets WHERE zone_id = $1`,
    [tx.zoneId],
  );
}

export interface AgentSessionRow {
  id: string;
  zone_id: string;
  application_id: string;
  parent_id: string | null;
  kind: string;
  state: string;
  depth: number;
  scopes: string[];
  resources: string[];
  sid: string;
  pass_lifecycle: boolean;
  expires_at: Date;
  epoch: string;
}

export async function selectAgentSession(tx: ZoneTransaction, id: string): Promise<AgentSessionRow | undefined> {
  return tx.one<AgentSessionRow>(
    `SELECT s.id, s.zone_id, s.application_id, s.parent_id, s.kind, s.state, s.depth, s.scopes, s.resources, s.sid,
            s.pass_lifecycle, s.expires_at,
            coalesce((SELECT g.epoch FROM coordinator_pub.graph_epochs g WHERE g.zone_id = $1), 0) AS epoch
       FROM coordinator_pub.agent_sessions s WHERE s.zone_id = $1 AND s.id = $2`,
    [tx.zoneId, id],
  );
}

export interface EdgeRow {
  id: string;
  parent_edge_id: string | null;
  source_session_id: string;
  target_session_id: string;
  issuer_application_id: string;
  receiver_application_id: string;
  scopes: string[];
  resources: string[];
  max_hops: number;
  ttl_seconds: number | null;
  state: string;
  expires_at: Date;
  epoch: string;
}

export async function selectEdge(tx: ZoneTransaction, id: string): Promise<EdgeRow | undefined> {
  return tx.one<EdgeRow>(
    `SELECT e.id, e.parent_edge_id, e.source_session_id, e.target_session_id, e.issuer_application_id,
            e.receiver_application_id, e.scopes, e.resources, e.max_hops, e.ttl_seconds, e.state, e.expires_at,
            coalesce((SELECT g.epoch FROM coordinator_pub.graph_epochs g WHERE g.zone_id = $1), 0) AS epoch
       FROM coordinator_pub.delegation_edges e WHERE e.zone_id = $1 AND e.id = $2`,
    [tx.zoneId, id],
  );
}

export async function selectGraphEpoch(tx: ZoneTransaction): Promise<string> {
  const row = await tx.one<{ epoch: string }>('SELECT epoch FROM coordinator_pub.graph_epochs WHERE zone_id = $1', [
    tx.zoneId,
  ]);
  return row?.epoch ?? '0';
}

export interface ZoneKeyRow {
  id: string;
  public_jwk: JsonObject;
  /** Null once the key signs no more. */
  envelope: Buffer | null;
  signs_from: Date;
  signs_until: Date | null;
  retires_at: Date | null;
}

/** Keys that are in JWKS, newest first; the database lets no zone have more of them than are read here. */
export async function selectZoneKeys(tx: ZoneTransaction): Promise<ZoneKeyRow[]> {
  return tx.query<ZoneKeyRow>(
    `SELECT id, public_jwk, envelope, signs_from, signs_until, retires_at
       FROM sts.zone_keys
      WHERE zone_id = $1 AND (retires_at IS NULL OR retires_at > clock_timestamp())
      ORDER BY version DESC LIMIT 16`,
    [tx.zoneId],
  );
}

export interface SessionRecordValues {
  id: string;
  parentId: string | undefined;
  applicationId: string;
  subject: string;
  subjectType: string;
  agentSessionId: string | undefined;
  expiresAt: Date;
  subjectClaims?: JsonObject | undefined;
}

/** Inserts records; the root of each is its parent's root, the parent itself when that record is gone, or itself. */
export async function insertSessionRecords(
  tx: ZoneTransaction,
  records: readonly SessionRecordValues[],
): Promise<{ id: string; root_id: string }[]> {
  const rows = records.map((values) => ({
    id: values.id,
    parent_id: values.parentId ?? null,
    application_id: values.applicationId,
    subject: values.subject,
    subject_type: values.subjectType,
    agent_session_id: values.agentSessionId ?? null,
    expires_at: values.expiresAt.toISOString(),
    subject_claims: values.subjectClaims ?? null,
  }));
  return tx.query<{ id: string; root_id: string }>(
    `INSERT INTO sts.session_records
            (id, zone_id, root_id, parent_id, application_id, subject, subject_type, agent_session_id, expires_at,
             subject_claims)
     SELECT r.id, $1::text,
            CASE WHEN r.parent_id IS NULL THEN r.id
                 ELSE coalesce((SELECT p.root_id FROM sts.session_records p WHERE p.zone_id = $1::text AND p.id = r.parent_id),
                               r.parent_id)
            END,
            r.parent_id, r.application_id, r.subject, r.subject_type, r.agent_session_id, r.expires_at,
            nullif(r.subject_claims, 'null'::jsonb)
       FROM jsonb_to_recordset($2::jsonb)
            AS r(id text, parent_id text, application_id text, subject text, subject_type text, agent_session_id text,
                 expires_at timestamptz, subject_claims jsonb)
     RETURNING id, root_id`,
    [tx.zoneId, JSON.stringify(rows)],
  );
}
