// The Coordinator's composition root: the one file that names concrete adapters.
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { createHealth, type Health } from '#mesh/health';
import { newId } from '#mesh/ids';
import { createJwksCache, createMandateVerifier } from '#mesh/mandate';
import { followDatabaseClock } from '#mesh/postgres';
import { createRevocationBarrier } from '#mesh/revocation';
import { createPeerHttp, createPeerTransport, createZoneKeyReader } from '#mesh/rpc';
import {
  createLedgerRelay,
  createSurface,
  type Foundation,
  openFoundation,
  requireStores,
  peerTls,
  type Surface,
  type Wired,
} from '#mesh/runtime';
import type { CoordinatorConfig } from './config.ts';
import { createDelegation } from './flows/create-delegation.ts';
import { endSession } from './flows/end-session.ts';
import { expireSessions } from './flows/expire-sessions.ts';
import { getSession, listChildren, listDelegations, listSessions } from './flows/read-sessions.ts';
import { renewSessionMandate } from './flows/renew-session-mandate.ts';
import { revokeDelegation } from './flows/revoke-delegation.ts';
import { startSession } from './flows/start-session.ts';
import type { CoordinatorFlows } from './inbound/rpc/bound-flows.ts';
import { addJsonRoutes } from './inbound/http/json-routes.ts';
import { createCoordinatorService } from './inbound/rpc/coordinator-service.ts';
import { createExpirySweep } from './inbound/timer/expiry-sweep.ts';
import { createSessionMinter } from './outbound/peer/sts-minter.ts';
import { openPossession, type OpenPossession } from './outbound/redis/open-possession.ts';
import { createSessionGraph } from './outbound/postgres/session-graph.ts';
import { isCursor } from './outbound/postgres/page-cursor.ts';
import type { CoordinatorDeps } from './ports/deps.ts';

/** Wires the Coordinator; nothing runs before `start`. */
export async function wire(config: CoordinatorConfig): Promise<Wired> {
  await using opened = new AsyncDisposableStack();
  const foundation = opened.use(openFoundation('coordinator', config));
  const { database, clock, logger } = foundation;
  const transport = opened.use(createPeerTransport(stsPeer(config)));
  const keys = createJwksCache({ fetchJwks: createZoneKeyReader(opened.use(createPeerHttp(stsPeer(config)))), clock });
  const verifier = createMandateVerifier({ issuer: config.issuer.issuerUrl, keys, clock });
  const proofs = opened.use(openPossession({ ...config.address, ...config.keys, ...foundation, newId, verifier }));
  const deps: CoordinatorDeps = {
    graph: createSessionGraph(database),
    minter: createSessionMinter(transport),
    barrier: createRevocationBarrier(database, clock),
    clock,
    newId,
    limits: config.limits,
    logger,
  };
  const health = createHealth({ checks: { postgres: () => database.ping() } });
  const surface = opened.use(await coordinatorSurface({ config, foundation, deps, health, proofs }));
  const running = opened.move();
  return {
    health,
    listener: surface.listener,
    start: async () => {
      await requireStores('coordinator', foundation, config.mode.mode);
      running.use(await followDatabaseClock({ database, clock, logger }));
      running.use(createLedgerRelay('coordinator', foundation, config)).start();
      running.use(expirySweep(config, deps)).start();
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}

/** Where the STS is and how it is recognised. */
function stsPeer({ listener, sts }: CoordinatorConfig) {
  return {
    url: sts.stsUrl,
    expectService: 'sts',
    trustDomain: listener.meshTrustDomain,
    tls: peerTls(listener, !sts.insecureSts),
  } as const;
}

interface SurfaceParts {
  readonly config: CoordinatorConfig;
  readonly foundation: Foundation;
  readonly deps: CoordinatorDeps;
  readonly health: Health;
  readonly proofs: OpenPossession;
}

function coordinatorSurface({ config, foundation, deps, health, proofs }: SurfaceParts): Promise<Surface> {
  const { clock, logger, metrics } = foundation;
  const common = { flows: boundFlows(deps), issuer: config.issuer.issuerUrl, isCursor };
  return createSurface({
    service: 'coordinator',
    settings: config.listener,
    mode: config.mode.mode,
    logger,
    metrics,
    health,
    clock,
    verifyBearer: async (_token, presented) => proofs.verifyPresented(presented),
    proofNonce: proofs.proofNonce,
    rpc: (router) => router.service(CoordinatorService, createCoordinatorService(common)),
    http: (app) => addJsonRoutes(app, { ...common, ...proofs, nowMs: () => clock.now() }),
  });
}

function boundFlows(deps: CoordinatorDeps): CoordinatorFlows {
  return {
    startSession: (request, facts) => startSession(deps, request, facts),
    renewSessionMandate: (request, facts) => renewSessionMandate(deps, request, facts),
    endSession: (request, facts) => endSession(deps, request, facts),
    getSession: (caller, sessionId) => getSession(deps, caller, sessionId),
    listSessions: (caller, page) => listSessions(deps, caller, page),
    listChildren: (caller, children) => listChildren(deps, caller, children),
    listDelegations: (caller, query) => listDelegations(deps, caller, query),
    createDelegation: (request, facts) => createDelegation(deps, request, facts),
    revokeDelegation: (request, facts) => revokeDelegation(deps, request, facts),
  };
}

function expirySweep(config: CoordinatorConfig, deps: CoordinatorDeps) {
  const { clock, logger } = deps;
  return createExpirySweep({
    expire: () => expireSessions(deps),
    intervalMs: config.limits.sweepIntervalMs,
    clock,
    logger,
  });
}
