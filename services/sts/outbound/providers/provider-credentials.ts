// The credential of a governed call by kind of provider: nothing, what an administrator gave, or a token that is held.
import { fail } from '#mesh/failure';
import type { Provider } from '../../domain/directory.ts';
import { readAuthorizationSettings, readOAuthSettings } from '../../domain/provider-settings.ts';
import type { CredentialCall, ObtainedCredential, ProviderCredentials } from '../../ports/provider-credentials.ts';
import type { Vault } from '../../ports/vault.ts';
import type { HeldToken, HeldTokens } from './held-tokens.ts';
import { basicCredential, openSecret } from './sealed-secrets.ts';

const given = (secret: string): ObtainedCredential => ({ secret, expiresAtMs: undefined });

function configured<T>(settings: T | undefined): T {
  if (settings === undefined) throw fail('credential_not_releasable', { privateDetail: 'misconfigured' });
  return settings;
}

function ofClient({ zoneId, provider }: CredentialCall): HeldToken {
  const settings = configured(readOAuthSettings(provider.config));
  return { key: { zoneId, providerId: provider.id, subject: '' }, provider, settings, selfService: true };
}

/** A user's connection serves that user alone, however many applications act for them. */
function ofHolder({ zoneId, provider, subject, subjectType }: CredentialCall): HeldToken {
  const settings = configured(readAuthorizationSettings(provider.config));
  const perUser = settings.holder === 'user';
  if (perUser && subjectType !== 'user') {
    throw fail('credential_not_provisioned', { privateDetail: 'connections_of_users_only' });
  }
  const key = { zoneId, providerId: provider.id, subject: perUser ? subject : '' };
  return { key, provider, settings, selfService: false };
}

export function createProviderCredentials(vault: Pick<Vault, 'open'>, tokens: HeldTokens): ProviderCredentials {
  const openStatic = (provider: Provider): ObtainedCredential | undefined => {
    switch (provider.kind) {
      case 'none':
      case 'caracal_mandate':
        return given('');
      case 'bearer_token':
        return given(openSecret(vault, provider, 'token'));
      case 'api_key':
        return given(openSecret(vault, provider, 'api_key'));
      case 'http_basic':
        return given(basicCredential(vault, provider));
      default:
        return undefined;
    }
  };
  return {
    async obtain(call) {
      const { kind } = call.provider;
      if (kind === 'oauth2_client_credentials') return tokens.obtain(ofClient(call));
      if (kind === 'oauth2_authorization_code') return tokens.obtain(ofHolder(call));
      const credential = openStatic(call.provider);
      if (!credential) throw fail('credential_not_releasable', { privateDetail: 'unsupported' });
      return credential;
    },
  };
}
