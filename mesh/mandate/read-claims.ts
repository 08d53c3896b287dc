// Reads untrusted JSON as the claims of a mandate: closed (an unknown member refuses), typed and bounded. It stands alone
// because the STS runs it on what it is about to sign and every verifier on what it was shown.
import type { JsonObject, JsonValue } from '#mesh/failure';
import {
  mandateLifeSeconds,
  mandateLimits,
  type ActorClaim,
  type ActorName,
  type ChainLink,
  type ConfirmationClaim,
  type MandateClaims,
  type MayActClaim,
} from './claims.ts';

// Refuses (undefined) or reads one value.
type Reader<T> = (value: JsonValue) => T | undefined;

const TEXT_ID = /^[A-Za-z0-9_.:-]{1,128}$/;
// RFC 9562 §5.7, lower case as the STS writes it.
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
// RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), joined by single spaces.
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
// SHA-256 in base64url without padding (RFC 7638 §3.1, RFC 8705 §3.1).
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;
// Controls and the characters that reorder text would let one subject pass for another in a log or an approval.
// oxlint-disable-next-line no-control-regex -- control characters are what this pattern refuses
const DECEPTIVE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;

const matching =
  (pattern: RegExp, limit: number): Reader<string> =>
  (value) =>
    typeof value === 'string' && value.length <= limit && pattern.test(value) ? value : undefined;

const textId = matching(TEXT_ID, 128);
const uri = matching(VISIBLE_ASCII, mandateLimits.uriCharacters);
const thumbprint = matching(THUMBPRINT, 43);

const subject: Reader<string> = (value) =>
  typeof value === 'string' &&
  value.length > 0 &&
  value.length <= mandateLimits.subjectCharacters &&
  !DECEPTIVE.test(value)
    ? value
    : undefined;

const oneOf =
  <T extends string>(...words: readonly T[]): Reader<T> =>
  (value) =>
    words.find((word) => word === value);

const whole =
  (least: number, most: number = Number.MAX_SAFE_INTEGER): Reader<number> =>
  (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most ? value : undefined;

function listOf<T>(reader: Reader<T>, limit: number): Reader<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value) || value.length === 0 || value.length > limit) return undefined;
    const items: T[] = [];
    for (const item of value as readonly JsonValue[]) {
      const read = reader(item);
      if (read === undefined) return undefined;
      items.push(read);
    }
    return items;
  };
}

// Members by name; the required ones must be there, every other member refuses the object.
function objectOf<T>(members: Readonly<Record<string, Reader<unknown>>>, required: readonly string[]): Reader<T> {
  const names = Object.keys(members);
  return (value) => {
    if (!isObject(value)) return undefined;
    const result: Record<string, unknown> = {};
    let count = 0;
    for (const name of names) {
      if (!Object.hasOwn(value, name)) continue;
      const member = value[name];
      const read = member === undefined ? undefined : members[name]?.(member);
      if (read === undefined) return undefined;
      result[name] = read;
      count += 1;
    }
    if (count !== Object.keys(value).length || count === 0) return undefined;
    return required.every((name) => Object.hasOwn(result, name)) ? (result as T) : undefined;
  };
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const actorShape = objectOf<ActorClaim>(
  { sub: subject, client_id: textId, sid: textId, root_sid: textId, agent_session_id: textId, act: (value) => value },
  ['sub'],
);
const actorName = { sub: subject, client_id: textId };

function actor(depthLeft: number): Reader<ActorClaim> {
  return (value) => {
    const outer = actorShape(value);
    if (outer === undefined) return undefined;
    const { act, ...self } = outer;
    if (act === undefined) return self;
    if (depthLeft === 1) return undefined;
    const inner = actor(depthLeft - 1)(act as unknown as JsonValue);
    return inner === undefined ? undefined : { ...self, act: inner };
  };
}

const claims = objectOf<MandateClaims>(
  {
    iss: uri,
    sub: subject,
    aud: listOf(uri, mandateLimits.audiences),
    exp: whole(1),
    iat: whole(1),
    jti: matching(UUID_V7, 36),
    zone_id: textId,
    client_id: textId,
    use: oneOf('ambient', 'per_call'),
    sub_type: oneOf('user', 'application'),
    scope: matching(SCOPE, mandateLimits.scopeCharacters),
    target: listOf(uri, mandateLimits.targets),
    sid: textId,
    root_sid: textId,
    rev: whole(0),
    agent_session_id: textId,
    delegation_edge_id: textId,
    source_session_id: textId,
    target_session_id: textId,
    delegation_path: listOf(textId, mandateLimits.hops),
    // One link per edge and the receiver at its end.
    delegation_chain: listOf(
      objectOf<ChainLink>({ app: textId, session: textId, edge: textId }, ['app']),
      mandateLimits.hops + 1,
    ),
    hop_count: whole(1, mandateLimits.hops),
    delegation_graph_epoch: whole(1),
    act: actor(mandateLimits.actors),
    may_act: objectOf<MayActClaim>(
      { ...actorName, any_of: listOf(objectOf<ActorName>(actorName, []), mandateLimits.mayAct) },
      [],
    ),
    cnf: objectOf<ConfirmationClaim>({ jkt: thumbprint, 'x5t#S256': thumbprint }, []),
    via: oneOf('gateway'),
  },
  ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'zone_id', 'client_id', 'use', 'sub_type', 'sid', 'root_sid', 'rev'],
);

/**
 * The claims, or undefined when any member is missing, unknown, of another type or out of bounds, or when the life is
 * not positive or above its class's cap.
 */
export function readClaims(value: JsonValue): MandateClaims | undefined {
  const read = claims(value);
  if (read === undefined) return undefined;
  const lifeSeconds = read.exp - read.iat;
  return lifeSeconds > 0 && lifeSeconds <= mandateLifeSeconds[read.use] ? read : undefined;
}
