/**
 * Which failure of ours an error of the HTTP framework stands for.
 * It stands alone because the framework's codes are its own, and an unlisted one must not show.
 */
import { Failure, asFailure, fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';

const reasons: ReadonlyMap<string, FailureReason> = new Map([
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'unsupported_media_type'],
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'payload_too_large'],
  ['FST_ERR_NOT_FOUND', 'not_found'],
]);

/** The failure to answer with. Errors of ours pass as they are; everything unknown is `internal_error`. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const reason = frameworkReason(error);
  return reason === undefined ? asFailure(error) : fail(reason, { cause: error });
}

/** What the framework calls the client's mistake is one; which, when it is listed, and `invalid_request` otherwise. */
function frameworkReason(error: unknown): FailureReason | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const listed = reasons.get(error.code);
  if (listed !== undefined || !error.code.startsWith('FST_')) return listed;
  const status = 'statusCode' in error ? Number(error.statusCode) : 500;
  return status >= 400 && status < 500 ? 'invalid_request' : undefined;
}
