/**
 * The id a request carries through logs, answers, traces and the ledger.
 * It stands alone because the raw proxy handler and the framework behind it must name one request by one id.
 */
import { newId, parseRequestId } from '#mesh/ids';
import type { RequestId } from '#mesh/ids';
import type { RawRequest } from '#mesh/identity';

const ids = new WeakMap<RawRequest, RequestId>();

/** The client's `X-Request-Id` when it follows the rule of ids, else a new UUIDv7. The same at every call. */
export function requestIdOf(request: RawRequest): RequestId {
  const known = ids.get(request);
  if (known !== undefined) return known;
  const header = request.headers['x-request-id'];
  const id = parseRequestId(typeof header === 'string' ? header : undefined) ?? (newId() as RequestId);
  ids.set(request, id);
  return id;
}
