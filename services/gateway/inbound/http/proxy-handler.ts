// The first code that sees a request: the Gateway's few own paths are left to the web framework, everything else is a
// governed call. It stands before the framework, which would answer odd paths and methods itself.
import { requestIdOf, type RawResponse } from '#mesh/http';
import type { RawRequest } from '#mesh/identity';
import { isReservedPath } from '../../domain/routing.ts';
import type { ForwardRequest } from '../../flows/forward-request/forward-request.ts';
import { RawCall } from './raw-call.ts';
import { RawSink } from './raw-sink.ts';

/** True when the request was taken as a governed call. */
export type TakesRequest = (request: RawRequest, response: RawResponse) => boolean;

export function createProxyHandler(flow: Pick<ForwardRequest, 'forward'>): TakesRequest {
  return (request, response) => {
    if (isReservedPath(request.url ?? '')) return false;
    const call = new RawCall(request, requestIdOf(request));
    void flow.forward(call, new RawSink(response, call));
    return true;
  };
}
