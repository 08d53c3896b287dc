// The one text form of a moment in events and cursors: UTC with six digits of a second.
// It stands alone because digests are taken over this text, and Date knows milliseconds only.

const form = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{6})Z$/;

/** Epoch microseconds as `YYYY-MM-DDTHH:MM:SS.ffffffZ`. Defined for the years 0000 to 9999. */
export function microsecondText(epochMicroseconds: bigint): string {
  const fraction = ((epochMicroseconds % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = Number((epochMicroseconds - fraction) / 1_000_000n);
  const text = new Date(seconds * 1000).toISOString();
  if (text.length !== 24) throw new RangeError('a year needs four digits');
  return `${text.slice(0, 19)}.${fraction.toString().padStart(6, '0')}Z`;
}

/** Epoch milliseconds, with or without a fraction, as the same text. Finer than a microsecond is cut off. */
export function microsecondTextOfMs(epochMs: number): string {
  const microseconds = Math.floor(epochMs * 1000);
  // Up to the year 2255 a double counts them exactly and a tenth of the work does.
  if (!Number.isSafeInteger(microseconds)) return microsecondText(BigInt(microseconds));
  const ms = Math.floor(microseconds / 1000);
  return `${new Date(ms).toISOString().slice(0, 23)}${String(microseconds - ms * 1000).padStart(3, '0')}Z`;
}

/** Epoch microseconds of exactly that text form; undefined for any other text and for dates that do not exist. */
export function parseMicrosecondText(text: string): bigint | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const [, whole = '', fraction = ''] = match;
  const ms = Date.parse(`${whole}.000Z`);
  if (Number.isNaN(ms)) return undefined;
  const microseconds = BigInt(ms) * 1000n + BigInt(fraction);
  // Date.parse moves 30 February into March; only a date that reads back the same exists.
  return microsecondText(microseconds) === text ? microseconds : undefined;
}

/** Epoch milliseconds, fraction included, of that text form; undefined where parseMicrosecondText is. */
export function parseMicrosecondTextMs(text: string): number | undefined {
  const microseconds = parseMicrosecondText(text);
  return microseconds === undefined ? undefined : Number(microseconds) / 1000;
}
