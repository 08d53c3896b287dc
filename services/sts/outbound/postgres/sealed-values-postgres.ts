// SealedValues on the columns that hold envelopes, each read and written in a transaction bound to its zone.
import { fail } from '#mesh/failure';
import { type ZoneId, knownId } from '#mesh/ids';
import { type Database, int8 } from '#mesh/postgres';
import type { SealedColumn, SealedValue, SealedValues } from '../../ports/sealed-values.ts';
import { sealedColumns } from './sealed-columns.ts';
import type { SealedColumnRows } from './sealed-columns.ts';

interface ValueRow {
  readonly row_id: string;
  readonly envelope: Buffer;
}

/** An envelope's first byte is its version, the next eight name its key (mesh/secrets). */
const keyIdOf = (column: string): string => `encode(substring(${column} FROM 2 FOR 8), 'hex')`;

function rowsOf({ table, column }: SealedColumn): SealedColumnRows {
  const known = sealedColumns.find((each) => each.table === table && each.column === column);
  if (known === undefined) throw fail('internal_error', { privateDetail: `${table}.${column} holds no envelopes` });
  return known;
}

function selectFrom({ source, column, rowId }: SealedColumnRows): string {
  return `SELECT ${rowId}::text AS row_id, ${column} AS envelope FROM ${source} WHERE zone_id = $1 AND ${column} IS NOT NULL`;
}

function replacement({ table, column, rowId, replaceBy }: SealedColumnRows): string {
  if (replaceBy !== 'update') return `SELECT ${replaceBy.call}($1, $2, $3, $4) AS done`;
  return `WITH changed AS (
            UPDATE ${table} SET ${column} = $4 WHERE zone_id = $1 AND ${rowId} = $2 AND ${column} = $3 RETURNING 1)
          SELECT EXISTS (SELECT FROM changed) AS done`;
}

const countAll = sealedColumns
  .map(({ source, column }) => `SELECT count(*) AS n FROM ${source} WHERE zone_id = $1 AND ${keyIdOf(column)} <> $2`)
  .join(' UNION ALL ');

export function createSealedValues(database: Pick<Database, 'inZone' | 'acrossZones'>): SealedValues {
  const valueOf = ({ table, column }: SealedColumn, { row_id: rowId, envelope }: ValueRow): SealedValue => ({
    location: { table, column, rowId },
    envelope,
  });
  return {
    columns: sealedColumns.map(({ table, column }) => ({ table, column })),
    zonesAfter: (zoneId, limit) =>
      database.acrossZones(async (tx) => {
        // Every zone has a key: it is made with it.
        const rows = await tx.query<{ zone_id: string }>(
          'SELECT DISTINCT zone_id::text AS zone_id FROM sts.zone_keys WHERE zone_id > $1 ORDER BY 1 LIMIT $2',
          [zoneId, limit],
        );
        return rows.map((row) => row.zone_id);
      }),
    page: (zoneId, column, { after, limit }) =>
      database.inZone(knownId<ZoneId>(zoneId), async (tx) => {
        const rows = rowsOf(column);
        const text = `${selectFrom(rows)} AND ${rows.rowId}::text > $2 ORDER BY ${rows.rowId}::text LIMIT $3`;
        return (await tx.query<ValueRow>(text, [zoneId, after, limit])).map((row) => valueOf(column, row));
      }),
    find: (zoneId, location) =>
      database.inZone(knownId<ZoneId>(zoneId), async (tx) => {
        const rows = rowsOf(location);
        const row = await tx.one<ValueRow>(`${selectFrom(rows)} AND ${rows.rowId} = $2`, [zoneId, location.rowId]);
        return row && valueOf(location, row);
      }),
    replace: (zoneId, { location, envelope: before }, after) =>
      database.inZone(knownId<ZoneId>(zoneId), async (tx) => {
        const values = [zoneId, location.rowId, before, after];
        return (await tx.one<{ done: boolean }>(replacement(rowsOf(location)), values))?.done === true;
      }),
    countOthers: (zoneId, keyId) =>
      database.inZone(knownId<ZoneId>(zoneId), async (tx) => {
        const row = await tx.one<{ total: string }>(`SELECT sum(n)::bigint AS total FROM (${countAll}) AS each`, [
          zoneId,
          keyId,
        ]);
        return int8(row?.total ?? 0);
      }),
  };
}
