// The twelve checks of RFC 9449 §4.3, one by one, and the known answers of the standards.
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { NOW_MS, NOW_SECONDS } from '#test/mandates';
import { forgeProof, holderKey, makeProof, type ProofParts } from '#test/proofs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accessTokenHash, jwkThumbprint, verifyDpopProof, type ProofRequest } from './index.ts';

const key = holderKey();
const url = 'https://sts.example/oauth/2/token';
const nonces = new Map([['good', NOW_MS - 10_000]]);

function asked(overrides: Partial<ProofRequest> = {}): ProofRequest {
  return {
    method: 'POST',
    uris: [url],
    nowMs: NOW_MS,
    nonceIssuedAtMs: (nonce) => nonces.get(nonce),
    nonceLifeMs: 60_000,
    graceMs: 0,
    requireNonce: false,
    ...overrides,
  };
}

const proof = (parts: Partial<ProofParts> = {}): string => makeProof({ key, url, iat: NOW_SECONDS, ...parts });
const outcome = (text: string, request: Partial<ProofRequest> = {}): string => {
  const verdict = verifyDpopProof(text, asked(request));
  return verdict.kind === 'proven' ? 'proven' : verdict.cause;
};

describe('known answers', () => {
  it('takes the thumbprint of RFC 9449 §6.1', () => {
    const jwk = {
      kty: 'EC',
      x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
      y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
      crv: 'P-256',
    };
    expect(jwkThumbprint(jwk)).toBe('0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I');
  });

  it('takes the thumbprint of RFC 7638 §3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
    expect(jwkThumbprint({ kty: 'RSA', n, e: 'AQAB', alg: 'RS256', kid: '2011-04-29' })).toBe(
      'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs',
    );
  });

  it('takes the token hash of RFC 9449 §7.1', () => {
    const token = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU';
    expect(accessTokenHash(token)).toBe('fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo');
  });

  it('accepts the proof of RFC 9449 §4.1', () => {
    const text =
      'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg';
    const request = asked({ uris: ['https://server.example.com/token'], nowMs: 1_562_262_616_000 });
    expect(verifyDpopProof(text, request)).toMatchObject({
      kind: 'proven',
      jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I',
    });
  });
});

describe('a proof that is right', () => {
  it.each(['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const)('proves its key with %s', (alg) => {
    const other = holderKey(alg);
    expect(verifyDpopProof(proof({ key: other }), asked())).toMatchObject({ kind: 'proven', jkt: other.jkt });
  });

  it('is right with what clients add to header, key and claims', () => {
    const header = {
      kid: 'mine',
      cty: 'x',
      jwk: { ...key.jwk, kid: 'k', use: 'sig', alg: 'ES256', key_ops: ['verify'] },
    };
    expect(outcome(proof({ header, claims: { iss: 'me', extra: { a: [1] }, exp: NOW_SECONDS + 30 } }))).toBe('proven');
  });

  it('has an id of its own for each jti and key, however long the jti', () => {
    const idOf = (claims: Record<string, unknown>, by = key): string => {
      const verdict = verifyDpopProof(proof({ key: by, claims }), asked());
      return verdict.kind === 'proven' ? verdict.replayId : '';
    };
    const ids = [
      idOf({ jti: 'a' }),
      idOf({ jti: 'b' }),
      idOf({ jti: 'a'.repeat(256) }),
      idOf({ jti: 'a' }, holderKey()),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(ids.every((id) => id.length === 43)).toBe(true);
    expect(idOf({ jti: 'a' })).toBe(ids[0]);
  });
});

describe('form', () => {
  it('refuses what is not one compact JWS of bounded size', () => {
    const right = proof();
    const [header = '', payload = '', signature = ''] = right.split('.');
    const wrong = [
      '',
      '.',
      '..',
      right.slice(0, -1),
      `${right}=`,
      `${right}.`,
      `${right}.${signature}`,
      `${right}, ${right}`,
      `${right},${right}`,
      ` ${right}`,
      `${header}.${payload}.`,
      `${header}..${signature}`,
      proof({ claims: { pad: 'x'.repeat(8192) } }),
    ];
    for (const text of wrong) expect([text.slice(0, 20), outcome(text)]).toEqual([text.slice(0, 20), 'malformed']);
  });

  it('refuses a claim or header that stands twice, nests deep, or is not an object', () => {
    const header = JSON.stringify({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk });
    const payload = { jti: 'a', htm: 'POST', htu: url, iat: NOW_SECONDS };
    const claims = JSON.stringify(payload);
    const nested = `{"jti":"a","htm":"POST","htu":"${url}","iat":${NOW_SECONDS},"x":${'['.repeat(40)}${']'.repeat(40)}}`;
    const doubled = claims.replace('{', '{"htm":"GET",');
    const twoKeys = header.replace('{', `{"jwk":${JSON.stringify(holderKey().jwk)},`);
    expect(verifyDpopProof(forgeProof(header, claims, key), asked()).kind).toBe('proven');
    for (const [first, second] of [
      [header, doubled],
      [header, nested],
      [twoKeys, claims],
      [header, '[]'],
      ['"x"', claims],
      [header, 'null'],
    ] as const) {
      expect(outcome(forgeProof(first, second, key))).toBe('malformed');
    }
  });

  it.each(['jti', 'htm', 'htu', 'iat'])('refuses a proof without %s, or with one of another type', (name) => {
    for (const value of [undefined, null, {}, [], true, name === 'iat' ? '1' : 1, name === 'iat' ? -1 : '']) {
      expect(outcome(proof({ claims: { [name]: value } }))).toBe('malformed');
    }
  });

  it('refuses optional claims of another type, and a jti beyond its bound', () => {
    for (const claims of [{ nonce: 1 }, { ath: {} }, { exp: 'soon' }, { nbf: [] }, { jti: 'x'.repeat(257) }]) {
      expect(outcome(proof({ claims }))).toBe('malformed');
    }
  });

  it('refuses every other type', () => {
    for (const typ of [undefined, 'JWT', 'at+jwt', 'DPOP+JWT', 'application/dpop+jwt', 1]) {
      expect(outcome(proof({ header: { typ } }))).toBe('wrong_type');
    }
  });
});

describe('algorithm and key', () => {
  it('refuses no signature, keyed hashes and names it does not know', () => {
    for (const alg of ['none', 'None', 'HS256', 'HS512', 'ES256K', 'ES512', 'RSA1_5', 'es256', '', undefined, 1]) {
      expect(outcome(proof({ header: { alg } }))).toBe('unsupported_algorithm');
    }
  });

  it('refuses a keyed hash under the public key, whatever algorithm the header names', () => {
    for (const alg of ['HS256', 'ES256']) {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const claims = { jti: 'a', htm: 'POST', htu: url, iat: NOW_SECONDS };
      const input = `${part({ typ: 'dpop+jwt', alg, jwk: key.jwk })}.${part(claims)}`;
      const mac = createHmac('sha256', JSON.stringify(key.jwk)).update(input).digest('base64url');
      expect(outcome(`${input}.${mac}`)).not.toBe('proven');
    }
  });

  it('refuses a key with a private or symmetric part', () => {
    const secret = key.privateKey.export({ format: 'jwk' }) as Record<string, unknown>;
    for (const jwk of [secret, { ...key.jwk, k: 'c2VjcmV0' }, { ...key.jwk, d: null }, { ...key.jwk, oth: [] }]) {
      expect(outcome(proof({ header: { jwk } }))).toBe('unsuitable_key');
    }
    expect(outcome(proof({ header: { jwk: { kty: 'oct', k: 'c2VjcmV0' } } }))).toBe('unsuitable_key');
  });

  it('refuses a key of another kind or curve than the algorithm’s', () => {
    const [p384, rsa, okp] = [holderKey('ES384'), holderKey('RS256'), holderKey('EdDSA')];
    for (const jwk of [p384.jwk, rsa.jwk, okp.jwk, { ...key.jwk, crv: 'P-384' }, { ...key.jwk, crv: 'secp256k1' }]) {
      expect(outcome(proof({ header: { jwk } }))).toBe('unsuitable_key');
    }
    expect(outcome(proof({ header: { alg: 'RS256' } }))).toBe('unsuitable_key');
    expect(outcome(proof({ key: rsa, header: { alg: 'PS256' } }))).toBe('bad_signature');
  });

  it('refuses a point that is not on the curve, and coordinates of another length or spelling', () => {
    const { x, y } = key.jwk as { x: string; y: string };
    const zero = Buffer.alloc(32).toString('base64url');
    for (const jwk of [
      { ...key.jwk, y: x },
      { ...key.jwk, x: zero, y: zero },
      { ...key.jwk, x: `${x}=` },
      { ...key.jwk, x: Buffer.concat([Buffer.alloc(1), Buffer.from(x, 'base64url')]).toString('base64url') },
      { ...key.jwk, y: Buffer.from(y, 'base64url').subarray(1).toString('base64url') },
      { kty: 'EC', crv: 'P-256', x },
      { ...key.jwk, x: 1 },
    ]) {
      expect(outcome(proof({ header: { jwk } }))).toBe('unsuitable_key');
    }
  });

  it('refuses RSA keys that are short, long, oddly spelled or of another exponent', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
    const { jwk } = holderKey('RS256');
    const modulus = Buffer.from(String(jwk['n']), 'base64url');
    const padded = Buffer.concat([Buffer.alloc(1), modulus]).toString('base64url');
    const huge = Buffer.concat([modulus, modulus, modulus]).toString('base64url');
    for (const wrong of [
      small,
      { ...jwk, n: padded },
      { ...jwk, n: huge },
      { ...jwk, e: 'Aw' },
      { ...jwk, e: 'AAEAAQ' },
    ]) {
      expect(outcome(proof({ header: { alg: 'RS256', jwk: wrong } }))).toBe('unsuitable_key');
    }
  });

  it('refuses a key that says it is for something else, and headers that would name another one', () => {
    for (const more of [{ use: 'enc' }, { alg: 'ES384' }, { key_ops: ['sign'] }, { key_ops: 'verify' }]) {
      expect(outcome(proof({ header: { jwk: { ...key.jwk, ...more } } }))).toBe('unsuitable_key');
    }
    for (const header of [{ jku: 'https://a.example' }, { x5u: 'x' }, { x5c: [] }, { crit: [] }, { b64: false }]) {
      expect(outcome(proof({ header }))).toBe('unsuitable_key');
    }
    for (const jwk of [undefined, null, 'x', [], 1]) {
      expect(outcome(proof({ header: { jwk } }))).toBe('unsuitable_key');
    }
  });

  it('refuses a proof signed by another key than it carries, or changed after it was signed', () => {
    expect(outcome(proof({ header: { jwk: holderKey().jwk } }))).toBe('bad_signature');
    const [header, , signature] = proof().split('.');
    const [, payload] = proof().split('.');
    expect(outcome(`${header}.${payload}.${signature}`)).toBe('bad_signature');
    expect(outcome(`${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`)).toBe('bad_signature');
  });
});

describe('request', () => {
  it('refuses another method, case included', () => {
    expect(outcome(proof({ method: 'GET' }))).toBe('wrong_method');
    expect(outcome(proof({ method: 'post' }))).toBe('wrong_method');
  });

  it('refuses another address, and one with query, fragment or user', () => {
    for (const other of [
      'https://sts.example/oauth/2/token/',
      'https://sts.example/oauth/2/Token',
      'https://sts.example:8443/oauth/2/token',
      'http://sts.example/oauth/2/token',
      'https://evil.example/oauth/2/token',
      `${url}?a=1`,
      `${url}#a`,
      `${url}?`,
      'https://user@sts.example/oauth/2/token',
      '/oauth/2/token',
      'sts.example/oauth/2/token',
    ]) {
      expect([other, outcome(proof({ url: other }))]).toEqual([other, 'wrong_uri']);
    }
    expect(outcome(proof(), { uris: [] })).toBe('wrong_uri');
  });

  it('takes another spelling of the same address', () => {
    for (const same of ['HTTPS://STS.example:443/oauth/2/token', 'https://sts.example:/oauth/2/%74oken']) {
      expect(outcome(proof({ url: same }))).toBe('proven');
    }
  });

  it('wants the hash of the token it came with', () => {
    const accessToken = 'the.very.token';
    expect(outcome(proof({ accessToken }), { accessToken })).toBe('proven');
    expect(outcome(proof(), { accessToken })).toBe('wrong_token');
    expect(outcome(proof({ accessToken: 'another' }), { accessToken })).toBe('wrong_token');
    expect(outcome(proof({ accessToken: 'another' }))).toBe('proven');
  });
});

describe('time', () => {
  it('takes a clock that is wrong by less than a minute, and asks others for a nonce', () => {
    for (const [offset, expected] of [
      [-59, 'proven'],
      [59, 'proven'],
      [-60, 'clock'],
      [60, 'clock'],
      [-86_400, 'clock'],
    ] as const) {
      expect([offset, outcome(proof({ iat: NOW_SECONDS + offset }))]).toEqual([offset, expected]);
    }
  });

  it('takes any clock with a good nonce, and nothing with another', () => {
    for (const iat of [NOW_SECONDS, NOW_SECONDS - 86_400, NOW_SECONDS + 86_400]) {
      expect(outcome(proof({ iat, nonce: 'good' }))).toBe('proven');
      expect(outcome(proof({ iat, nonce: 'other' }))).toBe('nonce_not_good');
    }
  });

  it('asks for a nonce where one is required', () => {
    expect(outcome(proof(), { requireNonce: true })).toBe('nonce_missing');
    expect(outcome(proof({ nonce: 'good' }), { requireNonce: true })).toBe('proven');
  });

  it('honours the times a client adds', () => {
    expect(outcome(proof({ claims: { exp: NOW_SECONDS } }))).toBe('expired');
    expect(outcome(proof({ claims: { nbf: NOW_SECONDS + 120 } }))).toBe('expired');
    expect(outcome(proof({ claims: { nbf: NOW_SECONDS + 5 } }))).toBe('proven');
  });

  it('gives a little more to a proof that another service has just taken', () => {
    expect(outcome(proof({ iat: NOW_SECONDS - 65 }), { graceMs: 10_000 })).toBe('proven');
    expect(outcome(proof({ iat: NOW_SECONDS - 75 }), { graceMs: 10_000 })).toBe('clock');
  });

  it('says from when to when it can be accepted, so that a mark outlives it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -200, max: 200 }),
        fc.integer({ min: -300_000, max: 300_000 }),
        (offset, laterMs) => {
          const text = proof({ iat: NOW_SECONDS + offset });
          const first = verifyDpopProof(text, asked());
          const again = verifyDpopProof(text, asked({ nowMs: NOW_MS + laterMs }));
          if (first.kind !== 'proven' || again.kind !== 'proven') return;
          expect(NOW_MS + laterMs).toBeLessThan(first.acceptableUntilMs);
          expect(NOW_MS + laterMs).toBeGreaterThanOrEqual(first.acceptableFromMs);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('whatever comes', () => {
  it('is judged without throwing, and never proven when one character differs', () => {
    const right = proof();
    fc.assert(
      fc.property(
        fc.nat(right.length - 1),
        fc.constantFrom('A', 'z', '0', '-', '_', '.', '=', ' ', 'é'),
        (at, character) => {
          fc.pre(right[at] !== character);
          expect(verifyDpopProof(right.slice(0, at) + character + right.slice(at + 1), asked()).kind).not.toBe(
            'proven',
          );
        },
      ),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (text) => {
        expect(verifyDpopProof(text, asked()).kind).toBe('refused');
      }),
    );
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        (header, claims) => {
          expect(verifyDpopProof(proof({ header, claims }), asked()).kind).toBeDefined();
        },
      ),
    );
  });
});
