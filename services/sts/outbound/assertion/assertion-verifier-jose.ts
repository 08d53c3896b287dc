// The AssertionVerifier on jose. Where there is no key to check with, a decoy of the same kind is, so that neither an unknown
// client nor an unknown `kid` answers sooner than a wrong signature.
import { canonicalJson } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import { compactVerify, generateKeyPair, importJWK } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { LRUCache } from 'lru-cache';
import type { AssertionAlgorithm } from '../../domain/client-assertion.ts';
import type { AssertionSignature, AssertionVerifier } from '../../ports/assertion-verifier.ts';

/** Imported keys of as many clients as authenticate with assertions at once; importing again costs well under 1 ms. */
const rememberedKeys = 4096;

type PublicKey = CryptoKey | Uint8Array;

async function importPublic(jwk: JsonObject, algorithm: AssertionAlgorithm): Promise<PublicKey | undefined> {
  try {
    const key = await importJWK(jwk as JWK, algorithm);
    return 'type' in key && key.type === 'public' ? key : undefined;
  } catch {
    return undefined;
  }
}

/** One decoy per algorithm, made when first needed and kept. */
function createDecoys(): (algorithm: AssertionAlgorithm) => Promise<PublicKey> {
  const made = new Map<AssertionAlgorithm, Promise<PublicKey>>();
  return async (algorithm) => {
    const known = made.get(algorithm) ?? generateKeyPair(algorithm).then(({ publicKey }) => publicKey);
    made.set(algorithm, known);
    return known;
  };
}

export function createAssertionVerifier(): AssertionVerifier {
  const imported = new LRUCache<string, { readonly key: PublicKey | undefined }>({ max: rememberedKeys });
  const decoy = createDecoys();

  async function publicKey(jwk: JsonObject, algorithm: AssertionAlgorithm): Promise<PublicKey | undefined> {
    const name = `${algorithm} ${canonicalJson(jwk)}`;
    const known = imported.get(name) ?? { key: await importPublic(jwk, algorithm) };
    imported.set(name, known);
    return known.key;
  }

  return {
    async isSignedBy({ assertion, algorithm, key: jwk }: AssertionSignature) {
      const own = jwk && (await publicKey(jwk, algorithm));
      const key = own ?? (await decoy(algorithm));
      try {
        await compactVerify(assertion, key, { algorithms: [algorithm] });
        return own !== undefined;
      } catch {
        return false;
      }
    },
  };
}
