/**
 * Error replies for requests that no handler can answer: unreadable, too late, or too large to parse.
 * It stands alone because they are written without a request object, in the one error shape of the HTTP edges.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { catalogue } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';

export interface RawError {
  readonly reason: FailureReason;
  readonly status: number;
}

/** RFC 6585 §5 gives oversized headers their own status; everything unreadable is 400 (RFC 9112 §3). */
export function rawErrorOf(code: string | undefined): RawError | undefined {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { reason: 'request_timeout', status: 408 };
    case 'HPE_HEADER_OVERFLOW':
      return { reason: 'payload_too_large', status: 431 };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { reason: 'payload_too_large', status: 413 };
    case 'ECONNRESET':
    case 'EPIPE':
    case 'ERR_STREAM_PREMATURE_CLOSE':
    case undefined:
      return undefined;
    default:
      return { reason: 'invalid_request', status: 400 };
  }
}

/** The body every HTTP edge uses for errors. */
export function errorBody(reason: FailureReason, requestId: string): string {
  const { oauthError, sentence } = catalogue[reason];
  const details = oauthError === reason ? {} : { details: { reason } };
  return JSON.stringify({ error: oauthError, error_description: sentence, requestId, ...details });
}

/** Writes a whole HTTP/1.1 answer and ends the socket after it. */
export function writeRawError(socket: Duplex, { reason, status }: RawError, requestId: string): void {
  const body = errorBody(reason, requestId);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    `X-Request-Id: ${requestId}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
