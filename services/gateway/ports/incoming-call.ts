// What a flow knows of the request it governs and what it can do with the answer, for HTTP/1.1 and HTTP/2 alike.
import type { Readable } from 'node:stream';
import type { Failure } from '#mesh/failure';
import type { RawHeaders } from '../domain/header-rules.ts';

export interface IncomingCall {
  /** Kept from the caller when well-formed, else new; unique enough to join log, trace and ledger. */
  readonly requestId: string;
  readonly method: string;
  /** The request target as received, one character a byte. */
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  readonly remoteAddress: string;
  /** RFC 8705 §3.1 thumbprint of the certificate of the caller's connection, where it may prove a mandate. */
  readonly certificateThumbprint: string | undefined;
  readonly scheme: 'http' | 'https';
  /** Host or :authority; empty when there is none. */
  readonly authority: string;
  /** Declared length of the body; undefined when it is not declared. */
  readonly contentLength: number | undefined;
  /**
   * The body, which the caller of this owns from then on; undefined when the request has none. Ends with a
   * `payload_too_large` Failure as its error after `limitBytes`, and is not read ahead of its reader.
   */
  openBody(limitBytes: number): Readable | undefined;
  /** True while the body is not all here and nothing of it waits to be read: the caller is what we wait for. */
  awaitsCaller(): boolean;
  /** Bytes of the body received since it was opened. */
  bodyBytes(): number;
}

export interface ResponseSink {
  /** Sends status and headers, at the latest in the next turn, so that a silent stream's head is not held back. */
  start(status: number, headers: RawHeaders): void;
  /** False when the caller reads slower than we write: wait for drained. */
  write(chunk: Uint8Array): boolean;
  end(trailers: RawHeaders): void;
  /** Ends an answer that has begun so that its reader sees it is not whole: reset of the stream or the connection. */
  cut(): void;
  /** An answer that has not begun, as a documented error. */
  refuse(failure: Failure, headers: RawHeaders): void;
  onDrain(listener: () => void): void;
  /** Called once when the caller has gone before the answer was finished. */
  onGone(listener: () => void): void;
}
