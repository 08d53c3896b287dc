// What a failed call to another service means for an administrator. A peer that refuses us, fails inside or misses its
// deadline is away: that is the installation's trouble and none of the request's. What it says of the request stands.
import { fail } from '#mesh/failure';
import type { Failure, FailureReason } from '#mesh/failure';
import { failureFromConnect } from '#mesh/rpc';

const installationTrouble: ReadonlySet<FailureReason> = new Set([
  'permission_denied',
  'unauthenticated',
  'internal_error',
  'request_timeout',
  'not_implemented',
]);

/** OPA being away behind the STS: whoever stores, activates or tries a policy waits for it and is denied nothing. */
export function asPolicyFailure(error: unknown): Failure {
  const failure = peerFailure(error, 'sts_unavailable');
  return failure.reason === 'policy_unavailable' ? fail('policy_engine_unavailable', { cause: error }) : failure;
}

/** The failure to answer with; `away` is how this peer's absence is called. */
export function peerFailure(error: unknown, away: FailureReason, description?: string): Failure {
  const failure = failureFromConnect(error, { unavailable: away });
  if (failure.reason === away) return description === undefined ? failure : fail(away, { description, cause: error });
  if (!installationTrouble.has(failure.reason)) return failure;
  return fail(away, { description, privateDetail: failure.reason, cause: error });
}
