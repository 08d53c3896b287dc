// What a provider's configuration says about its OAuth server, as checked values. The API has checked the shapes; a row that
// is something else all the same is misconfigured here and releases nothing.
import type { JsonObject } from '#mesh/failure';
import { hostOf, namesHost, parseHostEntries } from '#mesh/egress';
import type { Provider } from './directory.ts';

/** How we prove ourselves at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2). */
export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none';

export interface OAuthSettings {
  readonly tokenUrl: string;
  /** When not empty, token requests go to these hosts only. */
  readonly allowedTokenHosts: readonly string[];
  /** The server's issuer identifier (RFC 8414 §2); audience of client assertions, and what RFC 9207's `iss` must equal. */
  readonly issuer: string | undefined;
  readonly clientId: string;
  readonly clientAuthentication: ClientAuthentication;
  /** `kid` and `alg` of client assertions. */
  readonly keyId: string | undefined;
  readonly signingAlgorithm: string;
  readonly scopes: readonly string[];
  readonly audience: string | undefined;
  /** RFC 8707. */
  readonly resources: readonly string[];
  readonly tokenParams: Readonly<Record<string, string>>;
}

/** Who holds a connection: each user one of their own, or the zone one for all. */
export type ConnectionHolder = 'user' | 'zone';

export interface AuthorizationSettings extends OAuthSettings {
  readonly authorizationUrl: string;
  readonly redirectUris: readonly string[];
  readonly authorizationParams: Readonly<Record<string, string>>;
  readonly holder: ConnectionHolder;
}

const methods: readonly string[] = ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'];

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function textMap(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return {};
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(entries);
}

function mayAskTokens(tokenUrl: string, allowed: readonly string[]): boolean {
  if (!URL.canParse(tokenUrl)) return false;
  return allowed.length === 0 || isAllowedHost(tokenUrl, allowed);
}

/** True when the URL's host is in the list (host or host:port), compared without case. */
export function isAllowedHost(urlText: string, allowed: readonly string[]): boolean {
  if (!URL.canParse(urlText)) return false;
  return namesHost(parseHostEntries(allowed), hostOf(new URL(urlText)));
}

/** Undefined when the configuration cannot be used. */
export function readOAuthSettings(config: JsonObject): OAuthSettings | undefined {
  const tokenUrl = text(config['token_url']);
  const clientId = text(config['client_id']);
  const method = text(config['client_authentication']) ?? 'client_secret_basic';
  const allowedTokenHosts = texts(config['allowed_token_hosts']);
  if (tokenUrl === undefined || clientId === undefined || !methods.includes(method)) return undefined;
  if (!mayAskTokens(tokenUrl, allowedTokenHosts)) return undefined;
  return {
    tokenUrl,
    allowedTokenHosts,
    issuer: text(config['issuer']),
    clientId,
    clientAuthentication: method as ClientAuthentication,
    keyId: text(config['key_id']),
    signingAlgorithm: text(config['signing_algorithm']) ?? 'ES256',
    scopes: texts(config['scopes']),
    audience: text(config['audience']),
    resources: texts(config['resource']),
    tokenParams: textMap(config['token_params']),
  };
}

/** Undefined when the configuration cannot be used. */
export function readAuthorizationSettings(config: JsonObject): AuthorizationSettings | undefined {
  const common = readOAuthSettings(config);
  const authorizationUrl = text(config['authorization_url']);
  const redirectUris = texts(config['redirect_uris']);
  if (!common || authorizationUrl === undefined || !URL.canParse(authorizationUrl)) return undefined;
  if (redirectUris.length === 0) return undefined;
  return {
    ...common,
    authorizationUrl,
    redirectUris,
    authorizationParams: textMap(config['authorization_params']),
    holder: config['connection'] === 'zone' ? 'zone' : 'user',
  };
}

/** The settings of either OAuth kind; undefined for other kinds and for what cannot be used. */
export function oauthSettingsOf(provider: Provider): OAuthSettings | undefined {
  switch (provider.kind) {
    case 'oauth2_client_credentials':
      return readOAuthSettings(provider.config);
    case 'oauth2_authorization_code':
      return readAuthorizationSettings(provider.config);
    default:
      return undefined;
  }
}
