// Fills a zone with one row of everything, each written by the role whose work that is, through the statements it would use.
import { randomBytes } from 'node:crypto';
import { newId } from '#mesh/ids';
import type { ServiceName } from '#mesh/topology';
import { serviceClient } from './plain-client.ts';

export interface ZoneRows {
  readonly zone: string;
  readonly application: string;
  readonly provider: string;
  readonly resource: string;
  readonly policyVersion: string;
  readonly setVersion: string;
  readonly kid: string;
  readonly session: string;
  readonly child: string;
  readonly edge: string;
  readonly event: string;
}

const digest = 'ab'.repeat(32);
const jwk = JSON.stringify({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' });

/** Makes a zone and rows in it as the five services. */
export async function fillZone(urls: Readonly<Record<ServiceName, string>>): Promise<ZoneRows> {
  const names = [
    'zone',
    'application',
    'provider',
    'resource',
    'policyVersion',
    'setVersion',
    'kid',
    'session',
    'child',
    'edge',
    'event',
  ] as const;
  const rows = Object.fromEntries(names.map((name) => [name, newId()])) as Record<(typeof names)[number], string>;
  await fillAsApi(urls, rows);
  await fillAsSts(urls, rows);
  await fillAsCoordinator(urls, rows);
  await fillAsAudit(urls, rows);
  return rows;
}

async function fillAsApi(urls: Readonly<Record<ServiceName, string>>, rows: ZoneRows): Promise<void> {
  await using api = await serviceClient(urls, 'api');
  const { zone } = rows;
  const [policy, set] = [newId(), newId()];
  await api.run(
    zone,
    [
      'INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, $2, $3, $4)',
      zone,
      'Zone',
      `z-${zone}`,
      randomBytes(32),
    ],
    [
      "INSERT INTO api.applications (id, zone_id, name, registration_method, credential_type) VALUES ($1, $2, 'App', 'managed', 'password')",
      rows.application,
      zone,
    ],
    [
      "INSERT INTO api.providers (id, zone_id, identifier, name, kind) VALUES ($1, $2, 'p', 'P', 'bearer_token')",
      rows.provider,
      zone,
    ],
    [
      "INSERT INTO api.provider_secrets (provider_id, zone_id, name, envelope, row_id) VALUES ($1, $2, 'token', $3, $4)",
      rows.provider,
      zone,
      Buffer.from('sealed'),
      newId(),
    ],
    [
      `INSERT INTO api.resources (id, zone_id, identifier, slug, name, kind, upstream_url, scopes, provider_id)
      VALUES ($1, $2, 'resource://r', 'r', 'R', 'http', 'https://upstream.example', '{read}', $3)`,
      rows.resource,
      zone,
      rows.provider,
    ],
    ["INSERT INTO api.policies (id, zone_id, name) VALUES ($1, $2, 'policy')", policy, zone],
    [
      "INSERT INTO api.policy_versions (id, zone_id, policy_id, version, content, content_sha256, schema_version) VALUES ($1, $2, $3, 1, 'package caracal.authz', $4, '1')",
      rows.policyVersion,
      zone,
      policy,
      digest,
    ],
    ["INSERT INTO api.policy_sets (id, zone_id, name) VALUES ($1, $2, 'set')", set, zone],
    [
      'INSERT INTO api.policy_set_versions (id, zone_id, policy_set_id, version, manifest, digest) VALUES ($1, $2, $3, 1, $4, $5)',
      rows.setVersion,
      zone,
      set,
      JSON.stringify([{ policy_version_id: rows.policyVersion }]),
      digest,
    ],
    [
      'UPDATE api.policy_set_versions SET active = true, activated_at = clock_timestamp() WHERE id = $1',
      rows.setVersion,
    ],
    [
      "INSERT INTO api.idempotency_receipts (actor_id, zone_id, route, key_digest, body_digest, status, response) VALUES ('admin', $1, 'POST /x', $2, $2, 201, '{}')",
      zone,
      digest,
    ],
    [
      "INSERT INTO api.outbox (id, zone_id, stream, order_key, dedupe_key, payload) VALUES ($1, $2, 'caracal.audit.events', 'k', 'd' || clock_timestamp(), '{}')",
      newId(),
      zone,
    ],
    ['SELECT sts_pub.install_zone_key($1, $2, $3, $4)', zone, rows.kid, jwk, Buffer.from('sealed')],
  );
}

function hold(rows: ZoneRows): string {
  const who = { application_id: rows.application, subject: rows.application, subject_type: 'application' };
  const what = { targets: [], operation: {}, diagnostics: [], chain: [rows.application] };
  const why = { policy_set_version_id: rows.setVersion, policy_digest: 'd'.repeat(64), challenge_type: 'mfa' };
  return JSON.stringify({ ...who, ...what, ...why, binding: 'b'.repeat(64), ttl_seconds: 300 });
}

async function fillAsSts(urls: Readonly<Record<ServiceName, string>>, rows: ZoneRows): Promise<void> {
  await using sts = await serviceClient(urls, 'sts');
  await sts.run(
    rows.zone,
    [
      `INSERT INTO sts.session_records (id, zone_id, root_id, application_id, subject, subject_type, expires_at)
      VALUES ($1, $2, $1, $3, 'subject', 'application', clock_timestamp() + interval '1 hour')`,
      newId(),
      rows.zone,
      rows.application,
    ],
    [
      'SELECT sts_pub.revoke($1, $2, $3)',
      rows.zone,
      JSON.stringify([{ kind: 'jti', anchor: newId() }]),
      'made for a test',
    ],
    [
      'INSERT INTO sts.provider_connections (id, zone_id, provider_id, access_envelope) VALUES ($1, $2, $3, $4)',
      newId(),
      rows.zone,
      rows.provider,
      Buffer.from('sealed'),
    ],
    [
      `INSERT INTO sts.connection_attempts (id, zone_id, state_digest, provider_id, redirect_uri, actor_id, verifier_envelope, expires_at)
      VALUES ($1, $2, $3, $4, 'https://admin.test/', 'admin', $5, clock_timestamp() + interval '10 minutes')`,
      newId(),
      rows.zone,
      randomBytes(32).toString('hex'),
      rows.provider,
      Buffer.from('sealed'),
    ],
    ['SELECT sts.raise_approval($1, $2, $3, $4, $5)', rows.zone, newId(), hold(rows), Buffer.alloc(32), newId()],
  );
}

const insertSession = `INSERT INTO coordinator.agent_sessions
  (id, zone_id, application_id, parent_id, root_id, kind, state, depth, client_id, sid, expires_at)
  VALUES ($1, $2, $3, $4, $5, 'instance', 'active', $6, 'client', 'sid', clock_timestamp() + interval '1 hour')`;

async function fillAsCoordinator(urls: Readonly<Record<ServiceName, string>>, rows: ZoneRows): Promise<void> {
  await using coordinator = await serviceClient(urls, 'coordinator');
  const { zone, application, session, child } = rows;
  await coordinator.run(
    zone,
    [insertSession, session, zone, application, null, session, 0],
    [insertSession, child, zone, application, session, session, 1],
    [
      `INSERT INTO coordinator.delegation_edges
      (id, zone_id, source_session_id, target_session_id, issuer_application_id, receiver_application_id, scopes, max_hops, state, expires_at)
      VALUES ($1, $2, $3, $4, $5, $5, '{read}', 1, 'active', clock_timestamp() + interval '1 hour')`,
      rows.edge,
      zone,
      session,
      child,
      application,
    ],
    ["INSERT INTO coordinator.capacity (zone_id, key, used) VALUES ($1, 'zone', 2)", zone],
    ['INSERT INTO coordinator.graph_epochs (zone_id, epoch) VALUES ($1, 1)', zone],
    [
      "INSERT INTO coordinator.idempotency_receipts (zone_id, operation, key, request_digest, result_id) VALUES ($1, 'start', 'k', 'd', 'r')",
      zone,
    ],
    [
      "INSERT INTO coordinator.outbox (id, zone_id, stream, order_key, dedupe_key, payload) VALUES ($1, $2, 'caracal.agents.lifecycle', 'k', 'd' || clock_timestamp(), '{}')",
      newId(),
      zone,
    ],
  );
}

async function fillAsAudit(urls: Readonly<Record<ServiceName, string>>, rows: ZoneRows): Promise<void> {
  await using audit = await serviceClient(urls, 'audit');
  await audit.run(
    rows.zone,
    ['SELECT audit_pub.ensure_partitions(1)'],
    [
      `INSERT INTO audit.events (id, zone_id, seq, event_type, occurred_at, canonical, content_sha256, chain_hmac, chain_key_id, producer, producer_incarnation, producer_seq)
      VALUES ($1, $2, 1, 'token.exchange', clock_timestamp(), '{}', $3, $3, 'k1', 'sts', 'i', 1)`,
      rows.event,
      rows.zone,
      digest,
    ],
    [
      'INSERT INTO audit.event_ids (id, zone_id, content_sha256, occurred_at) VALUES ($1, $2, $3, clock_timestamp())',
      rows.event,
      rows.zone,
      digest,
    ],
    [
      'INSERT INTO audit.chain_heads (zone_id, seq, content_sha256, chain_hmac) VALUES ($1, 1, $2, $2)',
      rows.zone,
      digest,
    ],
    [
      "INSERT INTO audit.findings (id, zone_id, kind, description) VALUES ($1, $2, 'evidence_gap', 'made for a test')",
      newId(),
      rows.zone,
    ],
    [
      "INSERT INTO audit.producer_watermarks (producer, incarnation, seq, arrived) VALUES ('sts', 'i', 1, '{[1,2)}') ON CONFLICT (producer, incarnation) DO UPDATE SET seq = excluded.seq",
    ],
  );
}
