// Reads the few request headers that the Gateway decides by, in one pass over the raw list, so that a repeated one is
// seen as repeated and never as whichever came first.
import type { RawHeaders } from './header-rules.ts';

export interface DecidingHeaders {
  readonly authorization: string | undefined;
  /** The proof of possession (RFC 9449 §4.1). */
  readonly dpop: string | undefined;
  readonly resource: string | undefined;
  /** The approval that is presented, and the secret that came with its challenge. */
  readonly challengeId: string | undefined;
  readonly challengeSecret: string | undefined;
  readonly traceparent: string | undefined;
  /** A header of these that may stand once and stood more often. */
  readonly repeated: string | undefined;
}

const single = new Set([
  'authorization',
  'dpop',
  'x-caracal-resource',
  'x-caracal-challenge-id',
  'x-caracal-challenge-secret',
  'traceparent',
  'host',
  'content-length',
  'content-type',
]);

export function readDecidingHeaders(raw: RawHeaders): DecidingHeaders {
  const seen = new Map<string, string>();
  let repeated: string | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase();
    if (!single.has(name)) continue;
    if (seen.has(name)) repeated = name;
    seen.set(name, raw[at + 1] ?? '');
  }
  return {
    authorization: seen.get('authorization'),
    dpop: seen.get('dpop'),
    resource: seen.get('x-caracal-resource')?.trim(),
    challengeId: seen.get('x-caracal-challenge-id')?.trim(),
    challengeSecret: seen.get('x-caracal-challenge-secret')?.trim(),
    traceparent: seen.get('traceparent'),
    repeated,
  };
}

/** RFC 6750 §2.1 or RFC 9449 §7.1: the second promises a proof. */
export type AuthorizationScheme = 'bearer' | 'dpop';

export type BearerVerdict =
  | { readonly kind: 'token'; readonly token: string; readonly scheme: AuthorizationScheme }
  /** No credential at all: the caller is told how to get one, without an error word (RFC 6750 §3.1). */
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable' };

// RFC 6750 §2.1 and RFC 9449 §7.1: the scheme in any case, one token of b64token characters. A mandate is three base64url parts of at most
// 8 KiB together.
const bearerForm = /^(bearer|dpop) +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+) *$/i;
const limitCharacters = 8192 + 'Bearer  '.length;

export function readBearer(authorization: string | undefined): BearerVerdict {
  if (authorization === undefined || authorization === '') return { kind: 'none' };
  if (authorization.length > limitCharacters) return { kind: 'unreadable' };
  const [, scheme, token] = bearerForm.exec(authorization) ?? [];
  if (scheme === undefined || token === undefined) return { kind: 'unreadable' };
  return { kind: 'token', token, scheme: scheme.toLowerCase() === 'dpop' ? 'dpop' : 'bearer' };
}
