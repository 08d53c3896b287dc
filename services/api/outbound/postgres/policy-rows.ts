// Statements on policies and set versions that reach beyond one row.
import type { Transaction, ZoneTransaction } from '#mesh/postgres';
import type { PolicySetVersion, PolicySource, PolicyVersion } from '../../domain/policy.ts';
import { readRow, selection } from './table-shape.ts';
import { policySetVersionShape, policyVersionShape } from './table-shapes.ts';

type Row = Readonly<Record<string, unknown>>;

export async function selectVersionByContent(
  tx: Transaction,
  policyId: string,
  contentSha256: string,
): Promise<PolicyVersion | undefined> {
  const [row] = await tx.query<Row>(
    `SELECT ${selection(policyVersionShape)} FROM api.policy_versions AS t
     WHERE t.policy_id = $1 AND t.content_sha256 = $2 ORDER BY t.version DESC LIMIT 1`,
    [policyId, contentSha256],
  );
  return row === undefined ? undefined : readRow(policyVersionShape, row);
}

export async function selectNextVersion(
  tx: Transaction,
  of: { policyId: string } | { policySetId: string },
): Promise<number> {
  const [table, column, id] =
    'policyId' in of
      ? ['api.policy_versions', 'policy_id', of.policyId]
      : ['api.policy_set_versions', 'policy_set_id', of.policySetId];
  const row = await tx.one<{ next: number }>(
    `SELECT coalesce(max(version), 0) + 1 AS next FROM ${table} WHERE ${column} = $1`,
    [id],
  );
  return row?.next ?? 1;
}

export async function selectSources(tx: Transaction, versionIds: readonly string[]): Promise<PolicySource[]> {
  const rows = await tx.query<{
    id: string;
    name: string;
    content: string;
    content_sha256: string;
    archived: boolean;
  }>(
    `SELECT v.id, p.name, v.content, v.content_sha256, p.archived_at IS NOT NULL AS archived
     FROM unnest($1::text[]) WITH ORDINALITY AS wanted (id, position)
     JOIN api.policy_versions AS v ON v.id = wanted.id
     JOIN api.policies AS p ON p.id = v.policy_id
     ORDER BY wanted.position`,
    [versionIds],
  );
  return rows.map((row) => ({
    policyVersionId: row.id,
    name: row.name,
    content: row.content,
    contentSha256: row.content_sha256,
    archived: row.archived,
  }));
}

/** One change of a zone's enforcement at a time. Taken after the zone's row and before the set's. */
export async function lockActivation(tx: ZoneTransaction): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`api.activation ${tx.zoneId}`]);
}

export async function selectActiveVersion(tx: Transaction): Promise<PolicySetVersion | undefined> {
  const row = await tx.one<Row>(
    `SELECT ${selection(policySetVersionShape)} FROM api.policy_set_versions AS t WHERE t.active`,
  );
  return row === undefined ? undefined : readRow(policySetVersionShape, row);
}

/** The active one goes first: two may never be active, not even within the transaction. */
export async function updateActive(tx: Transaction, versionId: string | undefined): Promise<void> {
  await tx.execute('UPDATE api.policy_set_versions SET active = false WHERE active');
  if (versionId === undefined) return;
  await tx.execute(
    `UPDATE api.policy_set_versions SET active = true, shadow = false, activated_at = clock_timestamp() WHERE id = $1`,
    [versionId],
  );
}

export async function selectPreviouslyActive(
  tx: Transaction,
  policySetId: string,
): Promise<PolicySetVersion | undefined> {
  const [row] = await tx.query<Row>(
    `SELECT ${selection(policySetVersionShape)} FROM api.policy_set_versions AS t
     WHERE t.policy_set_id = $1 AND NOT t.active AND t.activated_at IS NOT NULL
     ORDER BY t.activated_at DESC, t.id DESC LIMIT 1`,
    [policySetId],
  );
  return row === undefined ? undefined : readRow(policySetVersionShape, row);
}
