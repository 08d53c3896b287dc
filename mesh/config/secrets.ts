// What makes a key or secret too weak to protect an installation.
// It stands alone because a placeholder that starts in production is worse than one that does not start.

/** Words that templates and tutorials leave behind; a secret that is exactly one of them protects nothing. */
const wholeWords: ReadonlySet<string> = new Set([
  'admin',
  'caracal',
  'default',
  'demo',
  'dev',
  'example',
  'letmein',
  'pass',
  'password',
  'postgres',
  'redis',
  'root',
  'secret',
  'test',
  'token',
]);

const templates =
  /change.?me|place.?holder|replace.?me|your.?(?:own.?)?(?:secret|token|key|password)|^<.*>$|^\$\{.*\}$|x{8}/i;

/** True for a text that a template or a tutorial would carry where a secret belongs. */
export function isPlaceholder(text: string): boolean {
  return wholeWords.has(text.toLowerCase()) || templates.test(text) || new Set(text).size < 3;
}

/** 32 random bytes hold fewer than 16 different values once in more than 10^9 keys. */
const minDistinctBytes = 16;

function repeats(key: Uint8Array): boolean {
  for (let period = 1; period <= key.length / 2; period += 1) {
    if (key.every((byte, at) => at < period || byte === key[at - period])) return true;
  }
  return false;
}

function isSequence(key: Uint8Array): boolean {
  const step = ((key[1] ?? 0) - (key[0] ?? 0) + 256) % 256;
  return key.every((byte, at) => at === 0 || (byte - (key[at - 1] ?? 0) + 256) % 256 === step);
}

/** True for a key with a visible pattern: repeated, counting, or of few different bytes. */
export function isWeakKey(key: Uint8Array): boolean {
  return repeats(key) || isSequence(key) || new Set(key).size < minDistinctBytes;
}
