// Values that SQL and JavaScript write differently. It stands alone because a bigint that silently loses its last digits is
// the one mistake no test of a small database shows.

/** A bigint column as a number. The driver gives text; beyond ±(2^53-1) it throws instead of rounding. */
export function int8(value: string | number | bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError('a bigint column holds more than a number can');
  return number;
}
