import { describe, expect, test } from 'vitest';
import { Failure, asFailure, catalogue, fail } from './index.ts';

describe('a failure', () => {
  test('says the public sentence of its reason unless given another', () => {
    expect(fail('not_found').description).toBe(catalogue.not_found.sentence);
    expect(fail('not_found', { description: 'No zone has this name.' }).description).toBe('No zone has this name.');
    expect(fail('conflict').entry).toBe(catalogue.conflict);
  });

  test('keeps private detail out of what is public', () => {
    const failure = fail('store_unavailable', {
      privateDetail: 'pool db-7 is empty',
      cause: new Error('ECONNREFUSED'),
    });
    expect(failure.message).toBe('store_unavailable: pool db-7 is empty');
    expect(JSON.stringify([failure.description, failure.details, failure.fields])).not.toContain('db-7');
    expect(failure.cause).toBeInstanceOf(Error);
  });

  test('carries at most the 32 field violations the wire promises', () => {
    const fields = Array.from({ length: 100 }, (_, at) => ({ path: `scopes[${at}]`, rule: 'a scope token' }));
    expect(fail('invalid_request', { fields }).fields).toHaveLength(32);
  });

  test('has no cause when none was given', () => {
    expect('cause' in fail('conflict')).toBe(false);
  });
});

describe('turning errors into failures', () => {
  test('leaves a failure as it is', () => {
    const failure = fail('rate_limited', { retryAfterMs: 1500 });
    expect(asFailure(failure)).toBe(failure);
  });

  test('makes internal_error of anything unlisted and shows nothing of it', () => {
    for (const thrown of [new TypeError('secret in message'), 'secret', undefined, { reason: 'conflict' }]) {
      const failure = asFailure(thrown);
      expect(failure).toBeInstanceOf(Failure);
      expect(failure.reason).toBe('internal_error');
      expect(failure.description).toBe(catalogue.internal_error.sentence);
      expect(failure.cause).toBe(thrown);
    }
  });

  test('takes the reason an error of a lower library names, and only one of the catalogue', () => {
    const named = Object.assign(new Error('The document was refused.'), { failureReason: 'invalid_request' });
    expect(asFailure(named)).toMatchObject({ reason: 'invalid_request', description: 'The document was refused.' });
    const unknown = Object.assign(new Error('x'), { failureReason: 'constructor' });
    expect(asFailure(unknown).reason).toBe('internal_error');
  });
});
