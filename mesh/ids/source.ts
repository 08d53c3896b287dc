// Where new identifiers come from.
// It stands alone because it is the one impure part: flows take an IdSource and tests give them a predictable one.
import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';
import { knownId, type ZoneId } from './text-id.ts';

/** Gives an id never given before. */
export type IdSource = () => string;

const idBytes = 16;
/** Asking the system once for 256 ids costs about as much as asking for one. */
const pool = new Uint8Array(256 * idBytes);
let taken = pool.length;

function randomBytes(): Uint8Array {
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  taken += idBytes;
  return pool.subarray(taken - idBytes, taken);
}

let lastMs = Number.NEGATIVE_INFINITY;
let sequence = 0;

/**
 * A new UUIDv7 (RFC 9562 §5.7): ordered by the host's millisecond, monotonic within this process. Within a millisecond, or
 * when the clock is set back, a counter that began at random goes on (§6.2 method 1).
 */
export const newId: IdSource = () => {
  const random = randomBytes();
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    // 31 bits, so that counting on has room.
    sequence = new DataView(random.buffer, random.byteOffset).getUint32(0) >>> 1;
  } else {
    sequence += 1;
    // The counter has 32 bits; after the last it begins anew in the next millisecond.
    if (sequence > 0xffff_ffff) {
      sequence = 0;
      lastMs += 1;
    }
  }
  return v7({ random, msecs: lastMs, seq: sequence });
};

/** The zone of what happened before any zone was proven. No application, resource or key ever belongs to it. */
export const SYSTEM_ZONE: ZoneId = knownId<ZoneId>('00000000-0000-7000-8000-000000000000');
