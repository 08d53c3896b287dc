/**
 * Calls from one service to another: Connect over h2, mutual TLS, the server's identity checked, no retries.
 * It stands alone because retrying is a decision of the flow, which knows what is safe to send twice.
 */
import { createConnectTransport } from '@connectrpc/connect-node';
import type { Interceptor, Transport } from '@connectrpc/connect';
import { newId } from '#mesh/ids';
import { traceFrom } from '#mesh/telemetry';
import { PeerSession } from './peer-session.ts';
import type { PeerSessionOptions } from './peer-session.ts';

export interface PeerTransportOptions extends PeerSessionOptions {
  /** For unary calls that name none; at most 30 s. */
  readonly defaultTimeoutMs?: number | undefined;
}

export interface PeerTransport extends Transport, AsyncDisposable {
  /**
   * Keying material of the connection that carries the open call with this request id (give it with
   * `outgoing({ requestId })`); empty on plaintext, undefined when no such call is open.
   */
  tlsExporter(requestId: string, label?: string): Buffer | undefined;
  /** Looks at the certificate files now. True when new ones are in use for new calls. */
  reloadTls(): boolean;
}

const maxMessageBytes = 1_048_576;
/** Half of the longest unary call, so that a caller under a deadline of its own still has time to say so. */
const defaultTimeoutMs = 15_000;
const authorizeLabel = 'EXPORTER-caracal-authorize-v1';
const exporterBytes = 32;

/** Every call carries a request id and a trace, its own when the caller gave none. */
const identified: Interceptor = (next) => async (request) => {
  if (!request.header.has('x-request-id')) request.header.set('x-request-id', newId());
  if (!request.header.has('traceparent')) request.header.set('traceparent', traceFrom().traceparent);
  return await next(request);
};

/**
 * A transport for generated clients: `createClient(AuditService, createPeerTransport({ … }))`. One connection, opened by
 * the first call and reopened when it is lost. Throws when a certificate file cannot be read, and when the URL's scheme
 * does not fit: https with `tls`, http without.
 */
export function createPeerTransport(options: PeerTransportOptions): PeerTransport {
  const { protocol } = new URL(options.url);
  if (protocol !== (options.tls === undefined ? 'http:' : 'https:')) {
    throw new Error(`the URL of the ${options.expectService} service needs ${options.tls ? 'https' : 'http'}`);
  }
  const session = new PeerSession(options);
  const transport = createConnectTransport({
    baseUrl: options.url,
    httpVersion: '2',
    useBinaryFormat: true,
    sessionManager: session,
    interceptors: [identified],
    acceptCompression: [],
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
  });
  const timeout = options.defaultTimeoutMs ?? defaultTimeoutMs;
  return {
    // A default on the transport itself would end streams too.
    // oxlint-disable-next-line max-params -- the signature is the interface's
    unary: async (method, signal, timeoutMs, header, input, contextValues) =>
      await transport.unary(method, signal, timeoutMs ?? timeout, header, input, contextValues),
    // oxlint-disable-next-line max-params -- the signature is the interface's
    stream: async (method, signal, timeoutMs, header, input, contextValues) =>
      await transport.stream(method, signal, timeoutMs, header, input, contextValues),
    tlsExporter: (requestId, label = authorizeLabel) => session.exporter(requestId, label, exporterBytes),
    reloadTls: () => session.reload(),
    [Symbol.asyncDispose]: async () => session.close(),
  };
}
