// What an id token must be to make a user mandate (OpenID Connect Core §3.1.3.7, RFC 8725, reference notes §4). It stands
// alone because it is the whole of what this installation believes of people. Its signature is checked elsewhere, first.
import { parseStrictJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { MayActClaim } from '#mesh/mandate';
import { userSubject } from './subject-issuer.ts';
import type { SubjectIssuer } from './subject-issuer.ts';

export interface IdToken {
  /** `sub` of the mandates made from it. */
  readonly subject: string;
  /** What policies may see, by the names the registration gives. */
  readonly claims: JsonObject;
  /** Only where the registration takes it from the id token. */
  readonly mayAct: MayActClaim | undefined;
  readonly expiresAtMs: number;
  /** When it was made by the issuer's clock, and never later than now: a store that forgot takes it for used. */
  readonly madeAtMs: number;
  /** Until when it could be shown again. */
  readonly shownUntilMs: number;
}

export type IdTokenRefusal =
  | 'malformed_id_token'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'no_lifetime'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_the_future'
  | 'too_old'
  | 'unusable_subject'
  | 'unusable_claim'
  | 'unusable_may_act';

export type IdTokenVerdict =
  { readonly kind: 'accepted'; readonly token: IdToken } | { readonly kind: 'refused'; readonly cause: IdTokenRefusal };

/** authority.md "Mandates": a minute for other people's clocks. */
const leewayMs = 60_000;
/** authority.md "Users": an id token says that somebody signed in just now. */
const maxAgeMs = 600_000;
/** Longest id token that is looked at; those of providers with many groups come near. */
export const maxIdTokenLength = 16_384;
const limits = { maxBytes: maxIdTokenLength, maxDepth: 12 };
/** With the name of its issuer in front, what an anchor can still name (512). */
const maxSubCharacters = 470;
const maxSubBytes = 512;
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is refused
const deceptive = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;
/** A claim is a fact to decide on, not a document. */
const maxTextCharacters = 256;
const maxListed = 128;

function refused(cause: IdTokenRefusal): IdTokenVerdict {
  return { kind: 'refused', cause };
}

function objectOf(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

/** A payload as strict JSON: each member once, nothing a digest could not hold. Undefined when it is anything else. */
export function readPayload(text: string): JsonObject | undefined {
  try {
    return objectOf(parseStrictJson(text, limits));
  } catch {
    return undefined;
  }
}

/** `iss` of a token nobody has verified yet: only good for finding out whose keys to try. */
export function claimedIssuer(token: string): string | undefined {
  const parts = token.split('.');
  if (token.length > maxIdTokenLength || parts.length !== 3) return undefined;
  const issuer = readPayload(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'))?.['iss'];
  return typeof issuer === 'string' ? issuer : undefined;
}

/** Milliseconds of a NumericDate (RFC 7519 §2), which may have a fraction. */
function millisecondsOf(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 && value < 1e11 ? value * 1000 : undefined;
}

/** OpenID Connect Core §3.1.3.7 items 3 to 5: named among several audiences, the authorized party must be it too. */
function audienceFits(payload: JsonObject, audience: string): boolean {
  const { aud, azp } = payload as { aud?: JsonValue; azp?: JsonValue };
  if (typeof aud === 'string') return aud === audience;
  if (!Array.isArray(aud) || !(aud as readonly JsonValue[]).includes(audience)) return false;
  return aud.length === 1 || azp === audience;
}

interface Times {
  readonly expiresAtMs: number;
  readonly issuedAtMs: number;
}

function timeRefusal(
  payload: JsonObject,
  { expiresAtMs, issuedAtMs }: Times,
  nowMs: number,
): IdTokenRefusal | undefined {
  if (expiresAtMs <= nowMs - leewayMs) return 'expired';
  if (issuedAtMs > nowMs + leewayMs) return 'issued_in_the_future';
  if (issuedAtMs < nowMs - maxAgeMs - leewayMs) return 'too_old';
  const notBefore = payload['nbf'];
  if (notBefore === undefined) return undefined;
  const notBeforeMs = millisecondsOf(notBefore);
  if (notBeforeMs === undefined) return 'no_lifetime';
  return notBeforeMs > nowMs + leewayMs ? 'not_yet_valid' : undefined;
}

function subOf(value: JsonValue | undefined): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > maxSubCharacters) return undefined;
  if (Buffer.byteLength(value) > maxSubBytes || deceptive.test(value) || value.trim() !== value) return undefined;
  return /^caracal:/i.test(value) ? undefined : value;
}

function isFact(value: JsonValue): boolean {
  if (typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isSafeInteger(value);
  return typeof value === 'string' && value.length <= maxTextCharacters && !value.includes('\u0000');
}

/** The mapped claims; a claim that is not there is not there, one that cannot be carried refuses the token. */
function mappedClaims(payload: JsonObject, mapping: SubjectIssuer['claims']): JsonObject | undefined {
  const claims: Record<string, JsonValue> = {};
  for (const [name, source] of Object.entries(mapping)) {
    const value = Object.hasOwn(payload, source) ? payload[source] : undefined;
    if (value === undefined || value === null) continue;
    const list = Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
    if (list.length > maxListed || !list.every(isFact)) return undefined;
    claims[name] = value;
  }
  return claims;
}

/** A permission to act that says something else than who would be wider or narrower than its author meant. */
function mayActOf(value: JsonValue | undefined): MayActClaim | undefined {
  const { sub, client_id: clientId, ...rest } = objectOf(value) ?? {};
  const names = [sub, clientId].filter((name) => name !== undefined);
  if (names.length === 0 || Object.keys(rest).length > 0) return undefined;
  if (!names.every((name) => subOf(name) !== undefined)) return undefined;
  return {
    ...(typeof sub === 'string' ? { sub } : {}),
    ...(typeof clientId === 'string' ? { client_id: clientId } : {}),
  };
}

interface Known {
  readonly subject: string;
  readonly claims: JsonObject;
  readonly mayAct: MayActClaim | undefined;
}

function known(payload: JsonObject, issuer: SubjectIssuer): Known | IdTokenRefusal {
  const sub = subOf(payload['sub']);
  if (sub === undefined) return 'unusable_subject';
  const claims = mappedClaims(payload, issuer.claims);
  if (!claims) return 'unusable_claim';
  const permission = issuer.mayAct === 'id_token' ? payload['may_act'] : undefined;
  const mayAct = permission === undefined ? undefined : mayActOf(permission);
  if (permission !== undefined && !mayAct) return 'unusable_may_act';
  return { subject: userSubject(issuer.id, sub), claims, mayAct };
}

/** Judges the payload of a token whose signature is the issuer's. */
export function readIdToken(payload: JsonObject, issuer: SubjectIssuer, nowMs: number): IdTokenVerdict {
  if (payload['iss'] !== issuer.issuer) return refused('wrong_issuer');
  if (!audienceFits(payload, issuer.audience)) return refused('wrong_audience');
  const expiresAtMs = millisecondsOf(payload['exp']);
  const issuedAtMs = millisecondsOf(payload['iat']);
  if (expiresAtMs === undefined || issuedAtMs === undefined) return refused('no_lifetime');
  const late = timeRefusal(payload, { expiresAtMs, issuedAtMs }, nowMs);
  if (late !== undefined) return refused(late);
  const facts = known(payload, issuer);
  if (typeof facts === 'string') return refused(facts);
  const shownUntilMs = Math.min(expiresAtMs, issuedAtMs + maxAgeMs) + leewayMs;
  return { kind: 'accepted', token: { ...facts, expiresAtMs, madeAtMs: Math.min(issuedAtMs, nowMs), shownUntilMs } };
}
