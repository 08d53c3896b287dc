// Which errors mean that the store is away, and which mean that the same transaction may run again.
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { fail } from '#mesh/failure';
import { isRetryable, isUnavailable, translated, violatedReference, violatedUnique } from './errors.ts';

function databaseError(code: string, constraint?: string): pg.DatabaseError {
  const error = new pg.DatabaseError('as the server says it', 0, 'error');
  error.code = code;
  error.constraint = constraint;
  return error;
}

describe('an error of the database', () => {
  test.each(['40001', '40P01'])('%s may run again, and is an outage only when it never ends', (code) => {
    expect(isRetryable(databaseError(code))).toBe(true);
    expect(isUnavailable(databaseError(code))).toBe(false);
    expect(translated(databaseError(code))).toMatchObject({ reason: 'store_unavailable' });
  });

  test.each(['08006', '53300', '57P01', '57P03', '57014', '55P03', '28P01'])(
    '%s is an outage and never runs again',
    (code) => {
      expect(isRetryable(databaseError(code))).toBe(false);
      expect(translated(databaseError(code))).toMatchObject({ reason: 'store_unavailable' });
    },
  );

  test.each(['23505', '42501', '22P02', '42P01'])('%s stays what it is', (code) => {
    const error = databaseError(code);
    expect(isRetryable(error)).toBe(false);
    expect(translated(error)).toBe(error);
  });

  test.each(['ECONNREFUSED', 'ECONNRESET', 'EAI_AGAIN'])('a socket that says %s is an outage', (code) => {
    const error = Object.assign(new Error('connect'), { code });
    expect(isUnavailable(error)).toBe(true);
    expect(isUnavailable(new AggregateError([error], 'all addresses'))).toBe(true);
  });

  test.each(['Connection terminated unexpectedly', 'timeout exceeded when trying to connect', 'Query read timeout'])(
    'a driver that says "%s" is an outage',
    (sentence) => {
      expect(isUnavailable(new Error(sentence))).toBe(true);
    },
  );

  test('names the constraint that refused a row, of its own kind only', () => {
    expect(violatedUnique(databaseError('23505', 'zones_slug_key'))).toBe('zones_slug_key');
    expect(violatedUnique(databaseError('23503', 'some_fkey'))).toBeUndefined();
    expect(violatedReference(databaseError('23503', 'some_fkey'))).toBe('some_fkey');
    expect(violatedReference(new Error('no database'))).toBeUndefined();
  });

  test('that is a failure already keeps its reason, and tells the public nothing of the server', () => {
    const failure = fail('conflict');
    expect(translated(failure)).toBe(failure);
    expect(translated(databaseError('08006'))).toMatchObject({ description: 'The store is not available.' });
  });
});
