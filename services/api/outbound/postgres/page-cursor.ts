// Where a page ends: the moment to the microsecond and the id of its last row, so that rows of one millisecond are not lost.
import { fail } from '#mesh/failure';
import { isTextId } from '#mesh/ids';
import { parseMicrosecondText } from '#mesh/time';

export interface PagePosition {
  readonly time: string;
  readonly id: string;
}

function formatCursor({ time, id }: PagePosition): string {
  return Buffer.from(`${time} ${id}`).toString('base64url');
}

/** @throws invalid_request for anything that no page has given. */
export function parseCursor(cursor: string): PagePosition {
  const [time = '', id = '', more] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  const isOurs = more === undefined && isTextId(id) && parseMicrosecondText(time) !== undefined;
  if (!isOurs || formatCursor({ time, id }) !== cursor) {
    throw fail('invalid_request', { fields: [{ path: 'cursor', rule: 'next_cursor of an earlier page' }] });
  }
  return { time, id };
}

/** A page of rows that were read one beyond the limit. */
export function pageOf<T extends { readonly id: string; readonly createdAt: string }>(
  rows: readonly T[],
  limit: number,
): { items: readonly T[]; nextCursor: string | undefined } {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items, nextCursor: more ? formatCursor({ time: last.createdAt, id: last.id }) : undefined };
}
