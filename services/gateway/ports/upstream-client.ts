// The way to an upstream: one request, its answer as it comes, nothing retried and no redirect followed.
import type { Readable } from 'node:stream';
import type { Failure } from '#mesh/failure';
import type { RawHeaders } from '../domain/header-rules.ts';
import type { Upstream } from '../domain/upstream-url.ts';

export interface UpstreamRequest {
  /** Zones share no connection, to the same upstream neither. */
  readonly zoneId: string;
  readonly upstream: Upstream;
  /** Path and query, byte for byte what is to be sent. */
  readonly target: string;
  readonly method: string;
  readonly headers: RawHeaders;
  readonly body: Readable | undefined;
  /** True where the upstream speaks gRPC, which is HTTP/2 also without TLS. */
  readonly http2: boolean;
}

/** Why no (whole) answer came. */
export type UpstreamFault =
  /** The address behind the name may not be dialled; nothing was sent. */
  | { readonly kind: 'not_allowed'; readonly rule: string }
  /** Nothing was sent: no connection, no name, no TLS. */
  | { readonly kind: 'unreachable' }
  /** The connection broke, or what came back was no HTTP. */
  | { readonly kind: 'broken' }
  /** The request's own body failed. */
  | { readonly kind: 'body'; readonly failure: Failure }
  /** We ended it. */
  | { readonly kind: 'aborted' };

export interface UpstreamEvents {
  /** Called in the turn that writes the first byte, on a connection that is ready. False: nothing is sent. */
  mayStart(): boolean;
  head(status: number, headers: RawHeaders): void;
  /** False: pause until resumed. */
  data(chunk: Uint8Array): boolean;
  end(trailers: RawHeaders): void;
  fault(fault: UpstreamFault): void;
}

export interface UpstreamCall {
  resume(): void;
  /** Ends it at once; events stop. */
  abort(): void;
}

export interface UpstreamClient {
  send(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall;
}
