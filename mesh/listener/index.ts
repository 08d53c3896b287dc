/**
 * The one port of a service.
 *
 * ```ts
 * const listener = createListener({
 *   host: config.listener.host,
 *   port: config.listener.port,
 *   tls: { certFile, keyFile, meshCaFile, clientCaFile }, // absent: plaintext HTTP/1.1 and h2c
 *   handler: http.handler, // (request, response) => void, from #mesh/http
 *   identity, clock, logger, metrics,
 *   limits: { requestTimeoutMs: 300_000 }, // only what differs
 * });
 * await listener.listen();
 * // in a handler: peerOf(request), remoteOf(request), tlsExporter(request)
 * await listener.drain(10_000);
 * ```
 */
export { defaultLimits } from './limits.ts';
export type { ListenerLimits } from './limits.ts';
export { createListener } from './listener.ts';
export type { DrainResult, Listener, ListenerOptions } from './listener.ts';
export type { RawResponse } from './live-connection.ts';
export { peerOf, remoteOf, tlsExporter } from './request-facts.ts';
export type { TlsFiles } from './tls-material.ts';
