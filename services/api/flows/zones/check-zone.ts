// Rules of a zone beyond the shape of its fields.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { isTimeZone } from '../../domain/zone.ts';

/** @throws invalid_request. */
export function checkZone({ calendar }: { readonly calendar?: JsonObject | null | undefined }): void {
  if (calendar === undefined || calendar === null) return;
  const timeZone = calendar['time_zone'];
  if (typeof timeZone !== 'string' || !isTimeZone(timeZone)) {
    throw fail('invalid_request', { fields: [{ path: 'calendar.time_zone', rule: 'an IANA time zone' }] });
  }
}
