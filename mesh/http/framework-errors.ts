/**
 * Which failure of ours an error of the HTTP framework stands for.
 * It stands alone because the framework's codes are its own, and an unlisted one must not show.
 */
import { Failure, asFailure, fail } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';

const reasons: ReadonlyMap<string, FailureReason> = new Map([
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'unsupported_media_type'],
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'payload_too_large'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'invalid_request'],
  ['FST_ERR_CTP_EMPTY_JSON_BODY', 'invalid_request'],
  ['FST_ERR_CTP_INVALID_JSON_BODY', 'invalid_request'],
  ['FST_ERR_BAD_URL', 'invalid_request'],
  ['FST_ERR_MAX_LIMIT', 'invalid_request'],
  ['FST_ERR_VALIDATION', 'invalid_request'],
  ['FST_ERR_NOT_FOUND', 'not_found'],
]);

/** The failure to answer with. Errors of ours pass as they are; everything unknown is `internal_error`. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const reason = error instanceof Error && 'code' in error ? reasons.get(String(error.code)) : undefined;
  return reason === undefined ? asFailure(error) : fail(reason, { cause: error });
}
