/**
 * Gives errors that the RPC library made by itself (unreadable messages, wrong framing, wrong type) the one form of all
 * errors: a safe sentence and the failure detail.
 * It stands alone because those errors arise before any handler or interceptor, and their words quote the input.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { codeToHttpStatus, errorFromJsonBytes, errorToJsonBytes } from '@connectrpc/connect/protocol-connect';
import { findTrailerError, setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import { trailerFlag, trailerParse, trailerSerialize } from '@connectrpc/connect/protocol-grpc-web';
import { catalogue } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import { factsOfValues } from './call-context.ts';
import { connectErrorOf } from './failure-detail.ts';

/** Told about each error that got its form here; no handler and no interceptor saw the call. */
export type ReportProtocolError = (rpc: string, error: ConnectError, request: UniversalServerRequest) => void;

/** The same handler, with every error documented. */
export function withDocumentedErrors(handler: UniversalHandler, report: ReportProtocolError): UniversalHandler {
  const { service, method, requestPath, supportedContentType, protocolNames, allowedMethods } = handler;
  const answer = async (request: UniversalServerRequest): Promise<UniversalServerResponse> => {
    const response = await handler(request);
    const requestId = requestIdOf(request);
    const complete = (error: ConnectError | undefined): ConnectError | undefined => {
      if (error === undefined || error.details.length > 0) return undefined;
      const completed = connectErrorOf(error, requestId);
      report(`${service.typeName}/${method.name}`, completed, request);
      return completed;
    };
    return await documented(response, { complete, requestId, allowedMethods });
  };
  return Object.assign(answer, { service, method, requestPath, supportedContentType, protocolNames, allowedMethods });
}

function requestIdOf({ contextValues }: UniversalServerRequest): string {
  return contextValues === undefined ? '' : (factsOfValues(contextValues)?.requestId ?? '');
}

interface Completion {
  /** The error with its detail; undefined when there is no error or it has one. */
  readonly complete: (error: ConnectError | undefined) => ConnectError | undefined;
  readonly requestId: string;
  readonly allowedMethods: readonly string[];
}

async function documented(response: UniversalServerResponse, by: Completion): Promise<UniversalServerResponse> {
  const type = response.header?.get('content-type') ?? '';
  if (response.body === undefined) return response.status < 400 ? response : bareRefusal(response, by);
  if (response.status >= 400) return await connectUnary(response, by);
  if (/^application\/grpc-web\b/.test(type)) return { ...response, body: grpcWebFrames(response.body, by) };
  if (/^application\/grpc\b/.test(type) && response.trailer !== undefined) {
    return { ...response, body: grpcBody(response.body, response.trailer, by) };
  }
  return response;
}

/** Statuses without words: the wrong method, or a content type that no protocol has. */
function bareRefusal(response: UniversalServerResponse, { requestId, allowedMethods }: Completion) {
  const reason = bareReasons.get(response.status);
  if (reason === undefined) return response;
  const { oauthError, sentence } = catalogue[reason];
  const body = JSON.stringify({ error: oauthError, error_description: sentence, requestId });
  const header = new Headers(response.header);
  header.set('content-type', 'application/json; charset=utf-8');
  // RFC 9110 §15.5.6.
  if (response.status === 405) header.set('allow', allowedMethods.join(', '));
  return { ...response, header, body: once(new TextEncoder().encode(body)) };
}

const bareReasons: ReadonlyMap<number, FailureReason> = new Map([
  [405, 'method_not_allowed'],
  [415, 'unsupported_media_type'],
]);

async function connectUnary(response: UniversalServerResponse, by: Completion): Promise<UniversalServerResponse> {
  const bytes = await collect(response.body);
  const fallback = new ConnectError('unreadable', Code.Internal);
  const completed = by.complete(errorFromJsonBytes(bytes, undefined, fallback));
  if (completed === undefined) return { ...response, body: once(bytes) };
  const body = errorToJsonBytes(completed, undefined);
  const header = new Headers(response.header);
  header.set('content-length', String(body.byteLength));
  return { ...response, status: codeToHttpStatus(completed.code), header, body: once(body) };
}

/** gRPC says how a call ended in trailers, which are complete when the body is. */
async function* grpcBody(body: AsyncIterable<Uint8Array>, trailer: Headers, by: Completion) {
  yield* body;
  const completed = by.complete(findTrailerError(trailer));
  if (completed !== undefined) setTrailerStatus(trailer, completed);
}

/** gRPC-Web says it in the last frame. Each chunk here is one whole frame: flag, length, data. */
async function* grpcWebFrames(body: AsyncIterable<Uint8Array>, by: Completion) {
  for await (const frame of body) {
    const trailer = frame[0] === trailerFlag ? trailerParse(frame.subarray(frameHeadBytes)) : undefined;
    const completed = trailer === undefined ? undefined : by.complete(findTrailerError(trailer));
    if (trailer === undefined || completed === undefined) yield frame;
    else yield encodeEnvelope(trailerFlag, trailerSerialize(setTrailerStatus(trailer, completed)));
  }
}

/** One byte of flags and four of length (gRPC over HTTP2, "Length-Prefixed-Message"). */
const frameHeadBytes = 5;

async function collect(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return Uint8Array.from(Buffer.concat(chunks));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
