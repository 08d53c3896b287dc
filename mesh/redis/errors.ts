// Tells the two ways a Redis command fails apart: nobody knows whether it ran, or Redis answered and refused it. Outbox
// attempts, journal and failure reasons hang on that difference.

/** Redis did not answer, lost the connection, or cannot take writes now. The command may or may not have run. */
export class RedisAway extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'RedisAway';
  }
}

/** Redis answered with an error that sending the same command again will not change. */
export class RedisRefused extends Error {
  /** The error's first word: WRONGTYPE, NOGROUP, NOSCRIPT, ERR … */
  readonly code: string;

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.name = 'RedisRefused';
    this.code = message.split(' ', 1)[0] ?? '';
  }
}

// Answers that describe the server's state and not the command: a replica, a restart, full memory, a failed save.
const PASSING = new Set([
  'LOADING',
  'READONLY',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'NOREPLICAS',
  'BUSY',
  'OOM',
  'MISCONF',
  'NOAUTH',
  'WRONGPASS',
]);

/** The one of the two that a driver's error is. */
export function readRedisError(error: unknown): RedisAway | RedisRefused {
  if (error instanceof RedisAway || error instanceof RedisRefused) return error;
  if (!(error instanceof Error)) return new RedisAway('redis failed', error);
  // ioredis names an error that the server sent ReplyError; everything else is the connection's.
  if (error.name !== 'ReplyError') return new RedisAway(error.message, error);
  const code = error.message.split(' ', 1)[0] ?? '';
  return PASSING.has(code) ? new RedisAway(error.message, error) : new RedisRefused(error.message, error);
}
