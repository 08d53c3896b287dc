// Cursors of lists that go newest first: the moment and id of the last row shown. The moment keeps its microseconds, so that
// no row is skipped.
import { parseMicrosecondText } from '#mesh/time';

export interface PagePosition {
  readonly time: string;
  readonly id: string;
}

/** What a query selects beside its rows, for the cursor of the last one. */
export const cursorTime = (column: string): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cursor_time`;

/** Cuts one row too many off a page and says where the next one starts. */
export function pageOf<Row extends { readonly id: string; readonly cursor_time: string }>(
  rows: readonly Row[],
  limit: number,
): { readonly page: readonly Row[]; readonly nextCursor: string | undefined } {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const isLast = rows.length <= limit || last === undefined;
  return {
    page,
    nextCursor: isLast ? undefined : Buffer.from(`${last.cursor_time} ${last.id}`).toString('base64url'),
  };
}

/** Longer than any cursor of ours. */
const maxCursorLength = 400;
const shape = /^(\S{27}) ([A-Za-z0-9_.:-]{1,128})$/;

/** Undefined for a text that is no cursor, moments that do not exist included. */
export function parseCursor(cursor: string | undefined): PagePosition | undefined {
  if (cursor === undefined || cursor.length > maxCursorLength) return undefined;
  const [, time, id] = shape.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? [];
  if (time === undefined || id === undefined) return undefined;
  const microseconds = parseMicrosecondText(time);
  // Nothing of ours is older than 1970; the year 0 is one that the database does not know.
  return microseconds === undefined || microseconds < 0n ? undefined : { time, id };
}

/** True when the text may be a cursor that an earlier page has given. */
export function isCursor(cursor: string): boolean {
  return parseCursor(cursor) !== undefined;
}
