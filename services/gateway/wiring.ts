// Puts the Gateway together: the one file that names concrete adapters.
import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { createOwnAddresses, type Resolve } from '#mesh/dial';
import { parseHostEntries } from '#mesh/egress';
import { fail } from '#mesh/failure';
import { createHealth, type Health } from '#mesh/health';
import { newId } from '#mesh/ids';
import { parseMandate, proofAlgorithms, refuseMandate } from '#mesh/mandate';
import { createInvalidationTail, createRevocationView, createTailSource } from '#mesh/revocation';
import { createSurface, peerTls, requireStores, type Surface, type Wired } from '#mesh/runtime';
import { createLogger, createMetrics, traceFrom, type Logger, type Metrics } from '#mesh/telemetry';
import { createClock, type DisciplinedClock } from '#mesh/time';
import { createRefusalSampler } from '#mesh/trail';
import type { GatewayConfig } from './config.ts';
import { VerdictMemory } from './domain/verdict-memory.ts';
import type { ForwardDeps } from './flows/forward-request/exchange.ts';
import { createForwardRequest, type ForwardRequest } from './flows/forward-request/forward-request.ts';
import { createNoteChange } from './flows/note-change.ts';
import { createCallObserver } from './inbound/http/observe-calls.ts';
import { addProtectedResource } from './inbound/http/protected-resource.ts';
import { createProxyHandler } from './inbound/http/proxy-handler.ts';
import { changeHandlers } from './inbound/stream/changes.ts';
import { every } from './inbound/timer/every.ts';
import { createGatewayMetrics, observeSizes } from './metrics.ts';
import { createProofChecker } from './outbound/possession/proof-checker-dpop.ts';
import { createStsPeer, type StsPeerOptions } from './outbound/peer/sts-peer.ts';
import { createPostgresStores } from './outbound/postgres/postgres-stores.ts';
import { openTrail } from './outbound/redis/open-trail.ts';
import { createRedisStores, type RedisStores } from './outbound/redis/redis-stores.ts';
import { createUpstreamClient } from './outbound/undici/upstream-client-undici.ts';
import type { Allowed } from './ports/authorizer.ts';

/** What a test may put in place of the real thing. */
export interface Overrides {
  readonly logger?: Logger | undefined;
  readonly clock?: DisciplinedClock | undefined;
  /** Names of upstreams. */
  readonly resolveUpstream?: Resolve | undefined;
  readonly redisKeyPrefix?: string | undefined;
}

interface Base {
  readonly config: GatewayConfig;
  readonly overrides: Overrides;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: DisciplinedClock;
  readonly replicaId: string;
  /** Everything opened so far; disposed in reverse order. */
  readonly stack: AsyncDisposableStack;
}

// How often time limits of open answers are judged, and verdicts dropped that a credential must not outlive.
const [lookEveryMs, sweepEveryMs] = [100, 1000];
const ownAddressesEveryMs = 5000;
const upstreamConnectTimeoutMs = 5000;
const maxZones = 10_000;

export async function wire(config: GatewayConfig, overrides: Overrides = {}): Promise<Wired> {
  await using stack = new AsyncDisposableStack();
  const replicaId = config.listener.replicaId ?? newId();
  const logger =
    overrides.logger ?? createLogger({ service: 'gateway', level: config.listener.logLevel, replica: replicaId });
  const metrics = createMetrics('gateway');
  const base: Base = { config, overrides, logger, metrics, clock: overrides.clock ?? createClock(), replicaId, stack };
  const parts = await openParts(base);
  const flow = createForwardRequest(forwardDeps(base, parts));
  parts.revocations.onAnchor((anchor) => parts.sts.noteAnchor(anchor));
  parts.revocations.onAnchor((anchor) => flow.open.revoke(anchor));
  parts.revocations.onStale(() => flow.open.cutAll('revocation_stale'));
  observeSizes(metrics, {
    openResponses: () => flow.open.size,
    rememberedVerdicts: () => parts.verdicts.size,
    rememberedMandates: () => parts.sts.verifier.size,
    resources: () => parts.postgres.catalogue.size,
    openStsStreams: () => parts.sts.authorizer.openStreams,
  });
  const health = createHealth({
    checks: {
      revocation: async () => parts.revocations.assertUsable(),
      sts: async () => parts.sts.assertConnected(),
      evidence: async () => {
        if (!parts.trail.isUsable()) throw fail('audit_unavailable');
      },
    },
  });
  const surface = stack.use(await openSurface(base, parts, { flow, health }));
  const opened = stack.move();
  return {
    health,
    listener: surface.listener,
    start: async () => await start({ ...base, stack: opened }, parts, flow),
    drain: async () => flow.open.cutAll('draining'),
    [Symbol.asyncDispose]: async () => await opened.disposeAsync(),
  };
}

type Parts = Awaited<ReturnType<typeof openParts>>;

async function openParts(base: Base) {
  const { config, clock, logger, metrics, replicaId, stack } = base;
  const gatewayMetrics = createGatewayMetrics(metrics);
  const own = { clock, logger, newId, replicaId, metrics: gatewayMetrics };
  const postgres = stack.use(createPostgresStores({ ...own, settings: config.stores }));
  const redis = stack.use(openRedis(base));
  const sts = stack.use(openSts(base, own));
  const openTail = createTailSource({ redis: redis.streams, signer: redis.signer, clock, logger, metrics });
  const revocations = stack.use(
    createRevocationView({
      source: postgres.revocationSource,
      openTail,
      membership: postgres.enforcementPoint,
      clock,
      maxStalenessMs: config.revocation.maxStalenessMs,
      logger,
      metrics,
    }),
  );
  const settings = { ...config.trail, ...config.keys };
  const trail = stack.use(await openTrail({ settings, clock, newId, logger, metrics }, { postgres, redis }));
  return {
    gatewayMetrics,
    postgres,
    redis,
    sts,
    openTail,
    revocations,
    trail,
    verdicts: new VerdictMemory<Allowed>({ maxVerdicts: config.caches.reusableVerdicts, maxZones }),
    tails: new Set<{ isFresh(): boolean }>(),
    upstreams: openUpstreams(base),
  };
}

function openRedis({ config, overrides, clock, logger }: Base): RedisStores {
  const { stores, keys, caches } = config;
  return createRedisStores({
    url: stores.redisUrl,
    password: stores.redisPassword,
    auditUrl: stores.auditStreamUrl,
    keyPrefix: overrides.redisKeyPrefix,
    streamsKey: keys.streamsHmacKey,
    previousStreamsKey: keys.streamsHmacKeyPrevious,
    knownUsedLimit: caches.jtiCacheSize,
    clock,
    newId,
    logger,
  });
}

function openSts({ config }: Base, own: Pick<StsPeerOptions, 'clock' | 'logger' | 'newId' | 'replicaId' | 'metrics'>) {
  const { keys, listener, peers, forwarding } = config;
  return createStsPeer({
    ...own,
    url: peers.stsUrl,
    issuer: peers.issuerUrl,
    tls: peerTls(listener, !peers.insecureSts),
    trustDomain: listener.meshTrustDomain ?? '',
    key: keys.gatewayStsHmacKey,
    previousKey: keys.gatewayStsHmacKeyPrevious,
    deadlineMs: forwarding.stsTimeoutMs,
  });
}

function openUpstreams({ config, overrides, logger, stack }: Base) {
  const { stores, peers, egress, forwarding, listener } = config;
  const { upstreamCaFile } = forwarding;
  const own = createOwnAddresses({
    urls: [stores.databaseUrl, stores.redisUrl, stores.auditStreamUrl ?? '', peers.stsUrl],
    denied: parseHostEntries(egress.upstreamHostDenylist),
    ownPorts: [listener.port],
    logger,
  });
  const client = stack.use(
    createUpstreamClient({
      own: () => own.current(),
      // Private ranges are reachable by default: upstreams usually live there.
      rules: {
        loopbackHosts: parseHostEntries(egress.upstreamDevLoopbackHosts),
        privateHosts: 'any',
        plaintext: 'anywhere',
      },
      resolve: overrides.resolveUpstream,
      ca: upstreamCaFile === undefined ? undefined : [...rootCertificates, readFileSync(upstreamCaFile, 'utf8')],
      connectTimeoutMs: upstreamConnectTimeoutMs,
    }),
  );
  return { own, client };
}

function forwardDeps({ config, clock, logger }: Base, parts: Parts): ForwardDeps {
  const { egress, peers, keys } = config;
  const { sts, tails } = parts;
  return {
    clock,
    issuer: peers.issuerUrl,
    publicUrls: peers.gatewayPublicUrls,
    limits: { ...config.forwarding, limiterMayFail: config.mode.mode === 'dev' },
    hostRules: {
      allowlist: new Set(egress.upstreamHostAllowlist.map((host) => host.toLowerCase())),
      denylist: parseHostEntries(egress.upstreamHostDenylist),
    },
    trace: traceFrom,
    recall: (token) => sts.verifier.recall(token),
    verify: async (token) => await sts.verifier.verify(token),
    claimedZone: (token) => parseMandate(token)?.claims.zone_id,
    refuseMandate,
    anchorsOf: sts.anchorsOf,
    revocations: parts.revocations,
    catalogue: parts.postgres.catalogue,
    proofs: createProofChecker({ ...peers, ...keys, clock }),
    replayStore: parts.redis.replayStore,
    rateLimiter: parts.redis.rateLimiter,
    authorizer: sts.authorizer,
    evidence: parts.trail,
    upstreams: parts.upstreams.client,
    verdicts: parts.verdicts,
    changesAreFresh: () => tails.size > 0 && [...tails].every((tail) => tail.isFresh()),
    sampler: createRefusalSampler({ clock }),
    ended: createCallObserver(parts.gatewayMetrics, logger),
  };
}

async function openSurface(
  { config, logger, metrics, clock }: Base,
  { postgres: { catalogue } }: Parts,
  { flow, health }: { flow: ForwardRequest; health: Health },
): Promise<Surface> {
  const { peers, listener, mode, forwarding } = config;
  const metadata = {
    issuer: peers.issuerUrl,
    publicUrls: peers.gatewayPublicUrls,
    proofAlgorithms,
    seesCertificates: listener.tlsCertFile !== undefined,
    bySlugs: (zone: string, resource: string) => catalogue.bySlugs(zone, resource),
  };
  return await createSurface({
    service: 'gateway',
    settings: listener,
    mode: mode.mode,
    logger,
    metrics,
    health,
    clock,
    handlerBefore: createProxyHandler(flow),
    http: (app) => addProtectedResource(app, metadata),
    limits: { requestTimeoutMs: forwarding.readTimeoutMs },
  });
}

async function start(base: Base, parts: Parts, { open }: ForwardRequest): Promise<void> {
  const { config, clock, logger, metrics, stack } = base;
  const { postgres, redis, verdicts, sts, revocations, openTail, upstreams } = parts;
  const { catalogue } = postgres;
  const { maxStalenessMs } = config.revocation;
  const stores = { database: postgres.database, redis: redis.streams, ledgerRedis: redis.audit, clock, logger };
  await requireStores('gateway', stores, config.mode.mode);
  await upstreams.own.refresh();
  await catalogue.reload();
  await revocations.start();
  const note = createNoteChange({
    verdicts,
    open,
    catalogue,
    forgetKeys: (zoneId) => sts.forgetKeys(zoneId),
    forgetAllKeys: () => sts.forgetAllKeys(),
  });
  const shared = { openTail, positions: revocations.positions, clock, maxStalenessMs, logger, metrics };
  for (const handlers of changeHandlers(note)) {
    const head = postgres.headOf(handlers.stream);
    const tail = stack.use(createInvalidationTail({ ...handlers, ...shared, head }));
    tail.start();
    parts.tails.add(tail);
  }
  await sts.authorizer.start();
  const onError = (error: unknown): void => logger.warn({ error }, 'something that runs at intervals failed');
  const timing = { clock, onError };
  stack.use(every(lookEveryMs, () => open.look(), timing));
  stack.use(every(sweepEveryMs, () => verdicts.sweep(clock.now()), timing));
  stack.use(every(ownAddressesEveryMs, () => upstreams.own.refresh(), timing));
  stack.use(every(config.caches.bindingsReloadMs, () => catalogue.reload(), timing));
}
