// What is put on the upstream request, by kind of provider. Only names and shapes are decided here; the secret itself is
// opened by the flow and passes through once.
import type { JsonObject } from '#mesh/failure';
import type { Provider } from './directory.ts';

/** Kinds whose credentials this STS can release. */
export type ProviderKind = 'none' | 'caracal_mandate' | 'bearer_token' | 'api_key';

export interface InjectionPlan {
  readonly kind: ProviderKind;
  /** Lower-case; empty when nothing is injected. */
  readonly headerName: string;
  /** Put before the credential, with a space when it is a scheme. */
  readonly prefix: string;
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
  const value = config['allowed_hosts'] ?? config['allowed_token_hosts'];
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
  return { kind: 'planned', plan: { kind, headerName: name, prefix, identity, allowedHosts: hosts(config) } };
}

/** How the provider wants to be addressed; a resource without provider gets nothing injected. */
export function planInjection(provider: Provider | undefined): InjectionVerdict {
  if (!provider || provider.kind === 'none') {
    const identity = provider?.config['forward_identity'] === true;
    return { kind: 'planned', plan: { kind: 'none', headerName: '', prefix: '', identity, allowedHosts: [] } };
  }
  switch (provider.kind) {
    case 'caracal_mandate':
      return planFor('caracal_mandate', provider.config, { header: 'authorization', scheme: 'Bearer' });
    case 'bearer_token':
      return planFor('bearer_token', provider.config, { header: 'authorization', scheme: 'Bearer' });
    case 'api_key':
      return planFor('api_key', provider.config, { header: 'x-api-key', scheme: '' });
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
