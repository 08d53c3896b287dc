// What an application registers to authenticate with must fit its credential type: keys where it signs, none elsewhere.
import { fail } from '#mesh/failure';
import type { PublicKeySet } from '../../domain/public-keys.ts';
import { publicKeyProblems } from '../../domain/public-keys.ts';
import type { ApiDeps } from '../../ports/deps.ts';

/** Throws `invalid_request` for keys that cannot be kept. */
export function checkPublicKeys(
  deps: Pick<ApiDeps, 'isPublicKey'>,
  credentialType: string,
  publicKeys: PublicKeySet | null | undefined,
): void {
  const signs = credentialType === 'public-key';
  if (!signs && publicKeys) {
    throw fail('invalid_request', { fields: [{ path: 'public_keys', rule: 'only with credential_type public-key' }] });
  }
  if (!signs) return;
  if (!publicKeys) {
    throw fail('invalid_request', {
      fields: [{ path: 'public_keys', rule: 'required with credential_type public-key' }],
    });
  }
  const problems = publicKeyProblems(publicKeys);
  if (problems.length === 0) {
    for (const [at, jwk] of publicKeys.keys.entries()) {
      if (!deps.isPublicKey(jwk)) problems.push({ path: `public_keys.keys[${at}]`, rule: 'a public key' });
    }
  }
  if (problems.length > 0) throw fail('invalid_request', { fields: problems });
}
