import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { judgeAssertion, keyFor, maxLifeSeconds, parseAssertion } from './client-assertion.ts';

const issuer = 'https://sts.test';
const clientId = 'app-1';
const nowSeconds = 1_800_000_000;
const expected = { issuer, clientId, nowMs: nowSeconds * 1000 };

function part(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

const goodHeader = { alg: 'ES256', kid: 'k1' };
const goodClaims = { iss: clientId, sub: clientId, aud: issuer, exp: nowSeconds + 60, iat: nowSeconds, jti: 'one' };

function assertion(claims: unknown = goodClaims, header: unknown = goodHeader): string {
  return `${part(header)}.${part(claims)}.c2ln`;
}

function judge(claims: JsonObject) {
  const parsed = parseAssertion(assertion(claims));
  if (!parsed) throw new Error('unparsed');
  return judgeAssertion(parsed, expected);
}

describe('reading an assertion', () => {
  it.each(['none', 'HS256', 'HS512', 'ES256K', 'RS1', 'A128KW', 'dir', '', 'es256', '__proto__', 'constructor'])(
    'refuses the algorithm %j',
    (alg) => {
      expect(parseAssertion(assertion(goodClaims, { alg }))).toBeUndefined();
    },
  );

  it.each(['JWT', 'jwt', 'client-authentication+jwt', 'application/client-authentication+jwt', undefined])(
    'bears the type %j',
    (typ) => {
      expect(parseAssertion(assertion(goodClaims, { ...goodHeader, typ }))).toBeDefined();
    },
  );

  it.each(['dpop+jwt', 'at+jwt', 'logout+jwt', 7, null, ['JWT']])('refuses the type %j', (typ) => {
    expect(parseAssertion(assertion(goodClaims, { ...goodHeader, typ }))).toBeUndefined();
  });

  it('refuses extensions it does not understand', () => {
    expect(parseAssertion(assertion(goodClaims, { ...goodHeader, crit: ['b64'], b64: false }))).toBeUndefined();
  });

  it('refuses claims that two readers could understand differently', () => {
    const twice = `{"iss":"${clientId}","sub":"${clientId}","sub":"other","aud":"${issuer}"}`;
    expect(parseAssertion(assertion(twice))).toBeUndefined();
    expect(parseAssertion(assertion(goodClaims, '{"alg":"ES256","alg":"none"}'))).toBeUndefined();
  });

  it('refuses parts that are large or deep, and any other number of parts', () => {
    expect(parseAssertion(assertion({ ...goodClaims, x: 'a'.repeat(5000) }))).toBeUndefined();
    expect(parseAssertion(assertion(`{"x":${'['.repeat(50)}${']'.repeat(50)}}`))).toBeUndefined();
    expect(parseAssertion(`${assertion()}.more`)).toBeUndefined();
    expect(parseAssertion(part(goodHeader))).toBeUndefined();
  });

  it('survives any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseAssertion(text)));
    fc.assert(
      fc.property(fc.json(), fc.json(), (header, claims) => {
        const parsed = parseAssertion(`${part(header)}.${part(claims)}.c2ln`);
        if (parsed) judgeAssertion(parsed, expected);
      }),
    );
  });
});

describe('the audience (RFC 10070)', () => {
  it('is the issuer, alone or as the one element of an array', () => {
    expect(judge({ ...goodClaims, aud: issuer }).kind).toBe('accepted');
    expect(judge({ ...goodClaims, aud: [issuer] }).kind).toBe('accepted');
  });

  it.each([
    [`${issuer}/oauth/2/token`],
    [`${issuer}/`],
    ['HTTPS://sts.test'],
    [[issuer, `${issuer}/oauth/2/token`]],
    [[issuer, issuer]],
    [[]],
    [[[issuer]]],
    [{ 0: issuer, length: 1 }],
    [null],
    [''],
  ])('is not %j', (aud) => {
    expect(judge({ ...goodClaims, aud })).toEqual({
      kind: 'refused',
      cause: 'assertion_for_another_audience',
    });
  });
});

describe('who speaks', () => {
  it.each([{ iss: 'app-2' }, { sub: 'app-2' }, { iss: 'app-2', sub: 'app-2' }, { iss: [clientId] }])(
    'must be the client itself, not %j',
    (change) => {
      expect(judge({ ...goodClaims, ...change })).toMatchObject({ cause: 'assertion_of_another_client' });
    },
  );
});

describe('time', () => {
  it.each([
    ['assertion_without_exp', { exp: undefined }],
    ['assertion_without_exp', { exp: String(nowSeconds + 60) }],
    ['assertion_expired', { exp: nowSeconds - 60 }],
    ['assertion_lives_too_long', { exp: nowSeconds + maxLifeSeconds + 61, iat: undefined }],
    ['assertion_lives_too_long', { exp: nowSeconds + 60, iat: nowSeconds - maxLifeSeconds }],
    ['assertion_lives_too_long', { exp: 9e15 }],
    ['assertion_of_the_future', { iat: nowSeconds + 61 }],
    ['assertion_of_the_future', { nbf: nowSeconds + 61 }],
    ['assertion_with_malformed_time', { iat: 'now' }],
    ['assertion_with_malformed_time', { nbf: null }],
  ])('is %s for %j', (cause, change) => {
    const claims = JSON.parse(JSON.stringify({ ...goodClaims, ...change })) as JsonObject;
    expect(judge(claims)).toEqual({ kind: 'refused', cause });
  });

  it('forgives a minute of difference between clocks', () => {
    expect(judge({ ...goodClaims, exp: nowSeconds - 59, iat: nowSeconds - 100 }).kind).toBe('accepted');
    const ahead = { ...goodClaims, iat: nowSeconds + 60, nbf: nowSeconds + 60, exp: nowSeconds + 120 };
    expect(judge(ahead).kind).toBe('accepted');
  });

  it('is remembered for as long as the assertion could be shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: -59, max: maxLifeSeconds }), (life) => {
        const verdict = judge({ ...goodClaims, iat: undefined, exp: nowSeconds + life } as never);
        if (verdict.kind !== 'accepted') throw new Error(verdict.cause);
        const goneAtMs = expected.nowMs + verdict.ttlMs;
        const later = judgeAssertion(parseAssertion(assertion({ ...goodClaims, exp: nowSeconds + life }))!, {
          ...expected,
          nowMs: goneAtMs,
        });
        expect(later).toEqual({ kind: 'refused', cause: 'assertion_expired' });
        // Whatever its client's clock says: it was made before it could first be shown.
        expect(verdict.issuedAtMs).toBeLessThanOrEqual(expected.nowMs - 60_000);
      }),
    );
  });
});

describe('the jti', () => {
  it.each([undefined, '', 7, 'x'.repeat(513)])('must be a text of bounded length, not %j', (jti) => {
    const claims = JSON.parse(JSON.stringify({ ...goodClaims, jti })) as JsonObject;
    expect(judge(claims)).toEqual({ kind: 'refused', cause: 'assertion_without_jti' });
  });
});

describe('the key', () => {
  const ec = { kty: 'EC', crv: 'P-256', kid: 'k1' };
  const rsa = { kty: 'RSA', kid: 'k2' };
  const parsed = (header: object) => parseAssertion(assertion(goodClaims, header))!;

  it('is the one that the kid names', () => {
    const second = { ...ec, kid: 'k3' };
    expect(keyFor(parsed({ alg: 'ES256', kid: 'k3' }), [ec, second])).toBe(second);
    expect(keyFor(parsed({ alg: 'ES256', kid: 'k4' }), [ec, second])).toBeUndefined();
  });

  it('without a kid is the only one that fits, and nobody guesses between two', () => {
    expect(keyFor(parsed({ alg: 'ES256' }), [ec, rsa])).toBe(ec);
    expect(keyFor(parsed({ alg: 'ES256' }), [ec, { ...ec, kid: 'k3' }])).toBeUndefined();
  });

  it('never serves an algorithm it was not made for', () => {
    expect(keyFor(parsed({ alg: 'ES384', kid: 'k1' }), [ec])).toBeUndefined();
    expect(keyFor(parsed({ alg: 'RS256', kid: 'k1' }), [ec])).toBeUndefined();
    expect(keyFor(parsed({ alg: 'PS256', kid: 'k2' }), [{ ...rsa, alg: 'RS256' }])).toBeUndefined();
    expect(keyFor(parsed({ alg: 'ES256', kid: 'k1' }), [{ ...ec, use: 'enc' }])).toBeUndefined();
    expect(keyFor(parsed({ alg: 'ES256', kid: 'k1' }), [{ ...ec, key_ops: ['sign'] }])).toBeUndefined();
  });
});
