import { generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import { ManualClock } from '#mesh/time';
import type { SubjectIssuer } from '../../domain/subject-issuer.ts';
import type { EgressOutcome } from '../../ports/egress.ts';
import { openIdTokens } from './open-id-tokens.ts';

const issuer: SubjectIssuer = {
  id: '01900000-0000-7000-8000-00000000bbbb',
  zoneId: 'z',
  issuer: 'https://login.test',
  jwksUrl: 'https://login.test/keys',
  audience: 'caracal',
  algorithms: ['ES256', 'RS256'],
  claims: {},
  mayAct: 'none',
  version: 1,
};

interface Signer {
  readonly kid: string;
  readonly alg: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

function signer(kid: string, alg: 'ES256' | 'ES384' | 'RS256'): Signer {
  if (alg === 'RS256') return { kid, alg, ...generateKeyPairSync('rsa', { modulusLength: 2048 }) };
  return { kid, alg, ...generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' }) };
}

const encoded = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function tokenOf(by: Signer, header: object = {}, payload: unknown = { iss: issuer.issuer }): string {
  const input = `${encoded({ alg: by.alg, kid: by.kid, ...header })}.${encoded(payload)}`;
  const hash = by.alg === 'ES384' ? 'sha384' : 'sha256';
  return `${input}.${sign(hash, Buffer.from(input), { key: by.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** An issuer whose answers can be changed; counts how often it was asked. */
function setUp(keys: readonly Signer[]) {
  const clock = new ManualClock();
  const world = { keys: [...keys], asked: 0, answer: undefined as EgressOutcome | undefined };
  const set = (): string =>
    JSON.stringify({
      keys: world.keys.map(({ kid, alg, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg })),
    });
  const idTokens = openIdTokens({
    clock,
    egress: {
      async request() {
        world.asked += 1;
        return world.answer ?? { kind: 'answered', status: 200, mediaType: 'application/json', text: set() };
      },
    },
  });
  const verdict = async (token: string, of = issuer): Promise<string> => {
    try {
      const verified = await idTokens.verify(token, of);
      return verified.kind === 'genuine' ? 'genuine' : verified.cause;
    } catch (error) {
      if (error instanceof Failure) return `${error.reason} ${error.privateDetail ?? ''}`.trim();
      throw error;
    }
  };
  return { clock, world, verdict };
}

const ec = signer('ec', 'ES256');
const rsa = signer('rsa', 'RS256');
const strong = signer('strong', 'ES384');
const away: EgressOutcome = { kind: 'failed', fault: 'unreachable' };

describe('the signature of an id token', () => {
  it('is taken by the algorithms of the registration, never by the header\u2019s choice', async () => {
    const { verdict } = setUp([ec, rsa, strong]);
    expect(await verdict(tokenOf(ec))).toBe('genuine');
    expect(await verdict(tokenOf(rsa))).toBe('genuine');
    expect(await verdict(tokenOf(strong))).toBe('err_jose_alg_not_allowed');
    expect(await verdict(tokenOf(rsa), { ...issuer, algorithms: ['ES256'] })).toBe('err_jose_alg_not_allowed');
    expect(await verdict(`${encoded({ alg: 'none' })}.${encoded({})}.`)).toBe('err_jose_alg_not_allowed');
    // The public key as a shared secret: the oldest trick there is.
    expect(await verdict(tokenOf(ec, { alg: 'HS256' }))).toBe('err_jose_alg_not_allowed');
    expect(await verdict(tokenOf(rsa, { alg: 'ES256' }))).not.toBe('genuine');
  });

  it('is that of the issuer\u2019s own keys, whatever the header brings', async () => {
    const { verdict } = setUp([ec]);
    const other = signer('ec', 'ES256');
    const jwk = other.publicKey.export({ format: 'jwk' });
    expect(await verdict(tokenOf(other))).toBe('err_jws_signature_verification_failed');
    for (const header of [{ jwk }, { jku: 'https://evil.test/keys' }, { x5u: 'https://evil.test/chain' }]) {
      expect(await verdict(tokenOf(other, header))).toBe('err_jws_signature_verification_failed');
    }
    expect(await verdict(tokenOf(ec, { crit: ['x'], x: 1 }))).not.toBe('genuine');
    expect(await verdict(tokenOf(ec).replace(/\.[^.]+$/, '.AAAA'))).toBe('err_jws_signature_verification_failed');
  });

  it('is by any of the keys that fit when it names none', async () => {
    const second = signer('second', 'ES256');
    const { verdict } = setUp([ec, second, rsa]);
    expect(await verdict(tokenOf(ec, { kid: undefined }))).toBe('genuine');
    expect(await verdict(tokenOf(second, { kid: undefined }))).toBe('genuine');
    const other = signer('ec', 'ES256');
    expect(await verdict(tokenOf(other, { kid: undefined }))).toBe('err_jws_signature_verification_failed');
  });

  it('is of nothing else than an id token', async () => {
    const { verdict } = setUp([ec]);
    expect(await verdict(tokenOf(ec, { typ: 'JWT' }))).toBe('genuine');
    for (const typ of ['at+jwt', 'dpop+jwt', 'client-authentication+jwt', 'logout+jwt']) {
      expect(await verdict(tokenOf(ec, { typ }))).toBe('wrong_type');
    }
    for (const payload of ['[]', '"x"', '{"a":1,"a":2}', 'not json']) {
      expect(await verdict(tokenOf(ec, {}, payload))).toBe('malformed_id_token');
    }
    for (const junk of ['', 'a.b.c', '...', '{}']) expect(await verdict(junk)).toMatch(/^err_jws/);
  });
});

describe('the keys of an issuer', () => {
  it('are read once in ten minutes, and by one reader for all who wait', async () => {
    const { clock, world, verdict } = setUp([ec]);
    await Promise.all(Array.from({ length: 20 }, async () => verdict(tokenOf(ec))));
    await clock.advance(599_000);
    expect(await verdict(tokenOf(ec))).toBe('genuine');
    expect(world.asked).toBe(1);
    await clock.advance(1000);
    await verdict(tokenOf(ec));
    expect(world.asked).toBe(2);
  });

  it('are read anew for a key nobody knows, and no more often than twice a minute', async () => {
    const { clock, world, verdict } = setUp([ec]);
    await verdict(tokenOf(ec));
    const next = signer('next', 'ES256');
    world.keys.push(next);
    await clock.advance(30_000);
    expect(await verdict(tokenOf(next))).toBe('genuine');
    expect(world.asked).toBe(2);
    for (let tries = 0; tries < 50; tries += 1) {
      expect(await verdict(tokenOf(signer(`made up ${tries}`, 'ES256')))).toBe('err_jwks_no_matching_key');
    }
    expect(world.asked).toBe(2);
  });

  it('are served stale while the issuer is away, and not for ever', async () => {
    const { clock, world, verdict } = setUp([ec]);
    await verdict(tokenOf(ec));
    world.answer = away;
    await clock.advance(20 * 60_000);
    expect(await verdict(tokenOf(ec))).toBe('genuine');
    await clock.advance(40 * 60_000);
    expect(await verdict(tokenOf(ec))).toBe('issuer_unavailable jwks_unreachable');
    expect(await verdict(tokenOf(ec))).toBe('issuer_unavailable jwks_just_failed');
    world.answer = undefined;
    await clock.advance(5000);
    expect(await verdict(tokenOf(ec))).toBe('genuine');
  });

  it.each([
    ['is elsewhere', { kind: 'answered', status: 302, mediaType: '', text: '' }],
    ['is an error', { kind: 'answered', status: 500, mediaType: '', text: '' }],
    ['is no JSON', { kind: 'answered', status: 200, mediaType: '', text: '<html>' }],
    ['is no set', { kind: 'answered', status: 200, mediaType: '', text: '{"keys":{}}' }],
    ['is endless', { kind: 'answered', status: 200, mediaType: '', text: `{"keys":[${'{},'.repeat(200)}{}]}` }],
    ['is too large', { kind: 'failed', fault: 'too_large' }],
    ['may not be dialled', { kind: 'failed', fault: 'not_allowed', rule: 'loopback' }],
  ] as const)('that the answer %s are none', async (_, answer) => {
    const { world, verdict } = setUp([ec]);
    world.answer = answer;
    expect(await verdict(tokenOf(ec))).toMatch(/^issuer_unavailable/);
  });

  it('at another address are other keys', async () => {
    const { world, verdict } = setUp([ec]);
    await verdict(tokenOf(ec));
    world.keys = [];
    expect(await verdict(tokenOf(ec), { ...issuer, jwksUrl: 'https://login.test/new' })).toBe(
      'err_jwks_no_matching_key',
    );
  });
});
