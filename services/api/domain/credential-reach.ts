// How far the secrets of a provider reach: which token endpoint sees them and which upstreams the credential may go to. It
// stands alone because a secret that nobody can read back must not be sent somewhere else by whoever may change a setting:
// who lets it go further must know it.
import { hostOf } from '#mesh/egress';
import type { FieldViolation, JsonObject, JsonValue } from '#mesh/failure';
import { neededSecrets, type ProviderKind } from './provider-kind.ts';

function endpointOf(config: JsonObject): string | undefined {
  const url = config['token_url'];
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined;
  const { host, port } = hostOf(new URL(url));
  return `${host}:${port}`;
}

function hostsOf(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** True when token requests would go to another host. */
export function movesTokens(before: JsonObject, after: JsonObject): boolean {
  return endpointOf(before) !== endpointOf(after);
}

/** True when the credential could go to upstreams that it could not go to before. No list allows them all. */
function opensHosts(before: JsonObject, after: JsonObject): boolean {
  const known = hostsOf(before['allowed_hosts']).map((host) => host.toLowerCase());
  const wanted = hostsOf(after['allowed_hosts']).map((host) => host.toLowerCase());
  if (known.length === 0) return false;
  return wanted.length === 0 || wanted.some((host) => !known.includes(host));
}

/** The secrets that must be given again because the new configuration lets them, or what they obtain, go further. */
export function reachProblems(
  kind: ProviderKind,
  change: { readonly before: JsonObject; readonly after: JsonObject },
  given: Readonly<Record<string, string>>,
): FieldViolation[] {
  const { before, after } = change;
  if (!movesTokens(before, after) && !opensHosts(before, after)) return [];
  return neededSecrets(kind, after)
    .filter((name) => given[name] === undefined)
    .map((name) => ({ path: `secrets.${name}`, rule: 'given again by whoever lets the credential go to other hosts' }));
}
