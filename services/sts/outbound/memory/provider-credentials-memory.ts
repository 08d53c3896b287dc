// ProviderCredentials in memory: what a test has put there for a provider and subject, and nothing else.
import { fail } from '#mesh/failure';
import type { ObtainedCredential, ProviderCredentials } from '../../ports/provider-credentials.ts';

export interface ProviderCredentialsMemory extends ProviderCredentials {
  /** The credential of a provider; for kinds held by users, of this subject alone. */
  give(providerId: string, credential: ObtainedCredential, subject?: string): void;
}

export function createProviderCredentialsMemory(): ProviderCredentialsMemory {
  const given = new Map<string, ObtainedCredential>();
  return {
    give: (providerId, credential, subject = '') => void given.set(`${providerId} ${subject}`, credential),
    async obtain({ provider, subject }) {
      const found = given.get(`${provider.id} ${subject}`) ?? given.get(`${provider.id} `);
      if (!found) throw fail('credential_not_provisioned');
      return found;
    },
  };
}
