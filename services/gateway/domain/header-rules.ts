// Decides which headers cross the Gateway in either direction. Headers are taken raw (name, value, name, value…) and in
// order, because a map would already have chosen between repeated ones.
import type { QueryCredential } from './query-credential.ts';

/** A header list as Node and undici take it: name, value, name, value… */
export type RawHeaders = readonly string[];

/** What the Gateway itself sets on the upstream request. */
export interface OutgoingFacts {
  readonly requestId: string;
  readonly traceparent: string;
  /** The socket's peer; the caller's own X-Forwarded-For is not believed. */
  readonly remoteAddress: string;
  readonly scheme: 'http' | 'https';
  /** The Host or :authority the caller used. */
  readonly authority: string;
  /** Set when the body's length is known; a body without it is sent in chunks. */
  readonly contentLength: string | undefined;
  /** Whether the caller's trace state may follow its trace. */
  readonly keepTraceState: boolean;
}

export interface Credential {
  /** Lower-case; empty when nothing is injected. */
  readonly headerName: string;
  readonly headerValue: string;
  /** Empty, or the mandate for X-Caracal-Identity. */
  readonly identityMandate: string;
  /** In place of the header. */
  readonly query?: QueryCredential | undefined;
}

export type HeadersVerdict =
  { readonly kind: 'headers'; readonly headers: string[] } | { readonly kind: 'refused'; readonly rule: string };

// RFC 9110 §7.6.1 and the older names in use; http2-settings is RFC 9113 §3.1's.
const hopByHop = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

// What no caller may say to an upstream: its own credential, addresses and certificates we do not believe, another method
// or path than the one that was decided on, and what we set ourselves. `expect` is answered by the Gateway; `host` and
// `content-length` are written by the connection.
const neverForwarded = new Set([
  'authorization',
  'dpop',
  'forwarded',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'fastly-client-ip',
  // RFC 9440 §4.
  'client-cert',
  'client-cert-chain',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-rewrite-url',
  'x-request-id',
  'traceparent',
  'host',
  'content-length',
  'expect',
]);
const neverForwardedPrefixes = ['x-caracal-', 'x-forwarded-', 'x-original-', 'l5d-'];

// Names a credential may not take: framing, routing and tracing belong to the Gateway.
const reservedCredentialNames = new Set([
  ...hopByHop,
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'via',
  'traceparent',
  'tracestate',
  'baggage',
  'expect',
  'forwarded',
  'x-real-ip',
  'x-request-id',
  'date',
  'dpop',
]);
const reservedCredentialPrefixes = ['x-caracal-', 'x-forwarded-', 'proxy-', 'l5d-'];

// What tells about the upstream's making, its other addresses, or the credential.
const neverReturned = new Set([
  'server',
  'x-powered-by',
  'x-aspnet-version',
  'x-aspnetmvc-version',
  'alt-svc',
  // Proofs are made for the Gateway, and their nonces are its own.
  'dpop-nonce',
  'refresh',
  'x-request-id',
]);

const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const fieldValue = /^[\t\u0020-\u007e\u0080-\u00ff]*$/;

// Many servers read `_` as `-` (CGI's variables do), so the two are one name here.
const canonicalName = (lower: string): string => (lower.includes('_') ? lower.replaceAll('_', '-') : lower);

function hasPrefix(name: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

/** The names listed in Connection headers, lower-case; undefined when there is none (RFC 9110 §7.6.1). */
function connectionNames(raw: RawHeaders): Set<string> | undefined {
  let names: Set<string> | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    if (raw[at]?.toLowerCase() !== 'connection') continue;
    for (const part of (raw[at + 1] ?? '').split(',')) (names ??= new Set()).add(part.trim().toLowerCase());
  }
  return names;
}

/** Whether a credential may be put under this name with this value. */
export function credentialIsPlaceable(name: string, value: string): boolean {
  if (!token.test(name) || !fieldValue.test(value) || value === '') return false;
  const canonical = canonicalName(name);
  return !reservedCredentialNames.has(canonical) && !hasPrefix(canonical, reservedCredentialPrefixes);
}

/** The headers of the upstream request: the caller's, less what must not cross, plus the Gateway's and the credential. */
export function requestHeaders(raw: RawHeaders, facts: OutgoingFacts, credential: Credential): HeadersVerdict {
  const { headerName, headerValue, identityMandate } = credential;
  if (headerName !== '' && !credentialIsPlaceable(headerName, headerValue)) {
    return { kind: 'refused', rule: 'the credential names a reserved header' };
  }
  if (!fieldValue.test(identityMandate)) return { kind: 'refused', rule: 'identity mandate' };
  const headers = callersHeaders(raw, headerName, facts.keepTraceState);
  pushOwn(headers, facts);
  if (headerName !== '') headers.push(headerName, headerValue);
  if (identityMandate !== '') headers.push('x-caracal-identity', identityMandate);
  return { kind: 'headers', headers };
}

function callersHeaders(raw: RawHeaders, injectedName: string, keepTraceState: boolean): string[] {
  const named = connectionNames(raw);
  const replaced = canonicalName(injectedName);
  const headers: string[] = [];
  let cookies = '';
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    const lower = name.toLowerCase();
    if (!mayForward(lower, named) || canonicalName(lower) === replaced) continue;
    if (lower === 'cookie') cookies = cookies === '' ? value : `${cookies}; ${value}`;
    else if (lower === 'baggage') pushBaggage(headers, value);
    else if (lower !== 'tracestate' || keepTraceState) headers.push(name, value);
  }
  // HTTP/2 may split cookies over several fields; a server of HTTP/1.1 reads one (RFC 9113 §8.2.3).
  if (cookies !== '') headers.push('cookie', cookies);
  return headers;
}

function mayForward(lower: string, named: Set<string> | undefined): boolean {
  if (lower.startsWith(':') || hopByHop.has(lower) || named?.has(lower) === true) return false;
  const canonical = canonicalName(lower);
  return !neverForwarded.has(canonical) && !hopByHop.has(canonical) && !hasPrefix(canonical, neverForwardedPrefixes);
}

// Entries under our own name would look like ours to whoever reads them downstream.
function pushBaggage(headers: string[], value: string): void {
  const kept = value.split(',').filter((entry) => !entry.trim().toLowerCase().startsWith('caracal.'));
  if (kept.length > 0) headers.push('baggage', kept.join(','));
}

function pushOwn(headers: string[], facts: OutgoingFacts): void {
  headers.push(
    'x-request-id',
    facts.requestId,
    'traceparent',
    facts.traceparent,
    'x-forwarded-for',
    facts.remoteAddress,
    'x-forwarded-proto',
    facts.scheme,
  );
  if (facts.authority !== '') headers.push('x-forwarded-host', facts.authority);
  if (facts.contentLength !== undefined) headers.push('content-length', facts.contentLength);
}

/** Where the caller reaches the resource, so that the upstream's own redirects can be put in those terms. */
export interface ResponseFacts {
  readonly requestId: string;
  readonly origin: string;
  readonly basePath: string;
  readonly mount: string;
  /** What was injected; a header that repeats one of it does not go back. */
  readonly secrets: readonly string[];
}

/** The headers of the answer: the upstream's, less what must not cross. Framing is the connection's own. */
export function responseHeaders(raw: RawHeaders, facts: ResponseFacts): string[] {
  const named = connectionNames(raw);
  const headers: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    const lower = name.toLowerCase();
    if (!mayReturn(lower, named) || repeatsOne(value, facts.secrets)) continue;
    if (lower !== 'location' && lower !== 'content-location') {
      headers.push(name, value);
      continue;
    }
    const location = returnedLocation(value, facts);
    if (location !== undefined) headers.push(name, location);
  }
  headers.push('x-request-id', facts.requestId);
  return headers;
}

function mayReturn(lower: string, named: Set<string> | undefined): boolean {
  return (
    !lower.startsWith(':') &&
    !hopByHop.has(lower) &&
    named?.has(lower) !== true &&
    !neverReturned.has(lower) &&
    !lower.startsWith('x-caracal-')
  );
}

/** Trailers cross by the rules of headers, and never carry framing, routing or authentication (RFC 9110 §6.5.1). */
export function responseTrailers(raw: RawHeaders, secrets: readonly string[]): string[] {
  const trailers: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] ?? '';
    const value = raw[at + 1] ?? '';
    const lower = name.toLowerCase();
    if (!mayReturn(lower, undefined) || notInTrailers.has(lower) || repeatsOne(value, secrets)) continue;
    trailers.push(name, value);
  }
  return trailers;
}

const notInTrailers = new Set([
  'content-length',
  'content-encoding',
  'content-type',
  'content-range',
  'host',
  'location',
  'set-cookie',
  'www-authenticate',
  'cache-control',
]);

function repeatsOne(value: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) => repeatsCredential(value, secret));
}

// Eight characters: shorter values are no credential and would match by chance.
function repeatsCredential(value: string, credential: string): boolean {
  if (credential.length < 8) return false;
  const bare = credential.slice(credential.indexOf(' ') + 1);
  return value.includes(bare.length < 8 ? credential : bare);
}

// An absolute address of the upstream itself becomes the caller's own path to it; one of anything else would tell an
// inner address or lead the caller's credential away, and goes. Relative ones are meant as they stand.
function returnedLocation(value: string, facts: ResponseFacts): string | undefined {
  // Browsers pass over tabs wherever they stand, so that what is judged here would not be what they read.
  if (value.includes('\t')) return undefined;
  if (/^[a-z][a-z0-9+.-]*:|^[/\\]{2}/i.test(value)) {
    if (!URL.canParse(value, facts.origin)) return undefined;
    const url = new URL(value, facts.origin);
    if (url.origin !== facts.origin) return undefined;
    return insideBase(url.pathname + url.search + url.hash, facts);
  }
  return value.startsWith('/') ? insideBase(value, facts) : value;
}

function insideBase(path: string, facts: ResponseFacts): string | undefined {
  if (!path.startsWith(facts.basePath)) return undefined;
  const rest = path.slice(facts.basePath.length);
  if (rest !== '' && !/^[/?#]/.test(rest)) return undefined;
  const returned = facts.mount + (rest.startsWith('/') ? rest : `/${rest}`);
  // Two slashes begin another host's address (RFC 3986 §4.2).
  return /^[/\\]{2}/.test(returned) ? undefined : returned;
}
