/**
 * Who is calling, and may they.
 *
 * ```ts
 * const identity = createIdentity({
 *   trustDomain: config.listener.meshTrustDomain,
 *   meshIdentity: config.listener.meshIdentity,
 *   meshPeers: config.listener.meshPeers,
 *   verifyBearer: (_token, presented) => verifyPresented(presented), // absent where no mandate is taken
 *   clock,
 * });
 * // The listener binds every request; afterwards, anywhere above it:
 * connectionCallerOf(request.raw); // { kind: 'peer', service: 'api', … } | operator | envoy | anonymous
 * connectionOf(request.raw)?.certificate?.thumbprint; // for a mandate bound to a certificate (RFC 8705)
 * ```
 */
export { acceptsBearer, authorizeCall, judgeCall } from './authorize-call.ts';
export type { CallRules, CallVerdict, RefusedCall } from './authorize-call.ts';
export { anonymous, callerName } from './caller.ts';
export type {
  AnonymousCaller,
  BearerCaller,
  Caller,
  ConnectionCaller,
  EnvoyCaller,
  OperatorCaller,
  PeerCaller,
} from './caller.ts';
export { judgeCertificate, parseAnchors, shownCertificate } from './certificate.ts';
export type { Anchors, CertificateVerdict, RefusalRule, ShownCertificate } from './certificate.ts';
export { bindConnection, clientCertificateOf, connectionCallerOf, connectionOf } from './connection.ts';
export type { ClientCertificate, Connection, RawRequest } from './connection.ts';
export { bearerToken, createIdentity, presentedBearer } from './identity.ts';
export type { Identity, IdentityOptions, VerifyBearer } from './identity.ts';
export type { MeshIdentity } from './mesh-asserted.ts';
export { parseIdentity, serviceIdentity, uriNames } from './spiffe.ts';
