// Opens what an administrator gave a provider: for one use, from the row it was sealed for.
import { fail } from '#mesh/failure';
import type { Provider } from '../../domain/directory.ts';
import type { ClientAuthentication } from '../../domain/provider-settings.ts';
import type { SealLocation, Vault } from '../../ports/vault.ts';

type Opener = Pick<Vault, 'open'>;

/** Throws `credential_not_releasable` for what was sealed for another row, or under a key that is not here. */
export function openText(vault: Opener, envelope: Uint8Array, location: SealLocation): string {
  try {
    return Buffer.from(vault.open(envelope, location)).toString('utf8');
  } catch (error) {
    throw fail('credential_not_releasable', { privateDetail: 'does_not_open', cause: error });
  }
}

/** Throws `credential_not_releasable` when the secret is missing. A provider's only secret may have any name. */
export function openSecret(vault: Opener, provider: Provider, name: string): string {
  const [only, ...others] = provider.secrets;
  const secret =
    provider.secrets.find((candidate) => candidate.name === name) ?? (others.length === 0 ? only : undefined);
  if (!secret) throw fail('credential_not_releasable', { privateDetail: 'no_such_secret' });
  const location = { table: 'api.provider_secrets', column: 'envelope', rowId: secret.rowId };
  return openText(vault, secret.envelope, location);
}

/** What the client proves itself with; undefined when its registration asks for nothing. */
export function openClientSecret(vault: Opener, provider: Provider, method: ClientAuthentication): string | undefined {
  switch (method) {
    case 'none':
      return undefined;
    case 'private_key_jwt':
      return openSecret(vault, provider, 'private_key');
    case 'client_secret_basic':
    case 'client_secret_post':
      return openSecret(vault, provider, 'client_secret');
  }
}

/** RFC 7617 §2: the user name holds no colon, both are UTF-8. */
export function basicCredential(vault: Opener, provider: Provider): string {
  const { username } = provider.config;
  if (typeof username !== 'string' || username === '' || username.includes(':')) {
    throw fail('credential_not_releasable', { privateDetail: 'no_username' });
  }
  return Buffer.from(`${username}:${openSecret(vault, provider, 'password')}`, 'utf8').toString('base64');
}
