/**
 * RPC in both directions: Connect, gRPC and gRPC-Web served on the one port, and clients of our peers.
 *
 * Serving:
 * ```ts
 * await http.app.register(createRpcRoutes({
 *   identity, health, logger, metrics, mode,
 *   onRefused: (refused) => trail.emitLater(…), // evidence
 *   routes: (router) => router.service(AuditService, {
 *     getTrace: async (request, context) => {
 *       const query = parseFields((fields) => ({
 *         zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
 *         requestId: fields.id<RequestId>('request_id', request.requestId),
 *       }));
 *       const caller = callerOf(context);               // authorized by topology already
 *       const { requestId, trace } = callFactsOf(context);
 *       return await flows.getTrace(query, { signal: context.signal }); // a thrown Failure becomes the wire error
 *     },
 *   }),
 * }));
 * ```
 * Calling:
 * ```ts
 * await using transport = createPeerTransport({
 *   url: config.peers.stsUrl, expectService: 'sts', trustDomain, tls: { certFile, keyFile, caFile }, // or undefined: h2c
 * });
 * const sts = createClient(StsService, transport);
 * try { await sts.policyStatus({ zoneId }, outgoing({ requestId, traceparent, timeoutMs: 2000 })); }
 * catch (error) { throw failureFromConnect(error, { unavailable: 'sts_unavailable' }); }
 * // for a stream's channel binding: transport.tlsExporter(requestId), and on the server
 * // callFactsOf(context).connection?.exportKeyingMaterial('EXPORTER-caracal-authorize-v1', 32)
 * ```
 */
export { callFactsOf, callerOf, outgoing } from './call-context.ts';
export type { CallFacts, OutgoingCall } from './call-context.ts';
export { connectErrorOf, failureFromConnect } from './failure-detail.ts';
export type { ReadOptions } from './failure-detail.ts';
export { FieldReader, parseFields } from './fields.ts';
export type { IntegerRule, TextRule } from './fields.ts';
export { createPeerHttp } from './peer-http.ts';
export type { PeerHttp, PeerHttpAnswer } from './peer-http.ts';
export type { PeerTls } from './peer-session.ts';
export { createPeerTransport } from './peer-transport.ts';
export type { PeerTransport, PeerTransportOptions } from './peer-transport.ts';
export { createRpcRoutes } from './routes.ts';
export type { RpcRoutesOptions } from './routes.ts';
export { createZoneKeyReader } from './zone-keys.ts';
