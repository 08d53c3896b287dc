// Kinds of provider: how the Gateway's upstream gets its credential, what of it is public and what is sealed.
import type { FieldViolation, JsonObject } from '#mesh/failure';
import { oauthProblems } from './oauth-provider.ts';

export const providerKinds = [
  'none',
  'caracal_mandate',
  'bearer_token',
  'api_key',
  'http_basic',
  'oauth2_client_credentials',
  'oauth2_authorization_code',
] as const;
export type ProviderKind = (typeof providerKinds)[number];

export interface Provider {
  readonly id: string;
  readonly zoneId: string;
  readonly identifier: string;
  readonly name: string;
  readonly kind: ProviderKind;
  readonly config: JsonObject;
  /** Names of the secrets that are set; values never leave. */
  readonly secretNames: readonly string[];
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

const clientSecrets = ['client_secret', 'private_key'] as const;

/** Names of the secrets a kind can have. */
export const secretNames: Readonly<Record<ProviderKind, readonly string[]>> = {
  none: [],
  caracal_mandate: [],
  bearer_token: ['token'],
  api_key: ['api_key'],
  http_basic: ['password'],
  oauth2_client_credentials: clientSecrets,
  oauth2_authorization_code: clientSecrets,
};

export function isProviderKind(kind: string): kind is ProviderKind {
  return (providerKinds as readonly string[]).includes(kind);
}

const isOauth = (kind: ProviderKind): boolean => kind.startsWith('oauth2_');

/** Names of the secrets that a provider of this kind and configuration cannot do without. */
export function neededSecrets(kind: ProviderKind, config: JsonObject): readonly string[] {
  if (!isOauth(kind)) return secretNames[kind];
  const method = config['client_authentication'];
  if (method === 'none') return [];
  return [method === 'private_key_jwt' ? 'private_key' : 'client_secret'];
}

/**
 * Headers no credential may be put in: they frame the request, say who called, or belong to the hop (RFC 9110 §7.6.1).
 * Prefixes `x-caracal-`, `x-forwarded-` and `proxy-` are closed as well.
 */
const reservedHeaders: ReadonlySet<string> = new Set([
  ...['connection', 'content-encoding', 'content-length', 'content-type', 'cookie', 'expect', 'forwarded', 'host'],
  ...['keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'traceparent', 'tracestate', 'baggage'],
  ...['x-real-ip', 'x-request-id'],
]);
const reservedPrefixes = ['x-caracal-', 'x-forwarded-', 'proxy-'];

function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return reservedHeaders.has(lower) || reservedPrefixes.some((prefix) => lower.startsWith(prefix));
}

/** What a credential is made of: one header line's worth of visible ASCII (RFC 9110 §5.5), spaces inside. */
const secretForm = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
/** PKCS #8 (RFC 5958) in PEM (RFC 7468 §10), unencrypted. */
const privateKeyForm =
  /^-----BEGIN PRIVATE KEY-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n)+-----END PRIVATE KEY-----(?:\r?\n)?$/;

function secretProblem(kind: ProviderKind, name: string, value: string): FieldViolation | undefined {
  if (!secretNames[kind].includes(name)) return { path: 'secrets', rule: 'only the secrets of this kind' };
  if (name === 'private_key') {
    return privateKeyForm.test(value) ? undefined : { path: 'secrets.private_key', rule: 'a PKCS #8 key in PEM' };
  }
  return secretForm.test(value) ? undefined : { path: `secrets.${name}`, rule: 'visible ASCII on one line' };
}

function placeProblems(kind: ProviderKind, config: JsonObject): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const header = config['header_name'];
  if (typeof header === 'string' && isReservedHeader(header)) {
    problems.push({ path: 'config.header_name', rule: 'a reserved header carries no credential' });
  }
  if (kind !== 'api_key') return problems;
  const inQuery = config['auth_location'] === 'query';
  if (inQuery !== (config['query_param_name'] !== undefined)) {
    problems.push({ path: 'config.query_param_name', rule: 'with auth_location query, and only then' });
  }
  if (inQuery && (header !== undefined || config['scheme'] !== undefined)) {
    problems.push({ path: 'config.auth_location', rule: 'a key in the query has neither header_name nor scheme' });
  }
  return problems;
}

export interface ProviderParts {
  readonly kind: ProviderKind;
  readonly config: JsonObject;
  /** The secrets of this request. */
  readonly given: Readonly<Record<string, string>>;
  /** The secrets that are set already. */
  readonly known?: readonly string[] | undefined;
}

/** What is wrong with a provider's parts beyond their shapes. `plainLoopback`: http to this machine is allowed (dev). */
export function providerProblems(
  { kind, config, given, known = [] }: ProviderParts,
  rules: { readonly plainLoopback: boolean },
): FieldViolation[] {
  const secrets = Object.entries(given).map(([name, value]) => secretProblem(kind, name, value));
  const missing = neededSecrets(kind, config).filter((name) => given[name] === undefined && !known.includes(name));
  return [
    ...placeProblems(kind, config),
    ...(isOauth(kind) ? oauthProblems(config, rules) : []),
    ...secrets.filter((problem) => problem !== undefined),
    ...missing.map((name) => ({ path: `secrets.${name}`, rule: 'required for this kind' })),
  ];
}
