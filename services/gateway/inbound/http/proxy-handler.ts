// The first code that sees a request: the Gateway's few own paths go to the web framework, everything else is a governed
// call. It stands before the framework, which would answer odd paths and methods itself.
import { newId, parseRequestId } from '#mesh/ids';
import type { RawRequest } from '#mesh/identity';
import type { RawResponse } from '#mesh/listener';
import { isReservedPath } from '../../domain/routing.ts';
import type { ForwardRequest } from '../../flows/forward-request/forward-request.ts';
import { RawCall } from './raw-call.ts';
import { RawSink } from './raw-sink.ts';

export type RawHandler = (request: RawRequest, response: RawResponse) => void;

export function createProxyHandler(forward: ForwardRequest['forward'], reserved: RawHandler): RawHandler {
  return (request, response) => {
    if (isReservedPath(request.url ?? '')) return reserved(request, response);
    const header = request.headers['x-request-id'];
    const requestId = (typeof header === 'string' ? parseRequestId(header) : undefined) ?? newId();
    const call = new RawCall(request, requestId);
    void forward(call, new RawSink(response, call));
  };
}
