/**
 * What is known about the connection under a request, and the place where a request finds it.
 * It stands alone because the listener writes it and everything above reads it: a socket handed over after sniffing
 * loses its addresses, so no one may ask the socket itself.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { ConnectionCaller } from './caller.ts';
import { anonymous } from './caller.ts';

/** A request of either protocol, as Node hands it to a handler. */
export type RawRequest = IncomingMessage | Http2ServerRequest;

/** A client certificate that gives no identity of ours; what it may prove is decided where a mandate is bound to it. */
export interface ClientCertificate {
  /** SHA-256 over the DER form, base64url without padding: RFC 8705 §3.1 `x5t#S256`. */
  readonly thumbprint: string;
  /**
   * True when CLIENT_CA_FILE is not set, or when the certificate chains to one of its anchors, is valid and allows client
   * authentication. A mandate bound to a certificate that is not acceptable must be refused.
   */
  readonly acceptable: boolean;
}

export interface Connection {
  readonly secure: boolean;
  readonly protocol: 'h2' | 'http/1.1';
  /** Empty text when the socket was gone before it could be read. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  /** Who the client certificate says it is, in our trust domain. */
  readonly peer: ConnectionCaller;
  /** The client certificate, ours or not; absent when none was shown. */
  readonly certificate: ClientCertificate | undefined;
  /**
   * Keying material of this TLS connection (RFC 8446 §7.5), bound to `label` with an empty context; undefined on
   * plaintext. Both ends of one connection get the same bytes.
   */
  exportKeyingMaterial(label: string, lengthBytes: number): Buffer | undefined;
}

interface RequestFacts {
  readonly connection: Connection;
  readonly caller: ConnectionCaller;
}

const facts = new WeakMap<RawRequest, RequestFacts>();

/** Called once a request by whoever owns the connection, before any handler sees the request. */
export function bindConnection(request: RawRequest, bound: RequestFacts): void {
  facts.set(request, bound);
}

/** The connection under a request; undefined when the request did not come through our listener. */
export function connectionOf(request: RawRequest): Connection | undefined {
  return facts.get(request)?.connection;
}

/**
 * RFC 8705 §3.1 `x5t#S256` of the client certificate under a request, where it may prove a mandate bound to it: one that
 * gives no identity of ours, and that CLIENT_CA_FILE lets through.
 */
export function clientCertificateOf(request: RawRequest): string | undefined {
  const connection = connectionOf(request);
  const { certificate, peer } = connection ?? {};
  return certificate?.acceptable === true && peer?.kind === 'anonymous' ? certificate.thumbprint : undefined;
}

/** Who the connection says is calling; `anonymous` when nothing is known. A bearer token is not looked at. */
export function connectionCallerOf(request: RawRequest): ConnectionCaller {
  return facts.get(request)?.caller ?? anonymous;
}
