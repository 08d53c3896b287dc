// Rows of api.admin_tokens. They are looked up before any zone is known, so the table is bound to none; only the API's own
// role can read it. Zones are read as the loader, which sees all of them.
import type { Database, Transaction } from '#mesh/postgres';
import type { Admin, AdminToken, Capability } from '../../domain/admin.ts';
import type { Page, PageQuery } from '../../ports/collection.ts';
import { pageOf, parseCursor } from './page-cursor.ts';
import { readRow, selection, writing } from './table-shape.ts';
import { adminTokenShape } from './table-shapes.ts';

type Row = Readonly<Record<string, unknown>>;

interface AdminRow {
  readonly id: string;
  readonly name: string;
  readonly zone_id: string | null;
  readonly capability: Capability;
  readonly sub: string | null;
}

export async function selectAdmin(database: Database, digest: Uint8Array): Promise<Admin | undefined> {
  const [row] = await database.query<AdminRow>(
    'SELECT id, name, zone_id, capability, sub FROM api.admin_tokens WHERE digest = $1 AND revoked_at IS NULL',
    [digest],
  );
  if (row === undefined) return undefined;
  const { id: tokenId, name, capability } = row;
  return { tokenId, name, zoneId: row.zone_id ?? undefined, capability, sub: row.sub ?? undefined };
}

export async function selectAdminToken(database: Database, id: string): Promise<AdminToken | undefined> {
  const [row] = await database.query<Row>(
    `SELECT ${selection(adminTokenShape)} FROM api.admin_tokens AS t WHERE t.id = $1 AND t.revoked_at IS NULL`,
    [id],
  );
  return row === undefined ? undefined : readRow(adminTokenShape, row);
}

export async function selectAdminTokenPage(database: Database, query: PageQuery): Promise<Page<AdminToken>> {
  const after = query.cursor === undefined ? undefined : parseCursor(query.cursor);
  const rows = await database.query<Row>(
    `SELECT ${selection(adminTokenShape)} FROM api.admin_tokens AS t
     WHERE t.revoked_at IS NULL AND ($1::timestamptz IS NULL OR (t.created_at, t.id) < ($1::timestamptz, $2::text))
     ORDER BY t.created_at DESC, t.id DESC LIMIT $3`,
    [after?.time ?? null, after?.id ?? null, query.limit + 1],
  );
  return pageOf(
    rows.map((row) => readRow(adminTokenShape, row)),
    query.limit,
  );
}

export async function insertAdminToken(
  tx: Transaction,
  token: Omit<AdminToken, 'createdAt'>,
  digest: Uint8Array,
): Promise<AdminToken> {
  const { columns, values } = writing(adminTokenShape, { ...token, digest });
  const places = values.map((_, at) => `$${at + 1}`).join(', ');
  const [row] = await tx.query<Row>(
    `INSERT INTO api.admin_tokens AS t (${columns.join(', ')}) VALUES (${places}) RETURNING ${selection(adminTokenShape)}`,
    values,
  );
  return readRow(adminTokenShape, row ?? {});
}

export async function updateRevoked(tx: Transaction, id: string): Promise<boolean> {
  const count = await tx.execute(
    'UPDATE api.admin_tokens SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL',
    [id],
  );
  return count > 0;
}

/** Who writes the bootstrap token's row. */
export const bootstrapAuthor = 'env-bootstrap';

/**
 * Makes this digest the one bootstrap token. One that gives way ends at 'infinity': it opens nothing until the environment
 * names it again, as after a rollback; one that an administrator has revoked has a moment and stays revoked.
 */
export async function upsertBootstrap(
  tx: Transaction,
  { id, digest }: { id: string; digest: Uint8Array },
): Promise<'added' | 'known' | 'revoked'> {
  const added = await tx.execute(
    `INSERT INTO api.admin_tokens AS t (id, name, digest, scope, capability, created_by)
     VALUES ($1, 'bootstrap', $2, 'global', 'all', $3)
     ON CONFLICT (digest) DO UPDATE SET revoked_at = NULL WHERE t.revoked_at = 'infinity' AND t.created_by = $3`,
    [id, digest, bootstrapAuthor],
  );
  await tx.execute(
    `UPDATE api.admin_tokens SET revoked_at = 'infinity'
     WHERE created_by = $2 AND digest <> $1 AND revoked_at IS NULL`,
    [digest, bootstrapAuthor],
  );
  if (added > 0) return 'added';
  const row = await tx.one<{ live: boolean }>(
    'SELECT revoked_at IS NULL AS live FROM api.admin_tokens WHERE digest = $1',
    [digest],
  );
  return row?.live === true ? 'known' : 'revoked';
}
