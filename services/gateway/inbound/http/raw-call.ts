// An incoming HTTP/1.1 or HTTP/2 request in the terms of the flow.
import type { Readable } from 'node:stream';
import { clientCertificateOf, connectionOf, type RawRequest } from '#mesh/identity';
import { CallerBody } from './caller-body.ts';

// "::ffff:192.0.2.1" is how a dual-stack socket names an IPv4 peer; upstreams expect the plain form.
const mapped = '::ffff:';

export class RawCall {
  readonly requestId: string;
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: readonly string[];
  readonly remoteAddress: string;
  readonly certificateThumbprint: string | undefined;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly contentLength: number | undefined;
  readonly #request: RawRequest;
  readonly #hasBody: boolean;
  #body: CallerBody | undefined;

  constructor(request: RawRequest, requestId: string) {
    const connection = connectionOf(request);
    const remote = connection?.remoteAddress ?? '';
    this.#request = request;
    this.requestId = requestId;
    this.method = request.method ?? '';
    this.target = request.url ?? '';
    this.rawHeaders = request.rawHeaders;
    this.remoteAddress = remote.startsWith(mapped) ? remote.slice(mapped.length) : remote;
    this.certificateThumbprint = clientCertificateOf(request);
    this.scheme = connection?.secure === true ? 'https' : 'http';
    this.authority = authorityOf(request);
    const declared = request.headers['content-length'];
    this.contentLength = declared === undefined ? undefined : Number(declared);
    this.#hasBody = hasBody(request, this.contentLength ?? 0);
  }

  openBody(limitBytes: number): Readable | undefined {
    if (!this.#hasBody) return undefined;
    this.#body ??= new CallerBody(this.#request, limitBytes);
    return this.#body;
  }

  awaitsCaller(): boolean {
    return this.#body?.awaitsCaller ?? false;
  }

  bodyBytes(): number {
    return this.#body?.bytes ?? 0;
  }

  /** True when part of the request was not read and an HTTP/1.1 connection can therefore not be used again. */
  get isUnread(): boolean {
    return this.#hasBody && !this.#request.complete;
  }
}

function authorityOf(request: RawRequest): string {
  const authority = 'authority' in request ? request.authority : undefined;
  return authority ?? request.headers.host ?? '';
}

function hasBody(request: RawRequest, declaredBytes: number): boolean {
  if ('stream' in request) return !request.stream.endAfterHeaders;
  return request.headers['transfer-encoding'] !== undefined || declaredBytes > 0;
}
