import { fail } from '#mesh/failure';
import { describe, expect, test } from 'vitest';
import { createLogger, isSecretName, redactText, silentLogger, type LogLevel } from './index.ts';

function capture(level: LogLevel = 'debug') {
  const lines: string[] = [];
  const logger = createLogger({ service: 'sts', level, replica: 'r1', write: (line) => lines.push(line) });
  const last = (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>;
  return { lines, logger, last };
}

const canary = 'CANARY-9f2b7c';
const jwt = `eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.${'s'.repeat(86)}`;

describe('a log line', () => {
  test('is one JSON object with level, time, service, replica, fields and message', () => {
    const { lines, logger, last } = capture();
    logger.info({ zoneId: 'z1', count: 3 }, 'ready');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
    expect(last()).toMatchObject({
      level: 'info',
      service: 'sts',
      replica: 'r1',
      zoneId: 'z1',
      count: 3,
      message: 'ready',
    });
    expect(last()['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test('is written from its level up', () => {
    const { lines, logger } = capture('warn');
    logger.debug({}, 'a');
    logger.info({}, 'b');
    logger.warn({}, 'c');
    logger.error({}, 'd');
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual(['c', 'd']);
  });

  test('carries what its logger was bound to', () => {
    const { logger, last } = capture();
    logger.child({ requestId: 'q1' }).child({ zoneId: 'z1' }).warn({ zoneId: 'z2' }, 'x');
    expect(last()).toMatchObject({ requestId: 'q1', zoneId: 'z2' });
  });

  test('cannot be forged by fields or text', () => {
    const { lines, logger, last } = capture();
    logger.info({ level: 'error', service: 'api', note: 'a\n{"level":"error"}' }, 'line\n{"message":"forged"}');
    expect(lines[0]?.trimEnd()).not.toContain('\n');
    expect(last()).toMatchObject({ level: 'info', service: 'sts', level_: 'error', service_: 'api' });
  });

  test('describes errors with their reason and their causes', () => {
    const { logger, last } = capture();
    const cause = Object.assign(new Error('connect refused'), { code: 'ECONNREFUSED' });
    logger.error({ error: fail('store_unavailable', { privateDetail: 'pool is empty', cause }) }, 'x');
    expect(last()['error']).toMatchObject({
      type: 'Failure',
      reason: 'store_unavailable',
      privateDetail: 'pool is empty',
      cause: { type: 'Error', message: 'connect refused', code: 'ECONNREFUSED' },
    });
  });

  test('stays bounded and never throws, whatever it is given', () => {
    const { lines, logger } = capture();
    const cycle: Record<string, unknown> = {
      big: 'x'.repeat(100_000),
      many: Array.from({ length: 1000 }, (_, at) => at),
    };
    cycle['self'] = cycle;
    const error = new Error('x');
    error.cause = error;
    const odd = { map: new Map([['a', 1]]), at: new Date(Number.NaN), bytes: Buffer.alloc(99), big: 10n, f: () => 1 };
    logger.info({ cycle, error, odd, nothing: undefined, symbol: Symbol('s') }, 'm'.repeat(10_000));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.length).toBeLessThan(200_000);
  });

  test('goes nowhere from the silent logger', () => {
    expect(silentLogger.child({ a: 1 })).toBe(silentLogger);
    silentLogger.error({}, 'x');
  });
});

describe('secrets', () => {
  test.each([
    'authorization',
    'Authorization',
    'proxy-authorization',
    'cookie',
    'Set-Cookie',
    'client_secret',
    'clientSecret',
    'csrfToken',
    'subject_token',
    'password',
    'apiKey',
    'x-api-key',
    'auditHmacKey',
    'STREAMS_HMAC_KEY_PREVIOUS',
    'zoneKek',
    'databaseUrl',
    'mandate',
    'DPoP',
  ])('are blacked out by the name %s, at any depth', (name) => {
    expect(isSecretName(name)).toBe(true);
    const { lines, logger } = capture();
    logger.info({ [name]: canary, deep: [{ headers: { [name]: [canary] } }] }, 'x');
    logger.child({ [name]: canary }).info({}, 'y');
    expect(lines.join('')).not.toContain(canary);
  });

  test.each(['tokenId', 'keyId', 'zoneId', 'scopes', 'secretless', 'jti', 'sid'])('are not what %s names', (name) => {
    expect(isSecretName(name)).toBe(false);
  });

  test.each([
    ['a mandate', jwt],
    ['a client secret', `csk_${'Aa0_-'.repeat(10)}`],
    ['an admin token', `cat_${'Aa0_-'.repeat(8)}`],
    ['a bearer', `Bearer ${canary}.abc`],
    ['basic credentials', 'Basic QWxhZGRpbjpvcGVuc2VzYW1l'],
    ['a DPoP credential', `DPoP ${canary}`],
    ['an address with a password', `postgres://caracal:${canary}@db:5432/x`],
    ['a password without a user', `redis://:${canary}@redis:6379`],
    ['a private key', `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`],
    ['half a private key', `-----BEGIN EC PRIVATE KEY-----\n${canary}`],
  ])('are blacked out by the look of %s, in messages, fields, names and errors', (_, text) => {
    const { lines, logger } = capture();
    logger.info({ note: `before ${text} after`, [text]: 1, list: [text] }, `said ${text}`);
    logger.error({ error: new Error(`failed with ${text}`, { cause: text }) }, 'x');
    const written = lines.join('');
    const secret = text.includes(canary) ? canary : text.slice(-30);
    expect(written).not.toContain(secret);
    expect(written).toContain('[redacted]');
  });

  test('in a text that is cut stay blacked out', () => {
    const text = `${'x'.repeat(4090)} ${jwt}`;
    expect(redactText(text)).not.toContain('eyJ');
    const address = `${'x'.repeat(4070)} postgres://caracal:${canary}@db`;
    expect(redactText(address)).not.toContain(canary.slice(0, 4));
    expect(redactText(text).length).toBeLessThan(4100);
    expect(redactText('plain words')).toBe('plain words');
  });
});
