// Id tokens with the keys of their issuers behind them.
import type { IdTokens } from '../../ports/id-tokens.ts';
import { createIdTokens } from './id-tokens-jose.ts';
import { createIssuerKeys } from './issuer-keys.ts';
import type { IssuerKeysOptions } from './issuer-keys.ts';

export function openIdTokens(options: IssuerKeysOptions): IdTokens {
  return createIdTokens(createIssuerKeys(options));
}
