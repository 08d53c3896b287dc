// The need: tokens from a provider's token endpoint, for a grant and under our client's credentials.
import type { Provider } from '../domain/directory.ts';
import type { OAuthSettings } from '../domain/provider-settings.ts';
import type { TokenAnswer } from '../domain/token-answer.ts';

export type TokenGrant =
  | { readonly kind: 'client_credentials' }
  | { readonly kind: 'refresh_token'; readonly refreshToken: string }
  | {
      readonly kind: 'authorization_code';
      readonly code: string;
      readonly redirectUri: string;
      /** PKCE, RFC 7636 §4.5. */
      readonly codeVerifier: string;
    };

export interface TokenRequest {
  readonly zoneId: string;
  /** Holds the client's secret, sealed. */
  readonly provider: Provider;
  readonly settings: OAuthSettings;
  readonly grant: TokenGrant;
}

export type TokenOutcome = TokenAnswer | { readonly kind: 'forbidden'; readonly cause: string };

/**
 * A request that cannot have reached the provider, or that it answered with an outage, is tried once more; one that may
 * have been carried out is not where that would use a code or a refresh token twice. A provider that failed 5 times in 5
 * minutes is left alone for 30 seconds (`unavailable`, `circuit_open`). `forbidden`: the address may not be
 * called, or our client cannot be proven with what is there. Never rejects.
 */
export interface TokenEndpoint {
  request(request: TokenRequest): Promise<TokenOutcome>;
}
