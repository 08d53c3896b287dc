/**
 * How a failure travels on Connect, gRPC and gRPC-Web, and how it is read back.
 * It stands alone so that server and client agree on one detail message and neither leaks more than its public part.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { FailureSchema } from '#gen/caracal/failure/v1/failure_pb';
import { parseStrictJson } from '#mesh/canonical';
import { Failure, asFailure, catalogue, fail, reasonOfNumber } from '#mesh/failure';
import type { ConnectCodeName, FailureReason, JsonObject } from '#mesh/failure';

const codes: Readonly<Record<ConnectCodeName, Code>> = {
  canceled: Code.Canceled,
  unknown: Code.Unknown,
  invalid_argument: Code.InvalidArgument,
  deadline_exceeded: Code.DeadlineExceeded,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  out_of_range: Code.OutOfRange,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
  data_loss: Code.DataLoss,
  unauthenticated: Code.Unauthenticated,
};

/** The bound of `Failure.details_json`. */
const maxDetailsBytes = 8192;
/** Deeper than any details of ours. */
const maxDetailsDepth = 16;

/** The error of the wire. Errors of the RPC library (cancelled, deadline) keep their code and get the fitting reason. */
export function connectErrorOf(error: unknown, requestId: string): ConnectError {
  if (error instanceof ConnectError) return withDetail(error, requestId);
  const failure = asFailure(error);
  const { entry } = failure;
  const metadata: Record<string, string> = {};
  if (failure.retryAfterMs !== undefined) metadata['retry-after'] = String(Math.ceil(failure.retryAfterMs / 1000));
  return new ConnectError(failure.description, codes[entry.code], metadata, [detailOf(failure, requestId)], failure);
}

function withDetail(error: ConnectError, requestId: string): ConnectError {
  if (error.details.length > 0) return error;
  const code = isUnreadable(error) ? Code.InvalidArgument : error.code;
  const failure = fail(reasonOfCode[code], { cause: error });
  return new ConnectError(failure.description, code, error.metadata, [detailOf(failure, requestId)], error);
}

/** The library calls bytes that are no message an internal error; they are the sender's mistake. */
function isUnreadable({ code, rawMessage }: ConnectError): boolean {
  return code === Code.Internal && rawMessage.startsWith('parse binary');
}

function detailOf(failure: Failure, requestId: string) {
  const details = failure.details === undefined ? '' : JSON.stringify(failure.details);
  return {
    desc: FailureSchema,
    value: {
      reason: failure.entry.number,
      requestId,
      retryable: failure.entry.retryable,
      retryAfterMs: BigInt(Math.ceil(failure.retryAfterMs ?? 0)),
      fields: failure.fields.map(({ path, rule }) => ({ path, rule })),
      detailsJson: Buffer.byteLength(details) > maxDetailsBytes ? '' : details,
    },
  };
}

/** What a bare code says, when nobody said more. */
const reasonOfCode: Readonly<Record<Code, FailureReason>> = {
  [Code.InvalidArgument]: 'invalid_request',
  [Code.OutOfRange]: 'invalid_request',
  [Code.ResourceExhausted]: 'payload_too_large',
  [Code.DeadlineExceeded]: 'request_timeout',
  [Code.Canceled]: 'request_timeout',
  [Code.Unimplemented]: 'not_implemented',
  [Code.NotFound]: 'not_found',
  [Code.PermissionDenied]: 'permission_denied',
  [Code.Unauthenticated]: 'unauthenticated',
  [Code.AlreadyExists]: 'conflict',
  [Code.Aborted]: 'conflict',
  [Code.FailedPrecondition]: 'conflict',
  [Code.Unavailable]: 'store_unavailable',
  [Code.Unknown]: 'internal_error',
  [Code.Internal]: 'internal_error',
  [Code.DataLoss]: 'internal_error',
};

/** Codes by which a peer, or the way to it, says that it did not answer. */
const absence: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Aborted,
  Code.Unknown,
  Code.Internal,
]);

export interface ReadOptions {
  /** What it means for us that this peer is away, refuses the connection or misses the deadline. */
  readonly unavailable: FailureReason;
}

/** The failure behind an error of a client call: the peer's own when it sent one, else what its absence means. */
export function failureFromConnect(error: unknown, options: ReadOptions = { unavailable: 'internal_error' }): Failure {
  if (error instanceof Failure) return error;
  const wire = ConnectError.from(error);
  const [detail] = wire.findDetails(FailureSchema);
  const reason = detail === undefined ? undefined : reasonOfNumber(detail.reason);
  if (detail === undefined || reason === undefined) return fail(bareReason(wire.code, options), { cause: error });
  return fail(reason, {
    // The catalogue's sentence is ours already; another one was written for the caller's eyes by a peer of ours.
    ...(wire.rawMessage === catalogue[reason].sentence ? {} : { description: wire.rawMessage }),
    fields: detail.fields.map(({ path, rule }) => ({ path, rule })),
    details: detailsFrom(detail.detailsJson),
    ...(detail.retryAfterMs > 0n ? { retryAfterMs: Number(detail.retryAfterMs) } : {}),
    cause: error,
  });
}

function bareReason(code: Code, { unavailable }: ReadOptions): FailureReason {
  return absence.has(code) ? unavailable : reasonOfCode[code];
}

function detailsFrom(text: string): JsonObject | undefined {
  if (text === '') return undefined;
  try {
    const value = parseStrictJson(text, { maxBytes: maxDetailsBytes, maxDepth: maxDetailsDepth });
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    // Details are a courtesy: an unreadable one must not hide the failure itself.
    return undefined;
  }
}
