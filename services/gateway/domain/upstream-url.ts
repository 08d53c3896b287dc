// Decides whether an upstream's URL may be called at all, by its text alone, and splits it into what a request needs.
// The address behind the name is judged apart, when the connection is opened (#mesh/egress).
import { bareHost, namesHost, type HostEntry } from '#mesh/egress';

/** The operator's rules about hosts; all names lower-case. */
export interface HostRules {
  /** When not empty, only these hosts may be upstreams; ports are ignored, there are no wildcards. */
  readonly allowlist: ReadonlySet<string>;
  readonly denylist: readonly HostEntry[];
}

export interface Upstream {
  /** scheme://host[:port], as the connection pool is keyed. */
  readonly origin: string;
  /** Lower-case host without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path in front of every request path, without a trailing slash; empty for the root. */
  readonly basePath: string;
}

export type UpstreamVerdict =
  { readonly kind: 'upstream'; readonly upstream: Upstream } | { readonly kind: 'refused'; readonly rule: string };

const refused = (rule: string): UpstreamVerdict => ({ kind: 'refused', rule });

/**
 * Reads an upstream's URL. `allowedHosts` are those the credential may go to (host or host:port); none means any.
 * A URL with user info, a query or another scheme than http and https is refused.
 */
export function readUpstream(text: string, rules: HostRules, allowedHosts: readonly string[]): UpstreamVerdict {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return refused('not a URL');
  const odd = oddness(url);
  if (odd !== undefined) return refused(odd);
  const host = bareHost(url.hostname);
  const port = url.port === '' ? defaultPort(url.protocol) : Number(url.port);
  const rule = brokenHostRule({ host, port }, rules, allowedHosts);
  if (rule !== undefined) return refused(rule);
  const basePath = url.pathname.endsWith('/') ? url.pathname.slice(0, -1) : url.pathname;
  return { kind: 'upstream', upstream: { origin: url.origin, host, port, basePath } };
}

function oddness(url: URL): string | undefined {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'scheme';
  if (url.username !== '' || url.password !== '') return 'user info in the URL';
  if (url.search !== '') return 'query in the URL';
  return bareHost(url.hostname) === '' ? 'no host' : undefined;
}

function brokenHostRule(
  { host, port }: { readonly host: string; readonly port: number },
  rules: HostRules,
  allowedHosts: readonly string[],
): string | undefined {
  if (rules.allowlist.size > 0 && !rules.allowlist.has(host)) return 'not in the allowlist';
  if (namesHost(rules.denylist, { host, port })) return 'in the denylist';
  const allowed = allowedHosts.length === 0 || allowedHosts.some((name) => namesCredentialHost(name, host, port));
  return allowed ? undefined : 'the credential is not for this host';
}

function namesCredentialHost(allowed: string, host: string, port: number): boolean {
  const wanted = allowed.toLowerCase();
  return wanted === host || wanted === `${host}:${port}` || wanted === `[${host}]` || wanted === `[${host}]:${port}`;
}

function defaultPort(protocol: string): number {
  return protocol === 'https:' ? 443 : 80;
}

/** The request target that goes upstream: base path, then the received bytes untouched. */
export function upstreamTarget(upstream: Upstream, path: string, query: string): string {
  return upstream.basePath + path + query;
}
