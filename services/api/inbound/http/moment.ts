// Moments that come from outside, read once and carried on in the one form every store understands. A date that does not
// exist, or lies beyond four digits of a year, is refused here and not by a database.
import { fail } from '#mesh/failure';
import { microsecondTextOfMs, parseMicrosecondTextMs } from '#mesh/time';

/** Before it nothing of an installation happened. */
const earliestMs = 0;
/** The last moment with a four-digit year. */
const latestMs = Date.UTC(9999, 11, 31, 23, 59, 59);
const dateForm = /^\d{4}-\d\d-\d\d/;

/** Epoch milliseconds of an RFC 3339 moment. @throws invalid_request. */
export function momentOf(text: string, path: string): number {
  const ms = Date.parse(text);
  const date = dateForm.exec(text)?.[0] ?? '';
  const exists = parseMicrosecondTextMs(`${date}T00:00:00.000000Z`) !== undefined;
  if (Number.isNaN(ms) || !exists || ms < earliestMs || ms > latestMs) {
    throw fail('invalid_request', { fields: [{ path, rule: 'a moment that exists (RFC 3339)' }] });
  }
  return ms;
}

/** The same moment as the stores take it. */
export function momentText(text: string, path: string): string {
  return microsecondTextOfMs(momentOf(text, path));
}
