// How rows of a table become values of the domain and back: one description per table, in place of seven times the same SQL.

/** How a column travels: `time` as microsecond text, `whole` as a number, `json` through JSON, `plain` as the driver has it. */
export type ColumnKind = 'plain' | 'time' | 'whole' | 'json';

export interface TableShape<T> {
  readonly table: string;
  readonly columns: { readonly [K in keyof T & string]-?: ColumnKind };
  /** SQL in place of a column, for what is read from other rows; `t` is the row. */
  readonly computed?: { readonly [K in keyof T & string]?: string };
  /** Columns that are written and never read. */
  readonly hidden?: Readonly<Record<string, ColumnKind>>;
  /** The table has archived_at, and its rows end by it. */
  readonly archives: boolean;
  /** The table has version and updated_at. */
  readonly versioned: boolean;
  /** The conflict target under which a taken slug is told apart from other conflicts. */
  readonly slugTarget?: string;
}

/** camelCase to snake_case. */
export function columnOf(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A timestamp as its microsecond text, in UTC. */
function timeText(expression: string): string {
  return `to_char(${expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

/** What to select so that `readRow` understands it; the row is called `t`. */
export function selection<T>(shape: TableShape<T>): string {
  const parts = Object.entries<ColumnKind>(shape.columns).map(([field, kind]) => {
    const column = columnOf(field);
    const computed = (shape.computed as Readonly<Record<string, string | undefined>> | undefined)?.[field];
    if (computed !== undefined) return `(${computed}) AS ${column}`;
    return kind === 'time' ? `${timeText(`t.${column}`)} AS ${column}` : `t.${column}`;
  });
  return parts.join(', ');
}

export function readRow<T>(shape: TableShape<T>, row: Readonly<Record<string, unknown>>): T {
  const entries: [string, unknown][] = [];
  for (const [field, kind] of Object.entries<ColumnKind>(shape.columns)) {
    const value = row[columnOf(field)];
    // SQL's NULL is what the domain leaves out.
    if (value === null || value === undefined) continue;
    entries.push([field, kind === 'whole' ? wholeNumber(value) : value]);
  }
  return Object.fromEntries(entries) as T;
}

function wholeNumber(value: unknown): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError('a bigint column holds more than a number can');
  return number;
}

/** The columns and values of what is to be written; `undefined` leaves a column alone. */
export function writing<T>(shape: TableShape<T>, row: object): { columns: string[]; values: unknown[] } {
  const kinds: Readonly<Record<string, ColumnKind | undefined>> = { ...shape.columns, ...shape.hidden };
  const columns: string[] = [];
  const values: unknown[] = [];
  for (const [field, value] of Object.entries(row)) {
    const kind = kinds[field];
    if (value === undefined || kind === undefined) continue;
    columns.push(columnOf(field));
    values.push(kind === 'json' && value !== null ? JSON.stringify(value) : value);
  }
  return { columns, values };
}
