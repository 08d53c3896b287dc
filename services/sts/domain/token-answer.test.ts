import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTokenAnswer } from './token-answer.ts';

const good = { access_token: 'at', token_type: 'Bearer', expires_in: 60 };
const granted = (fields: object): unknown => readTokenAnswer(200, JSON.stringify({ ...good, ...fields }));

describe('the answer of a token endpoint', () => {
  it('grants what RFC 6749 §5.1 says, in the forms servers write it', () => {
    expect(granted({ refresh_token: 'rt', scope: 'a b' })).toEqual({
      kind: 'granted',
      tokens: { accessToken: 'at', refreshToken: 'rt', expiresInSeconds: 60, scopes: ['a', 'b'] },
    });
    expect(granted({ token_type: 'bearer', expires_in: '60' })).toMatchObject({ tokens: { expiresInSeconds: 60 } });
    expect(granted({ expires_in: undefined })).toMatchObject({ tokens: { expiresInSeconds: undefined } });
    expect(granted({ expires_in: 1e15 })).toMatchObject({ tokens: { expiresInSeconds: 315_360_000 } });
    expect(granted({ refresh_token: '' })).toMatchObject({ tokens: { refreshToken: undefined } });
  });

  it('grants no token that could not stand on one header line', () => {
    for (const access_token of ['', 'a b', 'a\r\nX: y', 'é', 'a'.repeat(8001), 5, null, {}]) {
      expect(granted({ access_token })).toEqual({ kind: 'unavailable', cause: 'malformed_answer' });
    }
    expect(granted({ refresh_token: 'a\nb' })).toEqual({ kind: 'unavailable', cause: 'malformed_answer' });
    for (const expires_in of [-1, 'soon', {}, true]) {
      expect(granted({ expires_in })).toEqual({ kind: 'unavailable', cause: 'malformed_answer' });
    }
  });

  it('uses no token of a type it does not know (RFC 6749 §7.1)', () => {
    for (const token_type of ['DPoP', 'mac', '', undefined]) {
      expect(granted({ token_type })).toEqual({ kind: 'refused', error: 'unsupported_token_type' });
    }
  });

  it('repeats no word of the provider’s that is not one of the RFC', () => {
    const refused = (status: number, error: unknown): unknown => readTokenAnswer(status, JSON.stringify({ error }));
    expect(refused(400, 'invalid_grant')).toEqual({ kind: 'refused', error: 'invalid_grant' });
    expect(refused(200, 'bad_verification_code')).toEqual({ kind: 'refused', error: 'refused' });
    expect(refused(400, 'your token at-123 is wrong')).toEqual({ kind: 'refused', error: 'refused' });
    expect(readTokenAnswer(401, '<html>')).toEqual({ kind: 'refused', error: 'refused' });
  });

  it('tells an outage from a refusal', () => {
    for (const status of [429, 500, 502, 503]) {
      expect(readTokenAnswer(status, '{"error":"invalid_grant"}')).toMatchObject({ kind: 'unavailable' });
    }
    for (const status of [204, 301, 307, 404])
      expect(readTokenAnswer(status, '')).toMatchObject({ kind: 'unavailable' });
  });

  it('never throws, and never says more than its own words', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), fc.oneof(fc.string(), fc.json()), (status, text) => {
        const answer = readTokenAnswer(status, text);
        if (answer.kind === 'refused') expect(answer.error).toMatch(/^[a-z_]+$/);
        if (answer.kind === 'unavailable') expect(answer.cause).toMatch(/^(malformed_answer|status_\d+)$/);
      }),
      { numRuns: 500 },
    );
  });
});
