import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { clientAssertion, clientKey } from '../../../../test/support/assertions.ts';
import type { SigningClientKey } from '../../../../test/support/assertions.ts';
import type { AssertionAlgorithm } from '../../domain/client-assertion.ts';
import { createAssertionVerifier } from './assertion-verifier-jose.ts';

const verifier = createAssertionVerifier();
const parts = { clientId: 'app', issuer: 'https://sts.test' };

async function isSigned(key: SigningClientKey, by: JsonObject | undefined, alg = key.alg): Promise<boolean> {
  const assertion = await clientAssertion(key, parts);
  return verifier.isSignedBy({ assertion, algorithm: alg as AssertionAlgorithm, key: by });
}

describe('a signature', () => {
  it.each(['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'])('of %s is verified by its own key alone', async (alg) => {
    const key = clientKey(alg);
    expect(await isSigned(key, key.publicJwk)).toBe(true);
    expect(await isSigned(key, key.publicJwk)).toBe(true);
    expect(await isSigned(key, clientKey(alg).publicJwk)).toBe(false);
  });

  it('without a key is checked all the same, and is never right', async () => {
    for (const alg of ['ES256', 'RS256', 'EdDSA']) expect(await isSigned(clientKey(alg), undefined)).toBe(false);
  });

  it('is checked under the algorithm that was judged, not the one in the header', async () => {
    const key = clientKey('PS256');
    expect(await isSigned(key, key.publicJwk, 'RS256')).toBe(false);
  });

  it('is never verified with what is no public key', async () => {
    const key = clientKey('ES256');
    const odd: JsonObject[] = [
      {},
      { kty: 'EC' },
      { ...key.publicJwk, x: 'AAAA' },
      { kty: 'oct', k: 'c2VjcmV0' },
      { ...(key.privateKey.export({ format: 'jwk' }) as JsonObject) },
    ];
    for (const jwk of odd) expect(await isSigned(key, jwk)).toBe(false);
  });

  it('that was changed is refused, and nothing that is sent makes the check fail', async () => {
    const key = clientKey('ES256');
    const assertion = await clientAssertion(key, parts);
    const [header, payload, signature] = assertion.split('.');
    for (const text of ['', '..', `${header}.${payload}.`, `${header}.${payload}x.${signature}`, `${assertion}.x`]) {
      expect(await verifier.isSignedBy({ assertion: text, algorithm: 'ES256', key: key.publicJwk })).toBe(false);
    }
  });
});
