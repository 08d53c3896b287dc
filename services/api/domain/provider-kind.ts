// Kinds of provider: how the Gateway's upstream gets its credential, what of it is public and what is sealed.
import type { FieldViolation, JsonObject } from '#mesh/failure';

/** The kinds that work today; the database knows more names than these. */
export const providerKinds = ['none', 'caracal_mandate', 'bearer_token', 'api_key'] as const;
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

/** Names of the secrets a kind needs, all of them required. */
export const secretNames: Readonly<Record<ProviderKind, readonly string[]>> = {
  none: [],
  caracal_mandate: [],
  bearer_token: ['token'],
  api_key: ['api_key'],
};

export function isProviderKind(kind: string): kind is ProviderKind {
  return (providerKinds as readonly string[]).includes(kind);
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

/** What is wrong with a provider's parts beyond their shapes. `given` are the secrets of this request. */
export function providerProblems(
  kind: ProviderKind,
  config: JsonObject,
  given: Readonly<Record<string, string>>,
): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const header = config['header_name'];
  if (typeof header === 'string' && isReservedHeader(header)) {
    problems.push({ path: 'config.header_name', rule: 'a reserved header carries no credential' });
  }
  for (const [name, value] of Object.entries(given)) {
    if (!secretNames[kind].includes(name)) problems.push({ path: 'secrets', rule: 'only the secrets of this kind' });
    else if (!secretForm.test(value)) problems.push({ path: `secrets.${name}`, rule: 'visible ASCII on one line' });
  }
  return problems;
}

/** The secrets that a kind needs and nobody gave. */
export function missingSecrets(kind: ProviderKind, given: Readonly<Record<string, string>>): FieldViolation[] {
  return secretNames[kind]
    .filter((name) => given[name] === undefined)
    .map((name) => ({ path: `secrets.${name}`, rule: 'required for this kind' }));
}
