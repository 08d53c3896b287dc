// What a verifier accepts, what it refuses however well it is signed, and what it remembers.
import { createHmac, sign } from 'node:crypto';
import { ambientClaims, base64url, forge, ISSUER, keySource, NOW_MS, NOW_SECONDS, testKey, ZONE } from '#test/mandates';
import { Failure } from '#mesh/failure';
import { ManualClock } from '#mesh/time';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMandateVerifier, type KeySource, encodeMandate, type MandateClaims } from './index.ts';

const key = testKey();
const HEADER = JSON.stringify({ alg: 'ES256', kid: key.kid, typ: 'JWT' });
const payload = (overrides: Record<string, unknown> = {}): string =>
  JSON.stringify({ ...ambientClaims(), ...overrides });

function setUp(overrides: { readonly issuer?: string } = {}) {
  const clock = new ManualClock(NOW_MS);
  const keys = keySource([key]);
  return { clock, keys, verifier: createMandateVerifier({ issuer: overrides.issuer ?? ISSUER, keys, clock }) };
}

async function refusal(token: string, { verifier } = setUp()): Promise<string | undefined> {
  try {
    await verifier.verify(token);
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).reason).toBe('invalid_token');
    return (error as Failure).privateDetail;
  }
}

describe('a mandate that was signed by its zone', () => {
  it('verifies, and says what it claims', async () => {
    const claims = ambientClaims();
    const mandate = await setUp().verifier.verify(encodeMandate(claims, key));
    expect(mandate.claims).toEqual(claims);
    expect(mandate.kid).toBe(key.kid);
    expect(mandate.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it('verifies with every claim there is', async () => {
    const claims = ambientClaims({
      use: 'per_call',
      aud: ['resource://orders'],
      agent_session_id: 's-2',
      delegation_edge_id: 'e-1',
      source_session_id: 's-1',
      target_session_id: 's-2',
      delegation_path: ['e-1'],
      delegation_chain: [
        { app: 'app-0', session: 's-1', edge: 'e-1' },
        { app: 'app-1', session: 's-2' },
      ],
      hop_count: 1,
      delegation_graph_epoch: 4,
      act: { sub: 'app-1', act: { sub: 'app-0', client_id: 'app-0' } },
      may_act: { client_id: 'app-9' },
      cnf: { jkt: 'A'.repeat(43) },
      via: 'gateway',
    });
    expect((await setUp().verifier.verify(encodeMandate(claims, key))).claims).toEqual(claims);
  });

  it('is remembered: the second time costs neither key nor signature', async () => {
    const { verifier, keys } = setUp();
    const token = encodeMandate(ambientClaims(), key);
    const first = await verifier.verify(token);
    expect(await verifier.verify(token)).toBe(first);
    expect(verifier.recall(token)).toBe(first);
    expect(keys.asked).toHaveLength(1);
  });

  it('is forgotten with its zone', async () => {
    const { verifier, keys } = setUp();
    const token = encodeMandate(ambientClaims(), key);
    await verifier.verify(token);
    verifier.forgetZone(ZONE);
    expect(verifier.recall(token)).toBeUndefined();
    await verifier.verify(token);
    expect(keys.asked).toHaveLength(2);
  });

  it('is not remembered when its zone’s keys change while they are being looked up', async () => {
    const { clock } = setUp();
    const answer = Promise.withResolvers<undefined>();
    const slow: KeySource = {
      publicKey: async (zoneId, kid) => {
        const found = await keySource([key]).publicKey(zoneId, kid);
        await answer.promise;
        return found;
      },
    };
    const verifier = createMandateVerifier({ issuer: ISSUER, keys: slow, clock });
    const token = encodeMandate(ambientClaims(), key);
    for (const forget of [() => verifier.forgetZone(ZONE), () => verifier.forgetAll()]) {
      const verified = verifier.verify(token);
      forget();
      answer.resolve(undefined);
      await verified;
      expect(verifier.recall(token)).toBeUndefined();
    }
    await verifier.verify(token);
    expect(verifier.recall(token)).toBeDefined();
    verifier.forgetAll();
    expect(verifier.recall(token)).toBeUndefined();
  });

  it('is remembered no longer than it lives, leeway included', async () => {
    const setup = setUp();
    const token = encodeMandate(ambientClaims({ exp: NOW_SECONDS + 10 }), key);
    await setup.verifier.verify(token);
    await setup.clock.advance(14_999);
    expect(setup.verifier.recall(token)).toBeDefined();
    await setup.clock.advance(1);
    expect(setup.verifier.recall(token)).toBeUndefined();
    expect(await refusal(token, setup)).toBe('expired');
  });

  it('is verified anew after fifteen minutes, so that no key is believed longer', async () => {
    const { verifier, clock, keys } = setUp();
    const token = encodeMandate(ambientClaims({ exp: NOW_SECONDS + 3600 }), key);
    await verifier.verify(token);
    await clock.advance(15 * 60_000 - 1);
    expect(verifier.recall(token)).toBeDefined();
    await clock.advance(1);
    expect(verifier.recall(token)).toBeUndefined();
    await verifier.verify(token);
    expect(keys.asked).toHaveLength(2);
  });

  it('takes no more room than it was given', async () => {
    const clock = new ManualClock(NOW_MS);
    const verifier = createMandateVerifier({ issuer: ISSUER, keys: keySource([key]), clock, rememberedTokens: 3 });
    for (let rev = 0; rev < 10; rev += 1) await verifier.verify(encodeMandate(ambientClaims({ rev }), key));
    expect(verifier.size).toBe(3);
  });
});

describe('a hostile token is refused', () => {
  it.each([
    ['alg none', `${base64url('{"alg":"none","kid":"key-1","typ":"JWT"}')}.${base64url(payload())}.`],
    ['alg none with a signature', forge('{"alg":"none","kid":"key-1","typ":"JWT"}', payload(), key)],
    ['another spelling of the algorithm', forge('{"alg":"es256","kid":"key-1","typ":"JWT"}', payload(), key)],
    ['ES384 in the header', forge('{"alg":"ES384","kid":"key-1","typ":"JWT"}', payload(), key)],
    ['typ at+jwt', forge('{"alg":"ES256","kid":"key-1","typ":"at+jwt"}', payload(), key)],
    ['typ jwt in small letters', forge('{"alg":"ES256","kid":"key-1","typ":"jwt"}', payload(), key)],
    ['no typ', forge('{"alg":"ES256","kid":"key-1"}', payload(), key)],
    ['no kid', forge('{"alg":"ES256","typ":"JWT"}', payload(), key)],
    ['a kid that is no text', forge('{"alg":"ES256","kid":1,"typ":"JWT"}', payload(), key)],
    ['a kid that is a path', forge('{"alg":"ES256","kid":"../../key-1","typ":"JWT"}', payload(), key)],
    ['a kid with a quote in it', forge('{"alg":"ES256","kid":"key-1\' OR 1=1","typ":"JWT"}', payload(), key)],
    ['a kid given twice', forge('{"alg":"ES256","kid":"key-1","kid":"key-1","typ":"JWT"}', payload(), key)],
    ['an embedded jwk', forge('{"alg":"ES256","jwk":{},"kid":"key-1","typ":"JWT"}', payload(), key)],
    ['a jku', forge('{"alg":"ES256","jku":"https://evil.example","kid":"key-1","typ":"JWT"}', payload(), key)],
    ['an x5u', forge('{"alg":"ES256","kid":"key-1","typ":"JWT","x5u":"https://evil.example"}', payload(), key)],
    ['a critical extension', forge('{"alg":"ES256","crit":["exp"],"kid":"key-1","typ":"JWT"}', payload(), key)],
    ['a header that is a list', forge('["ES256"]', payload(), key)],
    ['claims given twice', forge(HEADER, payload().replace('{', '{"sub":"other",'), key)],
    ['a claim nobody defined', forge(HEADER, payload({ admin: true }), key)],
    ['a claim of another type', forge(HEADER, payload({ scope: ['orders:read'] }), key)],
    ['an audience that is no list', forge(HEADER, payload({ aud: ISSUER }), key)],
    ['an empty list', forge(HEADER, payload({ target: [] }), key)],
    ['an unknown class', forge(HEADER, payload({ use: 'session' }), key)],
    ['a fractional expiry', forge(HEADER, payload({ exp: NOW_SECONDS + 900.5 }), key)],
    ['an expiry beyond what numbers hold', forge(HEADER, payload().replace(/"exp":\d+/, '"exp":1e400'), key)],
    ['a negative rev', forge(HEADER, payload({ rev: -1 }), key)],
    ['no jti', forge(HEADER, payload({ jti: undefined }), key)],
    ['a jti that is no UUIDv7', forge(HEADER, payload({ jti: 'jti-1' }), key)],
    ['a life above the cap of its class', forge(HEADER, payload({ exp: NOW_SECONDS + 3_601 }), key)],
    ['a per_call life above its cap', forge(HEADER, payload({ use: 'per_call', exp: NOW_SECONDS + 901 }), key)],
    ['an expiry before its beginning', forge(HEADER, payload({ exp: NOW_SECONDS - 1 }), key)],
    ['a subject that reorders text', forge(HEADER, payload({ sub: 'app\u202e1' }), key)],
    ['a __proto__ member', forge(HEADER, payload().replace('{', '{"__proto__":{"use":"ambient"},'), key)],
    ['act within act without end', forge(HEADER, payload({ act: nested(11) }), key)],
    ['JSON nested without end', forge(HEADER, `${'['.repeat(2_000)}${']'.repeat(2_000)}`, key)],
    ['a huge token', forge(HEADER, payload({ target: ['resource://'.padEnd(1_000, 'a')] }).padEnd(9_000), key)],
    ['two parts', `${base64url(HEADER)}.${base64url(payload())}`],
    ['four parts', `${encodeMandate(ambientClaims(), key)}.AAAA`],
    ['padding', `${encodeMandate(ambientClaims(), key)}==`],
    ['white space', ` ${encodeMandate(ambientClaims(), key)}`],
    ['an empty text', ''],
    ['a token within a token', base64url(encodeMandate(ambientClaims(), key))],
    ['the JSON form of a JWS', JSON.stringify({ payload: base64url(payload()), signatures: [] })],
  ])('%s', async (_name, token) => {
    expect(await refusal(token)).toBe('malformed');
  });

  it('HS256 keyed with the public key', async () => {
    const pem = key.publicKey.export({ type: 'spki', format: 'pem' });
    for (const alg of ['HS256', 'ES256']) {
      const input = `${base64url(JSON.stringify({ alg, kid: key.kid, typ: 'JWT' }))}.${base64url(payload())}`;
      const mac = createHmac('sha256', pem).update(input).digest();
      const signature = alg === 'HS256' ? mac : Buffer.concat([mac, mac]);
      expect(await refusal(`${input}.${signature.toString('base64url')}`)).toBeDefined();
    }
  });

  it('a signature in DER form', async () => {
    const input = `${base64url(HEADER)}.${base64url(payload())}`;
    const der = sign('sha256', Buffer.from(input), key.privateKey);
    expect(await refusal(`${input}.${der.toString('base64url')}`)).toBe('malformed');
  });

  it('a key on another curve, whatever it is called', async () => {
    const other = testKey(key.kid, 'secp256k1');
    const clock = new ManualClock(NOW_MS);
    const verifier = createMandateVerifier({ issuer: ISSUER, keys: keySource([other]), clock });
    await expect(verifier.verify(forge(HEADER, payload(), other))).rejects.toMatchObject({
      privateDetail: 'bad_signature',
    });
  });

  it("another zone's key under a claimed zone", async () => {
    const token = encodeMandate(ambientClaims({ zone_id: 'zone-b' }), key);
    expect(await refusal(token)).toBe('unknown_key');
  });

  it('a stranger signing under a known key id', async () => {
    expect(await refusal(encodeMandate(ambientClaims(), testKey(key.kid)))).toBe('bad_signature');
  });

  it('another issuer, the past and the future, before any key is asked for', async () => {
    const setup = setUp();
    const token = (overrides: Partial<MandateClaims>) => encodeMandate(ambientClaims(overrides), key);
    expect(await refusal(token({ iss: 'https://other.example' }), setup)).toBe('wrong_issuer');
    expect(await refusal(token({ iss: `${ISSUER}/` }), setup)).toBe('wrong_issuer');
    expect(await refusal(token({ iat: NOW_SECONDS - 900, exp: NOW_SECONDS - 5 }), setup)).toBe('expired');
    expect(await refusal(token({ iat: NOW_SECONDS + 6, exp: NOW_SECONDS + 60 }), setup)).toBe('not_yet_valid');
    expect(setup.keys.asked).toEqual([]);
  });

  it('says nothing of why to its bearer', async () => {
    const { verifier } = setUp();
    const malformed = await verifier.verify('x').catch((error: unknown) => error as Failure);
    const unknown = await verifier
      .verify(encodeMandate(ambientClaims(), testKey('other')))
      .catch((error: unknown) => error as Failure);
    expect((malformed as Failure).description).toBe((unknown as Failure).description);
  });

  it('any one character of it changed', async () => {
    const { verifier } = setUp();
    const token = encodeMandate(ambientClaims(), key);
    await verifier.verify(token);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=';
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.nat(alphabet.length - 1), async (at, letter) => {
        const changed = token.slice(0, at) + alphabet.charAt(letter) + token.slice(at + 1);
        fc.pre(changed !== token);
        await expect(verifier.verify(changed)).rejects.toMatchObject({ reason: 'invalid_token' });
      }),
      { numRuns: 400 },
    );
  });

  it('any bytes whatever', async () => {
    const { verifier } = setUp();
    const noise = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.base64String(), fc.base64String()).map((parts) => parts.join('.')),
    );
    await fc.assert(
      fc.asyncProperty(noise, async (token) => {
        await expect(verifier.verify(token)).rejects.toMatchObject({ reason: 'invalid_token' });
      }),
    );
  });
});

function nested(depth: number): object {
  return depth === 1 ? { sub: 'a' } : { sub: 'a', act: nested(depth - 1) };
}
