// The statements on sts.provider_connections and sts.connection_attempts, a function each. All times and leases are judged
// by the database's clock.
import type { ZoneTransaction } from '#mesh/postgres';
import type { Connection } from '../../domain/connection.ts';

export interface ConnectionRow {
  id: string;
  provider_id: string;
  subject: string;
  state: 'active' | 'broken' | 'revoked';
  access_envelope: Buffer | null;
  refresh_envelope: Buffer | null;
  refresh_version: string;
  provider_version: string;
  expires_at: Date | null;
  refreshed_at: Date | null;
  failed_at: Date | null;
  last_error: string | null;
  scopes: string[];
}

export function toConnection(row: ConnectionRow): Connection {
  return {
    id: row.id,
    providerId: row.provider_id,
    subject: row.subject,
    state: row.state,
    accessEnvelope: row.access_envelope ?? undefined,
    refreshEnvelope: row.refresh_envelope ?? undefined,
    refreshVersion: Number(row.refresh_version),
    providerVersion: Number(row.provider_version),
    expiresAtMs: row.expires_at?.getTime(),
    refreshedAtMs: row.refreshed_at?.getTime(),
    failedAtMs: row.failed_at?.getTime(),
    lastError: row.last_error ?? undefined,
    scopes: row.scopes,
  };
}

const columns = `id, provider_id, subject, state, access_envelope, refresh_envelope, refresh_version, provider_version,
  expires_at, refreshed_at, failed_at, last_error, scopes`;

interface Of {
  readonly providerId: string;
  readonly subject: string;
}

export async function selectConnection(
  tx: ZoneTransaction,
  { providerId, subject }: Of,
): Promise<ConnectionRow | undefined> {
  return tx.one<ConnectionRow>(
    `SELECT ${columns} FROM sts.provider_connections
      WHERE zone_id = $1 AND provider_id = $2 AND subject = $3 AND state <> 'revoked'`,
    [tx.zoneId, providerId, subject],
  );
}

/** Adds an empty row unless there is a live one. */
export async function insertEmptyConnection(tx: ZoneTransaction, of: Of & { id: string }): Promise<void> {
  await tx.execute(
    `INSERT INTO sts.provider_connections (id, zone_id, provider_id, subject) VALUES ($2, $1, $3, $4)
     ON CONFLICT DO NOTHING`,
    [tx.zoneId, of.id, of.providerId, of.subject],
  );
}

/** The row when nobody else holds it. */
export async function updateLease(
  tx: ZoneTransaction,
  { providerId, subject, holder, leaseMs }: Of & { holder: string; leaseMs: number },
): Promise<ConnectionRow | undefined> {
  return tx.one<ConnectionRow>(
    `UPDATE sts.provider_connections
        SET lease_holder = $4, lease_until = clock_timestamp() + $5 * interval '1 millisecond'
      WHERE zone_id = $1 AND provider_id = $2 AND subject = $3 AND state <> 'revoked'
        AND (lease_until IS NULL OR lease_until < clock_timestamp())
      RETURNING ${columns}`,
    [tx.zoneId, providerId, subject, holder, leaseMs],
  );
}

export interface TokenValues {
  readonly accessEnvelope: Uint8Array;
  readonly refreshEnvelope: Uint8Array | undefined;
  readonly providerVersion: number;
  readonly expiresAt: Date | null;
  readonly scopes: readonly string[];
}

/** The number of rows written: 0 when the row has moved on. */
export async function updateTokens(
  tx: ZoneTransaction,
  { id, version, tokens }: { id: string; version: number; tokens: TokenValues },
): Promise<number> {
  return tx.execute(
    `UPDATE sts.provider_connections
        SET access_envelope = $4, refresh_envelope = coalesce($5, refresh_envelope), refresh_version = $3::bigint + 1,
            provider_version = $6, expires_at = $7, scopes = $8, state = 'active', last_error = NULL, failed_at = NULL,
            refreshed_at = clock_timestamp(), lease_holder = NULL, lease_until = NULL
      WHERE zone_id = $1 AND id = $2 AND refresh_version = $3::bigint AND state <> 'revoked'`,
    [
      tx.zoneId,
      id,
      version,
      tokens.accessEnvelope,
      tokens.refreshEnvelope ?? null,
      tokens.providerVersion,
      tokens.expiresAt,
      [...tokens.scopes],
    ],
  );
}

export async function updateReleased(
  tx: ZoneTransaction,
  { id, holder }: { id: string; holder: string },
): Promise<void> {
  await tx.execute(
    `UPDATE sts.provider_connections SET lease_holder = NULL, lease_until = NULL
      WHERE zone_id = $1 AND id = $2 AND lease_holder = $3`,
    [tx.zoneId, id, holder],
  );
}

/** Only the lease's holder breaks a connection: one that lost it may speak of a token that is no longer there. */
export async function updateBroken(
  tx: ZoneTransaction,
  { id, holder, error, providerVersion }: { id: string; holder: string; error: string; providerVersion: number },
): Promise<void> {
  await tx.execute(
    `UPDATE sts.provider_connections
        SET state = 'broken', last_error = $4, failed_at = clock_timestamp(), provider_version = $5, lease_holder = NULL,
            lease_until = NULL
      WHERE zone_id = $1 AND id = $2 AND lease_holder = $3 AND state <> 'revoked'`,
    [tx.zoneId, id, holder, error, providerVersion],
  );
}

/** Ends the live row of this provider and subject, if any. */
export async function updateReplaced(tx: ZoneTransaction, { providerId, subject }: Of): Promise<void> {
  await tx.execute(
    `UPDATE sts.provider_connections
        SET state = 'revoked', revoked_at = clock_timestamp(), access_envelope = NULL, refresh_envelope = NULL,
            refresh_version = refresh_version + 1, lease_holder = NULL, lease_until = NULL
      WHERE zone_id = $1 AND provider_id = $2 AND subject = $3 AND state <> 'revoked'`,
    [tx.zoneId, providerId, subject],
  );
}

export async function insertConnection(
  tx: ZoneTransaction,
  { id, providerId, subject, tokens }: Of & { id: string; tokens: TokenValues },
): Promise<void> {
  await tx.execute(
    `INSERT INTO sts.provider_connections (id, zone_id, provider_id, subject, access_envelope, refresh_envelope,
                                           provider_version, expires_at, scopes, refreshed_at)
     VALUES ($2, $1, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())`,
    [
      tx.zoneId,
      id,
      providerId,
      subject,
      tokens.accessEnvelope,
      tokens.refreshEnvelope ?? null,
      tokens.providerVersion,
      tokens.expiresAt,
      [...tokens.scopes],
    ],
  );
}

export interface AttemptRow {
  id: string;
  state_digest: string;
  provider_id: string;
  subject: string;
  redirect_uri: string;
  actor_id: string;
  verifier_envelope: Buffer;
}

export interface AttemptValues {
  readonly id: string;
  readonly stateDigest: string;
  readonly providerId: string;
  readonly subject: string;
  readonly redirectUri: string;
  readonly actorId: string;
  readonly verifierEnvelope: Uint8Array;
  readonly lifeSeconds: number;
}

export async function deleteExpiredAttempts(tx: ZoneTransaction): Promise<void> {
  await tx.execute('DELETE FROM sts.connection_attempts WHERE zone_id = $1 AND expires_at < clock_timestamp()', [
    tx.zoneId,
  ]);
}

/** 0 when the zone has `most` already. */
export async function insertAttempt(tx: ZoneTransaction, values: AttemptValues, most: number): Promise<number> {
  return tx.execute(
    `INSERT INTO sts.connection_attempts (id, zone_id, state_digest, provider_id, subject, redirect_uri, actor_id,
                                          verifier_envelope, expires_at)
     SELECT $2::text, $1::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::bytea,
            clock_timestamp() + $9 * interval '1 second'
      WHERE (SELECT count(*) FROM sts.connection_attempts WHERE zone_id = $1::text) < $10`,
    [
      tx.zoneId,
      values.id,
      values.stateDigest,
      values.providerId,
      values.subject,
      values.redirectUri,
      values.actorId,
      values.verifierEnvelope,
      values.lifeSeconds,
      most,
    ],
  );
}

export async function deleteAttempt(
  tx: ZoneTransaction,
  { stateDigest, actorId }: { stateDigest: string; actorId: string },
): Promise<AttemptRow | undefined> {
  return tx.one<AttemptRow>(
    `DELETE FROM sts.connection_attempts
      WHERE zone_id = $1 AND state_digest = $2 AND actor_id = $3 AND expires_at > clock_timestamp()
      RETURNING id, state_digest, provider_id, subject, redirect_uri, actor_id, verifier_envelope`,
    [tx.zoneId, stateDigest, actorId],
  );
}
