// The attack list on the two verifiers of tokens: mandates and proofs of possession.
import { describe, expect, it } from 'vitest';
import { createMandateVerifier, verifyDpopProof } from '#mesh/mandate';
import { ManualClock } from '#mesh/time';
import { ambientClaims, forge, ISSUER, keySource, NOW_MS, NOW_SECONDS, testKey } from '../../support/mandates.ts';
import { attacksOn } from './attacks.ts';

const key = testKey();

describe('a mandate', () => {
  const genuine = { header: { alg: 'ES256', kid: key.kid, typ: 'JWT' }, claims: { ...ambientClaims() }, key };
  const verifier = createMandateVerifier({ issuer: ISSUER, keys: keySource([key]), clock: new ManualClock(NOW_MS) });

  it('that is genuine is taken, so that each refusal below is about its one change', async () => {
    const token = forge(JSON.stringify(genuine.header), JSON.stringify(genuine.claims), key);
    expect((await verifier.verify(token)).claims.sub).toBe('app-1');
  });

  it.each(attacksOn(genuine).map(({ name, token }) => [name, token]))('with %s is refused', async (_name, token) => {
    await expect(verifier.verify(token)).rejects.toMatchObject({ reason: 'invalid_token' });
    expect(verifier.recall(token)).toBeUndefined();
  });
});

describe('a proof of possession', () => {
  const url = 'https://sts.example/oauth/2/token';
  const jwk = key.publicKey.export({ format: 'jwk' });
  const claims = { jti: 'one', htm: 'POST', htu: url, iat: NOW_SECONDS };
  const genuine = { header: { typ: 'dpop+jwt', alg: 'ES256', jwk }, claims, key };
  const judge = (token: string) =>
    verifyDpopProof(token, {
      method: 'POST',
      uris: [url],
      nowMs: NOW_MS,
      nonceIssuedAtMs: () => undefined,
      nonceLifeMs: 60_000,
      graceMs: 0,
      requireNonce: false,
    });
  // A stranger who brings a key proves that key and no other: what must not happen is that it passes for this one.
  const passes = (token: string): boolean => {
    const verdict = judge(token);
    const mine = judge(forge(JSON.stringify(genuine.header), JSON.stringify(claims), key));
    return verdict.kind === 'proven' && mine.kind === 'proven' && verdict.jkt === mine.jkt;
  };

  it('that is genuine is taken, so that each refusal below is about its one change', () => {
    expect(passes(forge(JSON.stringify(genuine.header), JSON.stringify(claims), key))).toBe(true);
  });

  // What a holder adds to its own proof is passed over, whatever it is called.
  const attacks = attacksOn(genuine).filter(({ name }) => name !== 'a prototype');

  it.each(attacks.map(({ name, token }) => [name, token]))('with %s is not taken for its holder’s', (_name, token) => {
    expect(passes(token)).toBe(false);
  });
});
