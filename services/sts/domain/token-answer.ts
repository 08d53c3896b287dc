// Reads what a provider's token endpoint answered (RFC 6749 §5). It stands alone because the answer is hostile input: it is
// bounded, read strictly, and only words of ours or of the RFC come out of a refusal.
import { parseStrictJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';

export interface GrantedTokens {
  readonly accessToken: string;
  readonly refreshToken: string | undefined;
  /** Undefined when the provider does not say. */
  readonly expiresInSeconds: number | undefined;
  /** As the provider words them; undefined when it granted what was asked for. */
  readonly scopes: readonly string[] | undefined;
}

export type TokenAnswer =
  | { readonly kind: 'granted'; readonly tokens: GrantedTokens }
  /** The provider understood and refused; asking again changes nothing. */
  | { readonly kind: 'refused'; readonly error: string }
  /** No usable answer; another time there may be one. */
  | { readonly kind: 'unavailable'; readonly cause: string };

/** What may travel in a header, and what an envelope should hold (8,000 is the API's bound of a secret). */
const tokenForm = /^[\x21-\x7e]{1,8000}$/;
const maxScopes = 256;
const scopeForm = /^[\x21-\x7e]{1,200}$/;
/** Ten years: a number beyond that is no lifetime. */
const maxLifetimeSeconds = 315_360_000;

/** RFC 6749 §5.2, RFC 8707 §2. Other words become `refused`, because they are the provider's and may say anything. */
const knownErrors: ReadonlySet<string> = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
]);

function readObject(text: string): JsonObject | undefined {
  let value: JsonValue;
  try {
    value = parseStrictJson(text, { maxBytes: 65_536, maxDepth: 8 });
  } catch {
    return undefined;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** Some servers write the number as text; nothing else is read as one. */
function lifetimeOf(value: JsonValue | undefined): number | undefined | 'malformed' {
  if (value === undefined || value === null) return undefined;
  const seconds = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) return 'malformed';
  return Math.min(Math.floor(seconds), maxLifetimeSeconds);
}

function scopesOf(value: JsonValue | undefined): readonly string[] | undefined {
  if (typeof value !== 'string') return undefined;
  return value
    .split(' ')
    .filter((scope) => scopeForm.test(scope))
    .slice(0, maxScopes);
}

const malformed: TokenAnswer = { kind: 'unavailable', cause: 'malformed_answer' };

function readGranted(body: JsonObject): TokenAnswer {
  const accessToken = body['access_token'];
  const refreshToken = body['refresh_token'];
  const tokenType = body['token_type'];
  const expiresInSeconds = lifetimeOf(body['expires_in']);
  if (typeof accessToken !== 'string' || !tokenForm.test(accessToken)) return malformed;
  if (expiresInSeconds === 'malformed') return malformed;
  // RFC 6749 §7.1: a client must not use a token of a type that it does not understand.
  if (typeof tokenType !== 'string' || tokenType.toLowerCase() !== 'bearer') {
    return { kind: 'refused', error: 'unsupported_token_type' };
  }
  const hasRefresh = typeof refreshToken === 'string' && refreshToken !== '';
  if (hasRefresh && !tokenForm.test(refreshToken)) return malformed;
  return {
    kind: 'granted',
    tokens: {
      accessToken,
      refreshToken: hasRefresh ? refreshToken : undefined,
      expiresInSeconds,
      scopes: scopesOf(body['scope']),
    },
  };
}

/** What the answer means; `status` is HTTP's. */
export function readTokenAnswer(status: number, text: string): TokenAnswer {
  if (status === 429 || status >= 500) return { kind: 'unavailable', cause: `status_${status}` };
  const body = readObject(text);
  const error = body?.['error'];
  if (typeof error === 'string') return { kind: 'refused', error: knownErrors.has(error) ? error : 'refused' };
  if (status === 200) return body ? readGranted(body) : malformed;
  // 401 and 403 are a refusal in whatever words (RFC 6749 §5.2 asks for JSON, not all servers give it).
  if (status === 400 || status === 401 || status === 403) return { kind: 'refused', error: 'refused' };
  return { kind: 'unavailable', cause: `status_${status}` };
}
