// Every column that holds envelopes of ZONE_KEK, and how one of its rows is named and written. A table that is not listed
// here keeps its envelopes under the previous key for ever, so whoever adds a sealed column adds a line.
import type { SealedColumn } from '../../ports/sealed-values.ts';

export interface SealedColumnRows extends SealedColumn {
  /** What is read: a table of ours, or a view that its owner publishes. */
  readonly source: string;
  /** The column whose value is the envelope's row id. */
  readonly rowId: string;
  /** A table of ours is updated; another's owner does it, by a function of (zone, row id, before, after). */
  readonly replaceBy: 'update' | { readonly call: string };
}

function own(table: string, column: string): SealedColumnRows {
  return { table, column, source: table, rowId: 'id', replaceBy: 'update' };
}

export const sealedColumns: readonly SealedColumnRows[] = [
  own('sts.zone_keys', 'envelope'),
  own('sts.provider_connections', 'access_envelope'),
  own('sts.provider_connections', 'refresh_envelope'),
  {
    ...{ table: 'api.provider_secrets', column: 'envelope', source: 'api_pub.provider_secrets', rowId: 'row_id' },
    replaceBy: { call: 'api_pub.reseal_provider_secret' },
  },
];
