// The composition root: the one place that names concrete adapters and ties flows to them. Read it from `wire` upwards.
import { randomBytes } from 'node:crypto';
import { asFailure, fail } from '#mesh/failure';
import { createHealth } from '#mesh/health';
import type { Health } from '#mesh/health';
import { SYSTEM_ZONE, newId } from '#mesh/ids';
import { callerName } from '#mesh/identity';
import { createRelay } from '#mesh/outbox';
import type { Relay } from '#mesh/outbox';
import { requireSchema } from '#mesh/postgres';
import { createSurface } from '#mesh/runtime';
import type { Surface, Wired } from '#mesh/runtime';
import { createKeyring } from '#mesh/secrets';
import { createLogger, createMetrics } from '#mesh/telemetry';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import type { DisciplinedClock } from '#mesh/time';
import { auditStreamFields, buildAuditEvent, createRefusalSampler, createTrail, signAuditEvent } from '#mesh/trail';
import type { Trail } from '#mesh/trail';
import type { StsConfig } from './config.ts';
import { authorizeCall, refuseCall } from './flows/authorize-call/authorize-call.ts';
import { policySetStatus, validatePolicySet } from './flows/check-policy-set.ts';
import { exchangeToken } from './flows/exchange-token/exchange-token.ts';
import { makeZoneKey, sealSecret } from './flows/keep-secrets.ts';
import { mintSession } from './flows/mint-session.ts';
import { issuerMetadata, zoneJwks, zoneMetadata } from './flows/publish-zone.ts';
import { watchPoints } from './flows/watch-points.ts';
import { addPublishedRoutes } from './inbound/http/published-routes.ts';
import { addTokenEndpoint } from './inbound/http/token-endpoint.ts';
import { addStsService } from './inbound/rpc/sts-service.ts';
import type { StsServiceDeps } from './inbound/rpc/sts-service.ts';
import { createZoneWindows } from './inbound/rpc/zone-windows.ts';
import { invalidationHandling } from './inbound/stream/invalidations.ts';
import { createStsMetrics, observeSizes } from './metrics.ts';
import type { StsMetrics } from './metrics.ts';
import { createFailureCounter } from './outbound/argon2/failure-counter.ts';
import { createSecretVerifier } from './outbound/argon2/secret-verifier-argon2.ts';
import { createKnowledge } from './outbound/cache/knowledge.ts';
import type { Knowledge } from './outbound/cache/knowledge.ts';
import { openPolicyEngine } from './outbound/opa/open-policy-engine.ts';
import type { OpenPolicyEngine } from './outbound/opa/open-policy-engine.ts';
import { createPointLeadership } from './outbound/postgres/point-leadership-postgres.ts';
import { createPostgresStores } from './outbound/postgres/postgres-stores.ts';
import type { PostgresStores } from './outbound/postgres/postgres-stores.ts';
import { createSessionRecordsPostgres } from './outbound/postgres/session-records-postgres.ts';
import { createMintLimiter } from './outbound/redis/mint-limiter-redis.ts';
import { createRedisStores } from './outbound/redis/redis-stores.ts';
import type { RedisStores } from './outbound/redis/redis-stores.ts';
import { createMandateReader, createMandateSigner } from './outbound/signing/mandate-signer.ts';
import { createVault } from './outbound/signing/vault-envelopes.ts';
import type { Vault } from './ports/vault.ts';

/** What everything else is made with. */
interface Base {
  readonly config: StsConfig;
  readonly clock: DisciplinedClock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly own: StsMetrics;
}

/** What is opened, and closed in reverse. */
interface Parts {
  readonly postgres: PostgresStores;
  readonly redis: RedisStores;
  readonly trail: Trail;
  readonly vault: Vault;
  readonly knowledge: Knowledge;
  readonly policy: OpenPolicyEngine;
}

function openRedis({ config: { stores, keys }, logger }: Base): RedisStores {
  return createRedisStores({
    url: stores.redisUrl,
    password: stores.redisPassword,
    auditStreamUrl: stores.auditStreamUrl,
    streamsKey: keys.streamsHmacKey,
    previousStreamsKey: keys.streamsHmacKeyPrevious,
    auditKey: keys.auditHmacKey,
    logger,
  });
}

async function openParts(base: Base, stack: AsyncDisposableStack, replica: string): Promise<Parts> {
  const { config, clock, logger, metrics, own } = base;
  const { keys, trail: journal } = config;
  const postgres = stack.use(createPostgresStores({ settings: config.stores, clock, logger, metrics }));
  const redis = stack.use(openRedis(base));
  const trail = stack.use(
    await createTrail({
      producer: 'sts',
      redis: redis.ledger,
      journalDirectory: journal.journalDirectory,
      maxBytes: journal.journalMaxBytes,
      auditKey: keys.auditHmacKey,
      previousAuditKey: keys.auditHmacKeyPrevious,
      streamSigner: redis.signer,
      highWaterPercent: journal.streamHighWaterPercent,
      watermarks: async () => postgres.watermarks(),
      clock,
      newId,
      logger,
      metrics,
    }),
  );
  const kek = { current: keys.zoneKek.toString('hex'), previous: keys.zoneKekPrevious?.toString('hex') };
  const vault = createVault(createKeyring(kek));
  const issuer = config.issuer.issuerUrl;
  const shared = { ...config.revocation, clock, logger, metrics, own };
  const knowledge = stack.use(createKnowledge({ postgres, redis, vault, issuer, replica, newId, ...shared }));
  const { opaUrls: urls, opaToken: token, ...limits } = config.policy;
  const policy = stack.use(openPolicyEngine({ urls, token, ...limits, metrics: own }));
  return { postgres, redis, trail, vault, knowledge, policy };
}

/** Every port of every flow. */
function bindPorts({ config, clock, own }: Base, parts: Parts) {
  const { knowledge, trail, vault } = parts;
  const { secretVerifyConcurrency: concurrency, mintRateLimitPerMin: perMinute } = config.clients;
  return {
    issuer: config.issuer.issuerUrl,
    clock,
    newId,
    vault,
    directory: knowledge.directory,
    delegationGraph: knowledge.graph,
    zoneKeys: knowledge.zoneKeys,
    revocations: knowledge.revocations,
    mandateReader: createMandateReader(knowledge.verifier),
    mandateSigner: createMandateSigner(),
    policyEngine: parts.policy.engine,
    evidence: trail,
    refusalSampler: createRefusalSampler({ clock }),
    sessionRecords: createSessionRecordsPostgres(parts.postgres.database),
    unknownZoneKey: randomBytes(32),
    failureCounter: createFailureCounter(() => clock.monotonic()),
    secretVerifier: createSecretVerifier({
      concurrency,
      // At a tenth of a second each, a full line is a few seconds' wait: longer, and the caller has given up.
      maxWaiting: concurrency * 32,
      maxWaitingPerZone: concurrency * 8,
      onDerivation: (milliseconds) => own.derivationSeconds.observe(milliseconds / 1000),
    }),
    // In dev mints go on uncounted while Redis is away (data.md).
    mintLimiter: createMintLimiter({
      limiter: parts.redis.limiter,
      perMinute,
      serveUncounted: config.mode.mode === 'dev',
    }),
  };
}

type Ports = ReturnType<typeof bindPorts>;

/** Counts a flow's outcomes and times. */
async function counted<T>(own: StsMetrics, kind: 'exchanges' | 'sessionMints', work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  try {
    const result = await work();
    own[kind].inc({ outcome: 'granted' });
    return result;
  } catch (error) {
    own[kind].inc({ outcome: asFailure(error).reason });
    throw error;
  } finally {
    if (kind === 'exchanges') own.exchangeSeconds.observe((performance.now() - startedAt) / 1000);
  }
}

function rpcDeps({ config, clock, own }: Base, ports: Ports, health: Health): StsServiceDeps {
  const { gatewayStsHmacKey, gatewayStsHmacKeyPrevious } = config.keys;
  return {
    unary: {
      mintSession: async (request) => counted(own, 'sessionMints', async () => mintSession(ports, request)),
      makeZoneKey: (keyId) => makeZoneKey(ports, keyId),
      sealSecret: (secret, location) => sealSecret(ports, secret, location),
      validatePolicySet: async (candidate) => validatePolicySet(ports, candidate),
      policySetStatus: async (zoneId) => policySetStatus(ports, zoneId),
    },
    authorize: {
      authorizeCall: async (question) => {
        const startedAt = performance.now();
        const verdict = await authorizeCall(ports, question);
        own.verdictSeconds.observe((performance.now() - startedAt) / 1000);
        own.verdicts.inc({ outcome: verdict.kind === 'allowed' ? 'allowed' : verdict.failure.reason });
        return verdict;
      },
      refuseCall: async (question, failure) => refuseCall(ports, question, failure),
      keys: [gatewayStsHmacKey, ...(gatewayStsHmacKeyPrevious ? [gatewayStsHmacKeyPrevious] : [])],
      clock,
      // Above what one zone needs at full speed, far below what would starve the others.
      zoneWindows: createZoneWindows(512),
      onDrain: (listener) => health.onDrain(listener),
    },
    onStream: (opened) => own.authorizeStreams.add(opened ? 1 : -1),
  };
}

function createStsHealth({ postgres, redis, policy, knowledge, trail }: Parts): Health {
  return createHealth({
    checks: {
      postgres: async () => postgres.database.ping(),
      redis: async () => redis.streams.ping(),
      opa: async () => policy.ping(),
      revocation: async () => knowledge.revocations.assertUsable(),
      audit: async () => {
        if (!trail.isUsable()) throw fail('audit_unavailable');
      },
    },
  });
}

function createStsRelay({ config, clock, logger, metrics }: Base, { postgres, redis }: Parts): Relay {
  return createRelay({
    database: postgres.database,
    service: 'sts',
    publisher: redis.publisher,
    ledgerPublisher: redis.ledgerPublisher,
    ledgerFields: (draft, origin) => {
      const data = buildAuditEvent(draft, origin);
      return auditStreamFields({ id: origin.id, data, sig: signAuditEvent(data, config.keys.auditHmacKey) });
    },
    ...config.outbox,
    clock,
    logger,
    metrics,
  });
}

async function openSurface(base: Base, ports: Ports, about: { health: Health; trail: Trail }): Promise<Surface> {
  const { config, clock, logger, metrics, own } = base;
  const { health, trail } = about;
  return createSurface({
    service: 'sts',
    settings: config.listener,
    mode: config.mode.mode,
    logger,
    metrics,
    health,
    clock,
    rpc: (router) => addStsService(router, rpcDeps(base, ports, health)),
    http: async (app) => {
      await addTokenEndpoint(app, {
        exchangeToken: async (request) => counted(own, 'exchanges', async () => exchangeToken(ports, request)),
      });
      addPublishedRoutes(app, {
        zoneJwks: async (zoneId) => zoneJwks(ports, zoneId),
        issuerMetadata: () => issuerMetadata(ports),
        zoneMetadata: async (zoneId) => zoneMetadata(ports, zoneId),
      });
    },
    onRefused: ({ rpc, reason, caller, requestId, traceId }) => {
      const metadata = { rpc, reason, caller: callerName(caller) };
      trail.emitLater({ zoneId: SYSTEM_ZONE, eventType: 'rpc.refused', requestId, traceId, metadata });
    },
  });
}

async function watch({ config, clock, logger }: Base, { postgres }: Parts, stop: AbortSignal): Promise<void> {
  await watchPoints(
    {
      leadership: createPointLeadership(postgres.database),
      clock,
      maxStalenessMs: config.revocation.maxStalenessMs,
      onGone: ({ id }) => logger.warn({ point: id }, 'an enforcement point is gone'),
      onTrouble: (error) => logger.warn({ error }, 'the watch over enforcement points was interrupted'),
    },
    stop,
  );
}

/** The STS of this configuration, not started yet. */
export async function wire(config: StsConfig): Promise<Wired> {
  await using stack = new AsyncDisposableStack();
  const replica = config.listener.replicaId ?? newId();
  const metrics = createMetrics('sts');
  const logger = createLogger({ service: 'sts', level: config.listener.logLevel, replica });
  const base: Base = { config, clock: createClock(), logger, metrics, own: createStsMetrics(metrics) };
  const parts = await openParts(base, stack, replica);
  const relay = stack.use(createStsRelay(base, parts));
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const health = createStsHealth(parts);
  const surface = stack.use(await openSurface(base, bindPorts(base, parts), { health, trail: parts.trail }));
  const { knowledge, postgres } = parts;
  observeSizes(metrics, () => knowledge.sizes());
  const opened = stack.move();
  return {
    health,
    listener: surface.listener,
    async start() {
      await requireSchema({ database: postgres.database, service: 'sts', clock: base.clock, waitMs: 30_000 });
      relay.start();
      for (const handling of invalidationHandling(knowledge.drops)) knowledge.follow(handling);
      await knowledge.revocations.start();
      void watch(base, parts, stop.signal);
    },
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
}
