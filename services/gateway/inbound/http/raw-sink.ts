// The answer to an HTTP/1.1 or HTTP/2 request in the terms of the flow: passed on as it comes, or broken off so that
// nobody takes a part for the whole.
import { constants } from 'node:http2';
import type { Failure } from '#mesh/failure';
import { sendFailure, type RawResponse } from '#mesh/http';

import type { RawCall } from './raw-call.ts';

export class RawSink {
  readonly #response: RawResponse;
  readonly #call: RawCall;
  #flushed = false;

  constructor(response: RawResponse, call: RawCall) {
    this.#response = response;
    this.#call = call;
  }

  start(status: number, headers: readonly string[]): void {
    const response = this.#response;
    if (response.destroyed || response.headersSent) return;
    if ('stream' in response) response.writeHead(status, byName(headers));
    else {
      if (this.#call.isUnread && status >= 400) response.setHeader('connection', 'close');
      response.writeHead(status, [...headers]);
    }
    // A body's first bytes usually come in the same read as the head and leave in the same write; when none has come by
    // the end of this turn, the head goes alone.
    queueMicrotask(() => {
      // HTTP/2's writeHead has sent the head already.
      if (this.#flushed || 'stream' in response || response.destroyed || response.writableEnded) return;
      this.#flushed = true;
      response.flushHeaders();
    });
  }

  write(chunk: Uint8Array): boolean {
    this.#flushed = true;
    const response = this.#response;
    return 'stream' in response ? response.write(chunk) : response.write(chunk);
  }

  end(trailers: readonly string[]): void {
    this.#flushed = true;
    const response = this.#response;
    if (trailers.length > 0) response.addTrailers(byName(trailers));
    response.end();
  }

  cut(): void {
    const response = this.#response;
    // INTERNAL_ERROR, because clients take CANCEL for a plain end; on HTTP/1.1 the missing end of the body says the same.
    if ('stream' in response) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else response.destroy();
  }

  refuse(failure: Failure, headers: readonly string[]): void {
    const response = this.#response;
    if (response.headersSent || response.destroyed) return;
    for (const [name, values] of Object.entries(byName(headers))) response.setHeader(name, values);
    // What is left of an unread body would be taken for the next request; the connection ends instead.
    if (!('stream' in response) && this.#call.isUnread) response.setHeader('connection', 'close');
    sendFailure(response, failure, this.#call.requestId);
  }

  onDrain(listener: () => void): void {
    this.#response.on('drain', listener);
  }

  onGone(listener: () => void): void {
    const response = this.#response;
    let finished = false;
    response.once('finish', () => (finished = true));
    response.once('close', () => {
      if (!finished) listener();
    });
    response.on('error', listener);
  }
}

// What Node's HTTP/2 refuses to send twice and upstreams do repeat; the first one stands (RFC 9110 §5.3 forbids more).
const standsOnce = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'age',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'etag',
  'expires',
  'last-modified',
  'location',
  'retry-after',
  'tk',
  'x-content-type-options',
]);

// HTTP/2 and trailers take an object; repeated names become lists.
function byName(headers: readonly string[]): Record<string, string | string[]> {
  const named = Object.create(null) as Record<string, string | string[]>;
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    const value = headers[at + 1] ?? '';
    const known = named[name];
    if (known === undefined) named[name] = value;
    else if (standsOnce.has(name)) continue;
    else if (Array.isArray(known)) known.push(value);
    else named[name] = [known, value];
  }
  return named;
}
