// What is put on the upstream request, by kind of provider. Only names and shapes are decided here; the secret itself is
// opened by the flow and passes through once.
import type { JsonObject } from '#mesh/failure';
import type { Provider } from './directory.ts';

/** Kinds whose credentials this STS can release. */
export type ProviderKind =
  | 'none'
  | 'caracal_mandate'
  | 'bearer_token'
  | 'api_key'
  | 'http_basic'
  | 'oauth2_client_credentials'
  | 'oauth2_authorization_code';

export interface InjectionPlan {
  readonly kind: ProviderKind;
  /** Lower-case; empty when no header carries the credential. */
  readonly headerName: string;
  /** Put before the credential, with a space when it is a scheme. */
  readonly prefix: string;
  /** The query parameter that carries the credential; empty when none does. */
  readonly queryName: string;
  /** True when the upstream also gets the caller's identity as a mandate. */
  readonly identity: boolean;
  /** When not empty, the credential may go to these hosts only. */
  readonly allowedHosts: readonly string[];
}

export type InjectionVerdict =
  | { readonly kind: 'planned'; readonly plan: InjectionPlan }
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'misconfigured' };

/** RFC 9110 §5.6.2 token, in lower case. */
const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** RFC 3986 unreserved, so that the name stands in a query as it is. */
const parameterName = /^[A-Za-z0-9._~-]{1,64}$/;
/** Headers by which a credential would change who the request is for or how it is framed. */
const framing = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'cookie',
]);

function text(config: JsonObject, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = config[name];
    if (typeof value === 'string') return value;
  }
  return undefined;
}

function hosts(config: JsonObject): readonly string[] {
  const value = config['allowed_hosts'];
  return Array.isArray(value) ? value.filter((host): host is string => typeof host === 'string') : [];
}

function planFor(
  kind: ProviderKind,
  config: JsonObject,
  defaults: { header: string; scheme: string },
): InjectionVerdict {
  const name = (text(config, 'header_name', 'header') ?? defaults.header).toLowerCase();
  const scheme = text(config, 'scheme', 'prefix') ?? defaults.scheme;
  if (!headerName.test(name) || framing.has(name) || !/^[\x21-\x7e]{0,32}$/.test(scheme))
    return { kind: 'misconfigured' };
  const identity = config['forward_identity'] === true;
  const prefix = scheme === '' ? '' : `${scheme} `;
  const plan = { kind, headerName: name, prefix, queryName: '', identity, allowedHosts: hosts(config) };
  return { kind: 'planned', plan };
}

/** A key that the upstream takes in its query alone. Everything else about the URL stays the caller's. */
function planForQuery(config: JsonObject): InjectionVerdict {
  const queryName = text(config, 'query_param_name') ?? '';
  if (!parameterName.test(queryName)) return { kind: 'misconfigured' };
  const identity = config['forward_identity'] === true;
  const allowedHosts = hosts(config);
  return { kind: 'planned', plan: { kind: 'api_key', headerName: '', prefix: '', queryName, identity, allowedHosts } };
}

const bearer = { header: 'authorization', scheme: 'Bearer' };

/** How the provider wants to be addressed; a resource without provider gets nothing injected. */
export function planInjection(provider: Provider | undefined): InjectionVerdict {
  if (!provider || provider.kind === 'none') {
    const identity = provider?.config['forward_identity'] === true;
    const plan = { kind: 'none', headerName: '', prefix: '', queryName: '', identity, allowedHosts: [] } as const;
    return { kind: 'planned', plan };
  }
  const { kind, config } = provider;
  switch (kind) {
    case 'caracal_mandate':
    case 'bearer_token':
    case 'oauth2_client_credentials':
    case 'oauth2_authorization_code':
      return planFor(kind, config, bearer);
    case 'http_basic':
      return planFor(kind, config, { header: 'authorization', scheme: 'Basic' });
    case 'api_key':
      return config['auth_location'] === 'query'
        ? planForQuery(config)
        : planFor(kind, config, { header: 'x-api-key', scheme: '' });
    default:
      return { kind: 'unsupported' };
  }
}

/** A field value that can stand on one header line (RFC 9110 §5.5). */
export function isHeaderValue(value: string): boolean {
  return (
    value.length > 0 &&
    value.length <= 8192 &&
    /^[\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?$/.test(value)
  );
}
