/**
 * A service's whole surface from its settings: identity, HTTP, RPC and the port, put together in the one right order.
 * It stands alone so that five wirings do not each repeat, and slowly vary, the same thirty lines.
 */
import type { ConnectRouter } from '@connectrpc/connect';
import type { FastifyInstance } from 'fastify';
import type { Health } from '#mesh/health';
import { createHttpServer } from '#mesh/http';
import type { HttpServer, HttpServerOptions } from '#mesh/http';
import { createIdentity } from '#mesh/identity';
import type { Identity, MeshIdentity, VerifyBearer } from '#mesh/identity';
import { createListener } from '#mesh/listener';
import type { Listener, ListenerOptions, TlsFiles } from '#mesh/listener';
import { createRpcRoutes } from '#mesh/rpc';
import type { PeerTls, RpcRoutesOptions } from '#mesh/rpc';
import type { Logger, Metrics } from '#mesh/telemetry';
import type { Clock } from '#mesh/time';
import type { ServiceName } from '#mesh/topology';

/** The part of `listenerSettings(service)` that decides a surface. */
export interface SurfaceSettings {
  readonly port: number;
  readonly host: string;
  readonly tlsCertFile?: string | undefined;
  readonly tlsKeyFile?: string | undefined;
  readonly clientCaFile?: string | undefined;
  readonly meshCaFile?: string | undefined;
  readonly meshTrustDomain?: string | undefined;
  readonly meshIdentity?: MeshIdentity | undefined;
  readonly meshPeers?: ReadonlyMap<string, ServiceName> | Readonly<Record<string, ServiceName>> | undefined;
  readonly metricsBearer?: string | undefined;
}

export interface SurfaceOptions {
  readonly service: ServiceName;
  /** `config.listener`. */
  readonly settings: SurfaceSettings;
  readonly mode: 'dev' | 'rc' | 'stable';
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly clock: Clock;
  /** Absent where no surface takes mandates. */
  readonly verifyBearer?: VerifyBearer<unknown> | undefined;
  /** Nonces for callers whose proof was refused; absent where no proofs are taken. */
  readonly proofNonce?: (() => string) | undefined;
  /** Absent where the service serves no RPC of its own; health and reflection are served all the same. */
  readonly rpc?: ((router: ConnectRouter) => void) | undefined;
  readonly onRefused?: RpcRoutesOptions['onRefused'];
  /** Registers HTTP routes. */
  readonly http?: ((app: FastifyInstance) => void | Promise<void>) | undefined;
  readonly handlerBefore?: HttpServerOptions['handlerBefore'];
  readonly upgrade?: ListenerOptions['upgrade'];
  readonly limits?: ListenerOptions['limits'];
}

export interface Surface extends AsyncDisposable {
  readonly identity: Identity;
  readonly http: HttpServer;
  /** Not listening yet: `runService` opens it. */
  readonly listener: Listener;
}

/** Fails when a route cannot be registered or the TLS files cannot be used. */
export async function createSurface(options: SurfaceOptions): Promise<Surface> {
  const { service, settings, mode, logger, metrics, health, clock } = options;
  const identity = createIdentity({
    trustDomain: settings.meshTrustDomain,
    meshIdentity: settings.meshIdentity,
    meshPeers: settings.meshPeers,
    verifyBearer: options.verifyBearer,
    proofNonce: options.proofNonce,
    clock,
  });
  const { metricsBearer, host, port } = settings;
  const { handlerBefore, onRefused, upgrade, limits } = options;
  const http = createHttpServer({ service, logger, metrics, health, metricsBearer, mode, handlerBefore });
  await options.http?.(http.app);
  const routes = options.rpc ?? (() => undefined);
  await http.app.register(createRpcRoutes({ routes, identity, health, logger, metrics, mode, onRefused }));
  await http.ready();
  const listener = createListener({
    host,
    port,
    tls: serverTls(settings),
    handler: http.handler,
    upgrade,
    identity,
    limits,
    clock,
    logger,
    metrics,
  });
  return {
    identity,
    http,
    listener,
    [Symbol.asyncDispose]: async () => {
      await listener[Symbol.asyncDispose]();
      await http[Symbol.asyncDispose]();
    },
  };
}

function serverTls(settings: SurfaceSettings): TlsFiles | undefined {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile, meshCaFile, clientCaFile } = settings;
  return certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile, meshCaFile, clientCaFile };
}

/**
 * The client side of the same certificate, for `createPeerTransport`; undefined means plaintext. `verifyServer` is false
 * only where INSECURE_STS says so.
 */
export function peerTls(settings: SurfaceSettings, verifyServer = true): PeerTls | undefined {
  const { tlsCertFile: certFile, tlsKeyFile: keyFile, meshCaFile: caFile } = settings;
  const isComplete = certFile !== undefined && keyFile !== undefined && caFile !== undefined;
  return isComplete ? { certFile, keyFile, caFile, verifyServer } : undefined;
}
