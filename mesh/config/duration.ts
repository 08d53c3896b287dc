// Durations as Go writes them, because that is how the installation's settings have always been written in the field.
// It stands alone as plain arithmetic: `1m30s` to milliseconds and back.

const unitMs: readonly (readonly [unit: string, ms: number])[] = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

const whole = /^(?:\d{1,12}(?:\.\d{1,3})?(?:h|ms|m|s))+$/;
const part = /(\d+(?:\.\d+)?)(h|ms|m|s)/g;

/** Milliseconds of a Go duration such as `5s`, `500ms`, `1m30s`; undefined for any other text or a broken millisecond. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!whole.test(text)) return undefined;
  let total = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(part)) {
    const ms = unitMs.find(([name]) => name === unit)?.[1] ?? Number.NaN;
    total += Number(amount) * ms;
  }
  return Number.isSafeInteger(total) ? total : undefined;
}

/** The shortest Go duration of whole milliseconds. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  let left = ms;
  let text = '';
  for (const [unit, size] of unitMs) {
    const amount = Math.floor(left / size);
    if (amount > 0) text += `${amount}${unit}`;
    left -= amount * size;
  }
  return text;
}
