// Rules about the OAuth servers that providers name: addresses that may be spoken to, and parameters that are ours to set.
// What the addresses resolve to is judged by the STS when it calls them.
import type { FieldViolation, JsonObject } from '#mesh/failure';
import { bareHost, hostOf, namesHost, parseHostEntries } from '#mesh/egress';

const loopbackHosts: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1']);

/** Set by the STS itself in requests to the token endpoint (RFC 6749 §4.1.3, RFC 7523 §2.2, RFC 7636 §4.5). */
const ownTokenParams: ReadonlySet<string> = new Set([
  ...['grant_type', 'client_id', 'client_secret', 'client_assertion', 'client_assertion_type', 'scope', 'audience'],
  ...['resource', 'code', 'redirect_uri', 'code_verifier', 'refresh_token'],
]);
/** Set by the STS itself in the address people are sent to (RFC 6749 §4.1.1, RFC 7636 §4.3). */
const ownAuthorizationParams: ReadonlySet<string> = new Set([
  ...['response_type', 'client_id', 'redirect_uri', 'scope', 'state', 'code_challenge', 'code_challenge_method'],
  ...['audience', 'resource', 'response_mode', 'request', 'request_uri'],
]);

interface UrlRules {
  /** http on loopback, in dev alone. */
  readonly plainLoopback: boolean;
}

function readUrl(text: string, { plainLoopback }: UrlRules): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // RFC 6749 §3.1, §3.1.2, §3.2: no fragment. User info would be a credential in a public setting.
  if (!url || text.includes('#') || url.username !== '' || url.password !== '') return undefined;
  if (url.protocol === 'https:') return url;
  const isPlain = url.protocol === 'http:' && loopbackHosts.has(bareHost(url.hostname));
  return isPlain && plainLoopback ? url : undefined;
}

function endpointProblem(config: JsonObject, name: string, rules: UrlRules): FieldViolation[] {
  const value = config[name];
  if (typeof value !== 'string' || readUrl(value, rules)) return [];
  return [{ path: `config.${name}`, rule: 'an https URL without user info and fragment' }];
}

function tokenHostProblems(config: JsonObject): FieldViolation[] {
  const { token_url: tokenUrl, allowed_token_hosts: allowed } = config;
  if (typeof tokenUrl !== 'string' || !Array.isArray(allowed) || !URL.canParse(tokenUrl)) return [];
  const entries = parseHostEntries(allowed.filter((item) => typeof item === 'string'));
  return namesHost(entries, hostOf(new URL(tokenUrl)))
    ? []
    : [{ path: 'config.allowed_token_hosts', rule: 'names the host of token_url' }];
}

function redirectProblems(config: JsonObject): FieldViolation[] {
  const list = config['redirect_uris'];
  if (!Array.isArray(list)) return [];
  return list.flatMap((item, at) => {
    // A native application listens on loopback (RFC 8252 §7.3), in every mode: it is the administrator's own machine.
    const good = typeof item === 'string' && readUrl(item, { plainLoopback: true });
    return good ? [] : [{ path: `config.redirect_uris.${at}`, rule: 'https, or http on loopback; no fragment' }];
  });
}

function paramProblems(config: JsonObject, name: string, own: ReadonlySet<string>): FieldViolation[] {
  const params = config[name];
  if (typeof params !== 'object' || params === null) return [];
  return Object.keys(params)
    .filter((param) => own.has(param.toLowerCase()))
    .map((param) => ({ path: `config.${name}.${param}`, rule: 'is set by the STS' }));
}

/** What is wrong with the settings of an OAuth server beyond their shapes. */
export function oauthProblems(config: JsonObject, rules: UrlRules): FieldViolation[] {
  return [
    ...endpointProblem(config, 'token_url', rules),
    ...endpointProblem(config, 'authorization_url', rules),
    ...tokenHostProblems(config),
    ...redirectProblems(config),
    ...paramProblems(config, 'token_params', ownTokenParams),
    ...paramProblems(config, 'authorization_params', ownAuthorizationParams),
  ];
}
