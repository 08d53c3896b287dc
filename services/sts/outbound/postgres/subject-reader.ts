// Issuers and grants through the API's views, and the claims of a session from our own records; one zone-bound read each.
import type { JsonObject } from '#mesh/failure';
import type { ZoneTransaction } from '#mesh/postgres';
import type { Grant, SubjectIssuer } from '../../domain/subject-issuer.ts';
import { inZone } from './zone-reader.ts';
import type { ZoneShares } from './zone-shares.ts';

export interface SubjectReader {
  issuers(zoneId: string): Promise<readonly SubjectIssuer[]>;
  grants(zoneId: string, applicationId: string, subject: string): Promise<readonly Grant[]>;
  claims(zoneId: string, sessionRecordId: string): Promise<JsonObject | undefined>;
}

interface IssuerRow {
  id: string;
  zone_id: string;
  issuer: string;
  jwks_url: string;
  audience: string;
  algorithms: string[];
  claims: Record<string, string>;
  may_act: SubjectIssuer['mayAct'];
  version: string;
}

/** As many as the API lets a zone have. */
async function selectIssuers(tx: ZoneTransaction): Promise<readonly SubjectIssuer[]> {
  const rows = await tx.query<IssuerRow>(
    `SELECT i.id, i.zone_id, i.issuer, i.jwks_url, i.audience, i.algorithms, i.claims, i.may_act, i.version
       FROM api_pub.subject_issuers i JOIN api_pub.zones z ON z.id = i.zone_id
      WHERE i.zone_id = $1 AND i.archived_at IS NULL AND z.archived_at IS NULL ORDER BY i.id LIMIT 64`,
    [tx.zoneId],
  );
  return rows.map(({ zone_id: zoneId, jwks_url: jwksUrl, may_act: mayAct, version, ...row }) => ({
    ...row,
    zoneId,
    jwksUrl,
    mayAct,
    version: Number(version),
  }));
}

interface GrantRow {
  resource_id: string;
  scopes: string[];
  expires_at: Date | null;
}

/** As many as the API lets one user give one application; one that is left out is one that is not granted. */
async function selectGrants(tx: ZoneTransaction, applicationId: string, subject: string): Promise<readonly Grant[]> {
  const rows = await tx.query<GrantRow>(
    `SELECT resource_id, scopes, expires_at FROM api_pub.grants
      WHERE zone_id = $1 AND application_id = $2 AND subject = $3 AND archived_at IS NULL
      ORDER BY resource_id LIMIT 1000`,
    [tx.zoneId, applicationId, subject],
  );
  return rows.map((row) => ({
    resourceId: row.resource_id,
    scopes: row.scopes,
    expiresAtMs: row.expires_at?.getTime(),
  }));
}

async function selectClaims(tx: ZoneTransaction, id: string): Promise<JsonObject | undefined> {
  const row = await tx.one<{ subject_claims: JsonObject | null }>(
    'SELECT subject_claims FROM sts.session_records WHERE zone_id = $1 AND id = $2',
    [tx.zoneId, id],
  );
  return row && (row.subject_claims ?? {});
}

export function createSubjectReader(database: ZoneShares): SubjectReader {
  return {
    issuers: async (zoneId) => (await inZone(database, zoneId, selectIssuers)) ?? [],
    grants: async (zoneId, applicationId, subject) =>
      (await inZone(database, zoneId, async (tx) => selectGrants(tx, applicationId, subject))) ?? [],
    claims: async (zoneId, id) => inZone(database, zoneId, async (tx) => selectClaims(tx, id)),
  };
}
