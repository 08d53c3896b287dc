// The closed list of reasons why a call can fail, and what each looks like on every surface.
// It stands alone as data: the proto enum and docs/reference/errors.md are held equal to it by a test.
import type { ConnectCodeName } from './connect-code.ts';

export interface CatalogueEntry {
  /** Value of `caracal.failure.v1.Reason`. Never reused. */
  readonly number: number;
  /** Status on Connect, gRPC and gRPC-Web. */
  readonly code: ConnectCodeName;
  readonly httpStatus: number;
  /** The word in `error` on HTTP edges: a registered OAuth error where one fits, else the reason itself. */
  readonly oauthError: string;
  /** True when the same request may succeed later without a change. */
  readonly retryable: boolean;
  /** What anyone may read. Names no host, id, value or internal part. */
  readonly sentence: string;
}

type Row = readonly [
  number: number,
  code: ConnectCodeName,
  httpStatus: number,
  oauthError: string,
  retry: 'retry' | 'final',
  sentence: string,
];

const rows = {
  // The request itself is wrong (RFC 6749 §5.2, RFC 8693 §2.2.2, RFC 8707 §2).
  invalid_request: [1, 'invalid_argument', 400, 'invalid_request', 'final', 'The request is malformed.'],
  invalid_scope: [2, 'invalid_argument', 400, 'invalid_scope', 'final', 'The requested scope cannot be granted.'],
  invalid_target: [3, 'invalid_argument', 400, 'invalid_target', 'final', 'A requested resource cannot be granted.'],
  unsupported_grant_type: [
    4,
    'invalid_argument',
    400,
    'unsupported_grant_type',
    'final',
    'This grant type is not supported.',
  ],
  invalid_path: [5, 'invalid_argument', 400, 'invalid_path', 'final', 'The path is ambiguous and was not forwarded.'],
  policy_invalid: [6, 'invalid_argument', 422, 'policy_invalid', 'final', 'The policy does not compile.'],
  request_timeout: [7, 'deadline_exceeded', 408, 'request_timeout', 'retry', 'The request took too long to arrive.'],
  payload_too_large: [8, 'resource_exhausted', 413, 'payload_too_large', 'final', 'The request is too large.'],
  unsupported_media_type: [
    9,
    'invalid_argument',
    415,
    'unsupported_media_type',
    'final',
    'The content type is not supported here.',
  ],
  method_not_allowed: [10, 'unimplemented', 405, 'method_not_allowed', 'final', 'The method is not allowed here.'],

  // The credential was not accepted (RFC 6749 §5.2, RFC 6750 §3.1).
  invalid_client: [20, 'unauthenticated', 401, 'invalid_client', 'final', 'The client could not be authenticated.'],
  invalid_token: [21, 'unauthenticated', 401, 'invalid_token', 'final', 'The token is not valid here.'],
  token_replayed: [22, 'unauthenticated', 401, 'invalid_token', 'final', 'The token has already been used.'],
  token_revoked: [23, 'unauthenticated', 401, 'invalid_token', 'final', 'The token has been revoked.'],
  invalid_admin_token: [24, 'unauthenticated', 401, 'invalid_admin_token', 'final', 'The admin token is not valid.'],
  unauthenticated: [25, 'unauthenticated', 401, 'unauthenticated', 'final', 'A credential is required.'],
  interaction_required: [
    26,
    'unauthenticated',
    401,
    'interaction_required',
    'final',
    'An approval is required before this may happen.',
  ],

  // The credential is good, the authority is not enough.
  access_denied: [40, 'permission_denied', 403, 'access_denied', 'final', 'Access is denied.'],
  policy_denied: [41, 'permission_denied', 403, 'policy_denied', 'final', 'Policy denies this request.'],
  policy_unavailable: [
    42,
    'permission_denied',
    403,
    'policy_unavailable',
    'retry',
    'Policy could not be evaluated, so the request is denied.',
  ],
  insufficient_scope: [
    43,
    'permission_denied',
    403,
    'insufficient_scope',
    'final',
    'The token does not carry the scope this needs.',
  ],
  permission_denied: [44, 'permission_denied', 403, 'permission_denied', 'final', 'The caller may not do this.'],
  zone_mismatch: [45, 'permission_denied', 403, 'zone_mismatch', 'final', 'The credential belongs to another zone.'],
  admin_token_zone_mismatch: [
    46,
    'permission_denied',
    403,
    'admin_token_zone_mismatch',
    'final',
    'The admin token is for another zone.',
  ],
  admin_token_read_only: [
    47,
    'permission_denied',
    403,
    'admin_token_read_only',
    'final',
    'The admin token may not do this.',
  ],
  upstream_not_allowed: [
    48,
    'permission_denied',
    403,
    'upstream_not_allowed',
    'final',
    'The upstream address is not allowed.',
  ],
  credential_not_releasable: [
    49,
    'permission_denied',
    403,
    'credential_not_releasable',
    'final',
    'The credential of this resource may not be released here.',
  ],
  delegation_exceeds_authority: [
    50,
    'permission_denied',
    403,
    'delegation_exceeds_authority',
    'final',
    'The delegation asks for more than its source holds.',
  ],

  // The named thing is not there, or is in another state than the call needs.
  not_found: [60, 'not_found', 404, 'not_found', 'final', 'There is nothing by that name here.'],
  conflict: [61, 'aborted', 409, 'conflict', 'final', 'The request conflicts with what exists.'],
  version_mismatch: [62, 'aborted', 412, 'version_mismatch', 'final', 'The object has changed since it was read.'],
  session_not_live: [63, 'failed_precondition', 409, 'session_not_live', 'final', 'The agent session is not live.'],
  delegation_not_active: [
    64,
    'failed_precondition',
    409,
    'delegation_not_active',
    'final',
    'The delegation is not active.',
  ],
  delegation_cycle: [
    65,
    'failed_precondition',
    409,
    'delegation_cycle',
    'final',
    'The delegation would lead back to its source.',
  ],

  // A limit was met.
  rate_limited: [80, 'resource_exhausted', 429, 'rate_limited', 'retry', 'Too many requests; come back later.'],
  zone_session_limit: [
    81,
    'resource_exhausted',
    429,
    'zone_session_limit',
    'retry',
    'The zone has as many live agent sessions as it may.',
  ],
  application_session_limit: [
    82,
    'resource_exhausted',
    429,
    'application_session_limit',
    'retry',
    'The application has as many live agent sessions as it may.',
  ],
  child_session_limit: [
    83,
    'resource_exhausted',
    429,
    'child_session_limit',
    'retry',
    'The parent session has as many live children as it may.',
  ],
  session_depth_limit: [
    84,
    'resource_exhausted',
    429,
    'session_depth_limit',
    'final',
    'Agent sessions may not nest deeper.',
  ],
  delegation_limit: [
    85,
    'resource_exhausted',
    429,
    'delegation_limit',
    'retry',
    'The session delegates to as many others as it may.',
  ],

  // A part is away or failed; nothing was allowed because of it.
  internal_error: [100, 'internal', 500, 'internal_error', 'final', 'Something failed on our side.'],
  store_unavailable: [101, 'unavailable', 503, 'store_unavailable', 'retry', 'The store is not available.'],
  sts_unavailable: [102, 'unavailable', 503, 'sts_unavailable', 'retry', 'The token service is not available.'],
  audit_unavailable: [
    103,
    'unavailable',
    503,
    'audit_unavailable',
    'retry',
    'Evidence cannot be recorded, so nothing is released.',
  ],
  revocation_stale: [104, 'unavailable', 503, 'revocation_stale', 'retry', 'Revocations are not known to be current.'],
  replay_store_unavailable: [
    105,
    'unavailable',
    503,
    'replay_store_unavailable',
    'retry',
    'Single use cannot be checked at the moment.',
  ],
  limiter_unavailable: [
    106,
    'unavailable',
    503,
    'limiter_unavailable',
    'retry',
    'Limits cannot be checked at the moment.',
  ],
  upstream_unreachable: [
    107,
    'unavailable',
    502,
    'upstream_unreachable',
    'retry',
    'The upstream could not be reached.',
  ],
  upstream_timeout: [
    108,
    'deadline_exceeded',
    504,
    'upstream_timeout',
    'final',
    'The upstream did not answer in time.',
  ],
  barrier_timeout: [
    109,
    'deadline_exceeded',
    504,
    'barrier_timeout',
    'retry',
    'The revocation stands, but not every enforcement point confirmed it in time.',
  ],
  coordinator_unavailable: [
    110,
    'unavailable',
    503,
    'coordinator_unavailable',
    'retry',
    'The session service is not available.',
  ],
  draining: [111, 'unavailable', 503, 'draining', 'retry', 'This replica is shutting down.'],
  not_implemented: [112, 'unimplemented', 501, 'not_implemented', 'final', 'This is not available here.'],
} as const satisfies Readonly<Record<string, Row>>;

/** A reason of the catalogue: the proto enum's name without `REASON_`, in lower case. */
export type FailureReason = keyof typeof rows;

function entry([number, code, httpStatus, oauthError, retry, sentence]: Row): CatalogueEntry {
  return Object.freeze({ number, code, httpStatus, oauthError, retryable: retry === 'retry', sentence });
}

/** Every reason and what it looks like outside. Frozen. */
export const catalogue: { readonly [R in FailureReason]: CatalogueEntry } = Object.freeze(
  // fromEntries knows no key union; the keys are exactly those of `rows`.
  Object.fromEntries(Object.entries(rows).map(([reason, row]) => [reason, entry(row)])) as {
    [R in FailureReason]: CatalogueEntry;
  },
);

/** True for a string that names a reason of the catalogue. */
export function isFailureReason(value: unknown): value is FailureReason {
  return typeof value === 'string' && Object.hasOwn(catalogue, value);
}

const byNumber = new Map(Object.entries(catalogue).map(([reason, { number }]) => [number, reason as FailureReason]));

/** The reason of a proto enum value; undefined for 0 and for values this build does not know. */
export function reasonOfNumber(number: number): FailureReason | undefined {
  return byNumber.get(number);
}
