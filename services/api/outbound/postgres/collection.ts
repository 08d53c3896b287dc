// The Collection on one table, inside one transaction. Statements are made from the table's shape; values travel apart.
import { fail } from '#mesh/failure';
import { type Transaction, violatedUnique } from '#mesh/postgres';
import type { Collection, Fresh, Page, PageQuery, Patch } from '../../ports/collection.ts';
import { pageOf, parseCursor } from './page-cursor.ts';
import { type TableShape, readRow, selection, writing } from './table-shape.ts';

interface Listed {
  readonly id: string;
  readonly createdAt: string;
}

type Row = Readonly<Record<string, unknown>>;

/** What a taken name is called, by the constraint that refused it. */
const takenNames: Readonly<Record<string, string>> = {
  zones_slug_key: 'slug',
  resources_live: 'identifier',
  resources_live_slug: 'slug',
  providers_live: 'identifier',
  subject_issuers_live: 'issuer',
  grants_live: 'resource_id',
  policies_live: 'name',
  policy_sets_live: 'name',
};

/** Runs a writing statement; a unique index that refuses it is a conflict, named where the name is the caller's. */
async function writingUnique<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const constraint = violatedUnique(error);
    if (constraint === undefined) throw error;
    const path = takenNames[constraint];
    throw fail('conflict', {
      ...(path === undefined ? {} : { description: `The ${path} is taken.`, fields: [{ path, rule: 'unique' }] }),
      cause: error,
    });
  }
}

/** The statements of a page: newest first after the cursor, one row more than asked for. */
export async function selectPage<T extends Listed>(
  tx: Transaction,
  shape: TableShape<T>,
  { query, filter = {} }: { query: PageQuery; filter?: object },
): Promise<Page<T>> {
  const after = query.cursor === undefined ? undefined : parseCursor(query.cursor);
  const { columns, values } = writing(shape, filter);
  const conditions = columns.map((column, at) => `t.${column} = $${at + 4}`);
  if (shape.archives) conditions.push('t.archived_at IS NULL');
  const rows = await tx.query<Row>(
    `SELECT ${selection(shape)} FROM ${shape.table} AS t
     WHERE ($1::timestamptz IS NULL OR (t.created_at, t.id) < ($1::timestamptz, $2::text))
       ${conditions.map((condition) => `AND ${condition}`).join(' ')}
     ORDER BY t.created_at DESC, t.id DESC LIMIT $3`,
    [after?.time ?? null, after?.id ?? null, query.limit + 1, ...values],
  );
  return pageOf(
    rows.map((row) => readRow(shape, row)),
    query.limit,
  );
}

export function createCollection<T extends Listed, Hidden extends object = object>(
  tx: Transaction,
  shape: TableShape<T>,
): Collection<T, Hidden> {
  const { table } = shape;
  const live = shape.archives ? 'AND t.archived_at IS NULL' : '';
  const returning = `RETURNING ${selection(shape)}`;
  const count = shape.versioned ? ', version = t.version + 1, updated_at = clock_timestamp()' : '';
  const read = (row: Row | undefined): T | undefined => (row === undefined ? undefined : readRow(shape, row));
  const required = (row: Row | undefined): T => {
    if (row === undefined) throw fail('not_found');
    return readRow(shape, row);
  };
  const insert = async (row: Fresh<T> & Hidden, orNothing: string): Promise<T | undefined> => {
    const { columns, values } = writing(shape, row);
    const places = values.map((_, at) => `$${at + 1}`).join(', ');
    const text = `INSERT INTO ${table} AS t (${columns.join(', ')}) VALUES (${places}) ${orNothing} ${returning}`;
    return writingUnique(async () => read(await tx.one<Row>(text, values)));
  };
  const select = async (id: string, lock: string): Promise<T | undefined> =>
    read(await tx.one<Row>(`SELECT ${selection(shape)} FROM ${table} AS t WHERE t.id = $1 ${live} ${lock}`, [id]));
  return {
    insert: async (row) => {
      const inserted = await insert(row, '');
      if (inserted === undefined) throw fail('not_found');
      return inserted;
    },
    insertIfFree: (row) => insert(row, `ON CONFLICT ${shape.slugTarget ?? ''} DO NOTHING`),
    find: (id) => select(id, ''),
    hold: (id) => select(id, 'FOR SHARE OF t'),
    lock: (id) => select(id, 'FOR UPDATE OF t'),
    update: async (id, patch: Patch<T> & Partial<Hidden>) => {
      const { columns, values } = writing(shape, patch);
      const sets = columns.map((column, at) => `${column} = $${at + 2}`).join(', ');
      const text = `UPDATE ${table} AS t SET ${sets}${sets === '' ? count.slice(2) : count} WHERE t.id = $1 ${live} ${returning}`;
      return writingUnique(async () => required(await tx.one<Row>(text, [id, ...values])));
    },
    archive: async (id) =>
      required(
        await tx.one<Row>(
          `UPDATE ${table} AS t SET archived_at = clock_timestamp()${count} WHERE t.id = $1 ${live} ${returning}`,
          [id],
        ),
      ),
    page: (query, filter = {}) => selectPage(tx, shape, { query, filter }),
  };
}
