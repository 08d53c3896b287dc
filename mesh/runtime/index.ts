/**
 * The life of a service process, and its surface in one call.
 *
 * main.ts:
 * ```ts
 * await runService({ name: 'audit', env: process.env, load: loadAuditConfig, wire });
 * ```
 * wiring.ts:
 * ```ts
 * export async function wire(config: AuditConfig): Promise<Wired> {
 *   await using stack = new AsyncDisposableStack();
 *   const database = stack.use(createPool({ … }));
 *   const health = createHealth({ checks: { postgres: () => database.ping() } });
 *   const surface = stack.use(await createSurface({
 *     service: 'audit', settings: config.listener, mode: config.mode.mode, logger, metrics, health, clock,
 *     rpc: (router) => router.service(AuditService, auditRoutes(flows)),
 *     http: (app) => addRoutes(app, flows),
 *   }));
 *   const opened = stack.move(); // disposed in reverse order: the port first, the stores last
 *   return {
 *     health,
 *     listener: surface.listener,
 *     start: async () => { await consumer.start(); },
 *     [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
 *   };
 * }
 * // peers: createPeerTransport({ url, expectService: 'sts', trustDomain: config.listener.meshTrustDomain, tls: peerTls(config.listener) })
 * ```
 */
export { openFoundation } from './foundation.ts';
export type { Foundation, FoundationSettings } from './foundation.ts';
export { createLedgerRelay } from './ledger-relay.ts';
export type { LedgerRelaySettings } from './ledger-relay.ts';
export type { ProcessHost } from './process-host.ts';
export { runService } from './run-service.ts';
export type { RunConfig, RunOptions, Wired } from './run-service.ts';
export { requireStores } from './stores.ts';
export { createSurface, peerTls } from './surface.ts';
export type { Surface, SurfaceOptions, SurfaceSettings } from './surface.ts';
