// Where new identifiers come from.
// It stands alone because it is the one impure part: flows take an IdSource and tests give them a predictable one.
import { v7 } from 'uuid';
import { knownId, type ZoneId } from './text-id.ts';

/** Gives an id never given before. */
export type IdSource = () => string;

/** A new UUIDv7 (RFC 9562 §5.7): ordered by the host's millisecond, monotonic within this process. */
export const newId: IdSource = () => v7();

/** The zone of what happened before any zone was proven. No application, resource or key ever belongs to it. */
export const SYSTEM_ZONE: ZoneId = knownId<ZoneId>('00000000-0000-7000-8000-000000000000');
