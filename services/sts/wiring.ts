// The composition root: the one place that names concrete adapters and ties flows to them. Read it from `wire` upwards.
import { randomBytes } from 'node:crypto';
import { authorizeCall, refuseCall } from './flows/authorize-call/authorize-call.ts';
import { policySetStatus, validatePolicySet } from './flows/check-policy-set.ts';
import { exchangeToken } from './flows/exchange-token/exchange-token.ts';
import { makeZoneKey, sealSecret } from './flows/keep-secrets.ts';
import { mintSession } from './flows/mint-session.ts';
import { issuerMetadata, zoneJwks, zoneMetadata } from './flows/publish-zone.ts';
import { watchPoints } from './flows/watch-points.ts';
import type { StsConfig } from './config.ts';
import { addPublishedRoutes } from './inbound/http/published-routes.ts';
import { addTokenEndpoint } from './inbound/http/token-endpoint.ts';
import { addStsService } from './inbound/rpc/sts-service.ts';
import type { StsServiceDeps } from './inbound/rpc/sts-service.ts';
import { createZoneWindows } from './inbound/rpc/zone-windows.ts';
import { invalidationHandling } from './inbound/stream/invalidations.ts';
import { createStsMetrics } from './metrics.ts';
import type { StsMetrics } from './metrics.ts';
import { createFailureCounter } from './outbound/argon2/failure-counter.ts';
import { createSecretVerifier } from './outbound/argon2/secret-verifier-argon2.ts';
import { createCachedDirectory } from './outbound/cache/directory-cached.ts';
import type { CachedDirectory } from './outbound/cache/directory-cached.ts';
import { createZoneKeys } from './outbound/cache/zone-keys-cached.ts';
import type { CachedZoneKeys } from './outbound/cache/zone-keys-cached.ts';
import { createOpaClient } from './outbound/opa/opa-client.ts';
import type { OpaClient } from './outbound/opa/opa-client.ts';
import { createPolicyEngineOpa } from './outbound/opa/policy-engine-opa.ts';
import { rememberDecisions } from './outbound/opa/remembered-decisions.ts';
import { createPointLeadership } from './outbound/postgres/point-leadership-postgres.ts';
import { createSessionRecordsPostgres } from './outbound/postgres/session-records-postgres.ts';
import { createZoneReader } from './outbound/postgres/zone-reader.ts';
import { createMintLimiter } from './outbound/redis/mint-limiter-redis.ts';
import { createMandateReader, createMandateSigner } from './outbound/signing/mandate-signer.ts';
import { createVault } from './outbound/signing/vault-envelopes.ts';
import type { PolicyEngine } from './ports/policy-engine.ts';
import type { Vault } from './ports/vault.ts';
import { deriveKey } from '#mesh/canonical';
import { asFailure, fail } from '#mesh/failure';
import { createHealth } from '#mesh/health';
import type { Health } from '#mesh/health';
import { SYSTEM_ZONE, newId } from '#mesh/ids';
import { callerName } from '#mesh/identity';
import { createMandateVerifier } from '#mesh/mandate';
import type { MandateVerifier } from '#mesh/mandate';
import { createRelay } from '#mesh/outbox';
import { createPool, requireSchema } from '#mesh/postgres';
import type { Database } from '#mesh/postgres';
import { createPublisher, createRateLimiter, createRedis, createStreamSigner } from '#mesh/redis';
import type { RedisConnection, StreamSigner } from '#mesh/redis';
import {
  createEnforcementPoint,
  createInvalidationTail,
  createRevocationSource,
  createRevocationView,
  createTailSource,
  readStreamHead,
} from '#mesh/revocation';
import type { InvalidationTail, RevocationView } from '#mesh/revocation';
import { createSurface } from '#mesh/runtime';
import type { Wired } from '#mesh/runtime';
import { createKeyring } from '#mesh/secrets';
import { createLogger, createMetrics } from '#mesh/telemetry';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import type { DisciplinedClock } from '#mesh/time';
import { auditStreamFields, buildAuditEvent, createRefusalSampler, createTrail, signAuditEvent } from '#mesh/trail';
import type { Trail } from '#mesh/trail';

/** What everything else is made with. */
interface Base {
  readonly config: StsConfig;
  readonly clock: DisciplinedClock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly own: StsMetrics;
  readonly stack: AsyncDisposableStack;
  readonly replica: string;
}

interface Stores {
  readonly database: Database;
  /** Two connections of its own for revocation: waiting behind requests would cost the lease. */
  readonly revocationDatabase: Database;
  readonly redis: RedisConnection;
  readonly ledgerRedis: RedisConnection;
  readonly limits: RedisConnection;
  readonly signer: StreamSigner;
}

function openStores({ config, clock, logger, metrics, stack }: Base): Stores {
  const { stores, keys } = config;
  const connect = { service: 'sts', connectionString: stores.databaseUrl, logger, clock } as const;
  const statementTimeoutMs = stores.databaseStatementTimeoutMs;
  const redis = (name: string, db: number, url: string): RedisConnection =>
    stack.use(createRedis({ url, db, name, logger, password: stores.redisPassword }));
  // In dev without STREAMS_HMAC_KEY entries are signed all the same, with a key everyone here can derive.
  const streamsKey = keys.streamsHmacKey ?? deriveKey(keys.auditHmacKey, 'caracal/streams/dev/v1');
  return {
    database: stack.use(createPool({ ...connect, max: stores.databasePoolMax, statementTimeoutMs, metrics })),
    revocationDatabase: stack.use(createPool({ ...connect, max: 2, statementTimeoutMs: 2000 })),
    redis: redis('sts', 0, stores.redisUrl),
    ledgerRedis: redis('sts-ledger', 0, stores.auditStreamUrl ?? stores.redisUrl),
    limits: redis('sts-limits', 1, stores.redisUrl),
    signer: createStreamSigner({ current: streamsKey, previous: keys.streamsHmacKeyPrevious }),
  };
}

async function openTrail({ config, clock, logger, metrics, stack }: Base, stores: Stores): Promise<Trail> {
  const trail = await createTrail({
    producer: 'sts',
    redis: stores.ledgerRedis,
    journalDirectory: config.trail.journalDirectory,
    maxBytes: config.trail.journalMaxBytes,
    auditKey: config.keys.auditHmacKey,
    previousAuditKey: config.keys.auditHmacKeyPrevious,
    streamSigner: stores.signer,
    highWaterPercent: config.trail.streamHighWaterPercent,
    watermarks: async () => {
      const text = 'SELECT incarnation, seq FROM audit_pub.producer_watermarks($1)';
      const rows = await stores.database.query<{ incarnation: string; seq: string }>(text, ['sts']);
      return rows.map(({ incarnation, seq }) => ({ incarnation, seq: Number(seq) }));
    },
    clock,
    newId,
    logger,
    metrics,
  });
  return stack.use(trail);
}

/** What the process knows of zones, keys and revocation, and the streams that keep it true. */
interface Knowledge {
  readonly revocations: RevocationView;
  readonly tails: readonly InvalidationTail[];
  readonly cached: CachedDirectory;
  readonly zoneKeys: CachedZoneKeys;
  readonly verifier: MandateVerifier;
  readonly vault: Vault;
}

function openKnowledge(base: Base, stores: Stores): Knowledge {
  const { config, clock, logger, metrics, own, stack } = base;
  const { maxStalenessMs } = config.revocation;
  const vault = createVault(
    createKeyring({
      current: config.keys.zoneKek.toString('hex'),
      previous: config.keys.zoneKekPrevious?.toString('hex'),
    }),
  );
  const byStream = new Map<string, InvalidationTail>();
  const isFresh = (stream: string) => (): boolean => byStream.get(stream)?.isFresh() ?? false;
  const cached = createCachedDirectory({
    reader: createZoneReader(stores.database),
    fresh: {
      resources: isFresh('caracal.resources.invalidate'),
      policy: isFresh('caracal.policy.invalidate'),
      delegations: isFresh('caracal.delegations.invalidate'),
    },
    maxStalenessMs,
    clock,
    onLookup: (kind, hit) => own.cacheLookups.inc({ kind, outcome: hit ? 'hit' : 'miss' }),
  });
  const zoneKeys = createZoneKeys({
    database: stores.database,
    vault,
    isFresh: isFresh('caracal.keys.invalidate'),
    clock,
    maxStalenessMs,
    onUnopenable: (keyId) => {
      own.unopenableKeys.inc();
      logger.error({ keyId }, 'a zone key does not open under ZONE_KEK');
    },
  });
  const verifier = createMandateVerifier({ issuer: config.issuer.issuerUrl, keys: zoneKeys, clock });
  const keysChanged = (zoneId: string): void => {
    zoneKeys.drop(zoneId);
    verifier.forgetZone(zoneId);
  };
  const openTail = createTailSource({ redis: stores.redis, signer: stores.signer, clock, logger, metrics });
  const database = stores.revocationDatabase;
  const point = createEnforcementPoint({ database, service: 'sts', replica: base.replica, newId });
  const source = createRevocationSource(database);
  const shared = { openTail, clock, maxStalenessMs, logger, metrics };
  const revocations = stack.use(createRevocationView({ ...shared, source, membership: point }));
  revocations.onAnchor(({ zoneId, kind, id }) => {
    cached.drops.anchorApplied(zoneId, kind, id);
    if (kind === 'zone_key' || kind === 'zone') keysChanged(zoneId);
  });
  const drops = { ...cached.drops, keysChanged, allKeys: () => zoneKeys.dropAll() };
  const tails = invalidationHandling(drops).map((handling) => {
    const head = readStreamHead(database, handling.stream);
    const tail = stack.use(createInvalidationTail({ ...handling, ...shared, head }));
    byStream.set(handling.stream, tail);
    return tail;
  });
  return { revocations, tails, cached, zoneKeys, verifier, vault };
}

interface Policy {
  readonly engine: PolicyEngine;
  readonly clients: readonly OpaClient[];
}

function openPolicy({ config, own, stack }: Base): Policy {
  const { opaUrls, opaToken: token, maxLoadedSets, timeoutMs, memoEntries } = config.policy;
  const clients = opaUrls.map((url) => stack.use(createOpaClient({ url, token })));
  const onLoad = (outcome: string): void => own.policyLoads.inc({ outcome });
  const engine = createPolicyEngineOpa({ clients, maxLoadedSets, timeoutMs, onLoad });
  const onLookup = (hit: boolean): void => own.policyLookups.inc({ answer: hit ? 'remembered' : 'asked' });
  return { engine: rememberDecisions(engine, { max: memoEntries, onLookup }), clients };
}

/** Every port of every flow. */
function bindPorts(base: Base, stores: Stores, parts: { knowledge: Knowledge; policy: Policy; trail: Trail }) {
  const { config, clock, own } = base;
  const { knowledge, policy, trail } = parts;
  return {
    issuer: config.issuer.issuerUrl,
    clock,
    newId,
    directory: knowledge.cached.directory,
    delegationGraph: knowledge.cached.graph,
    zoneKeys: knowledge.zoneKeys,
    vault: knowledge.vault,
    revocations: knowledge.revocations,
    mandateReader: createMandateReader(knowledge.verifier),
    mandateSigner: createMandateSigner(),
    policyEngine: policy.engine,
    evidence: trail,
    refusalSampler: createRefusalSampler({ clock }),
    sessionRecords: createSessionRecordsPostgres(stores.database),
    unknownZoneKey: randomBytes(32),
    failureCounter: createFailureCounter(() => clock.monotonic()),
    secretVerifier: createSecretVerifier({
      concurrency: config.clients.secretVerifyConcurrency,
      // At a tenth of a second each, a full line is a few seconds' wait: longer, and the caller has given up.
      maxWaiting: config.clients.secretVerifyConcurrency * 32,
      maxWaitingPerZone: config.clients.secretVerifyConcurrency * 8,
      onDerivation: (milliseconds) => own.derivationSeconds.observe(milliseconds / 1000),
    }),
    mintLimiter: createMintLimiter({
      limiter: createRateLimiter({ redis: stores.limits }),
      perMinute: config.clients.mintRateLimitPerMin,
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

function createStsHealth(stores: Stores, parts: { knowledge: Knowledge; policy: Policy; trail: Trail }): Health {
  const { knowledge, policy, trail } = parts;
  return createHealth({
    checks: {
      postgres: async () => stores.database.ping(),
      redis: async () => stores.redis.ping(),
      opa: async () => {
        for (const client of policy.clients) await client.call({ method: 'GET', path: '/health', timeoutMs: 1500 });
      },
      revocation: async () => knowledge.revocations.assertUsable(),
      audit: async () => {
        if (!trail.isUsable()) throw fail('audit_unavailable');
      },
    },
  });
}

function createStsRelay({ config, clock, logger, metrics, stack }: Base, stores: Stores) {
  const { database, redis, ledgerRedis, signer } = stores;
  return stack.use(
    createRelay({
      database,
      service: 'sts',
      publisher: createPublisher({ redis, signer }),
      ledgerPublisher: createPublisher({ redis: ledgerRedis, signer }),
      ledgerFields: (draft, origin) => {
        const data = buildAuditEvent(draft, origin);
        return auditStreamFields({ id: origin.id, data, sig: signAuditEvent(data, config.keys.auditHmacKey) });
      },
      ...config.outbox,
      clock,
      logger,
      metrics,
    }),
  );
}

/** The STS of this configuration, not started yet. */
export async function wire(config: StsConfig): Promise<Wired> {
  await using stack = new AsyncDisposableStack();
  const replica = config.listener.replicaId ?? newId();
  const metrics = createMetrics('sts');
  const logger = createLogger({ service: 'sts', level: config.listener.logLevel, replica });
  const base: Base = { config, clock: createClock(), logger, metrics, own: createStsMetrics(metrics), stack, replica };
  const stores = openStores(base);
  const trail = await openTrail(base, stores);
  const knowledge = openKnowledge(base, stores);
  const policy = openPolicy(base);
  const ports = bindPorts(base, stores, { knowledge, policy, trail });
  const health = createStsHealth(stores, { knowledge, policy, trail });
  const relay = createStsRelay(base, stores);
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const surface = stack.use(
    await createSurface({
      service: 'sts',
      settings: config.listener,
      mode: config.mode.mode,
      logger,
      metrics,
      health,
      clock: base.clock,
      rpc: (router) => addStsService(router, rpcDeps(base, ports, health)),
      http: async (app) => {
        await addTokenEndpoint(app, {
          exchangeToken: async (request) => counted(base.own, 'exchanges', async () => exchangeToken(ports, request)),
        });
        addPublishedRoutes(app, {
          zoneJwks: async (zoneId) => zoneJwks(ports, zoneId),
          issuerMetadata: () => issuerMetadata(ports),
          zoneMetadata: async (zoneId) => zoneMetadata(ports, zoneId),
        });
      },
      onRefused: ({ rpc, reason, caller, requestId, traceId }) =>
        trail.emitLater({
          zoneId: SYSTEM_ZONE,
          eventType: 'rpc.refused',
          requestId,
          traceId,
          metadata: { rpc, reason, caller: callerName(caller) },
        }),
    }),
  );
  const opened = stack.move();
  return {
    health,
    listener: surface.listener,
    async start() {
      await requireSchema({ database: stores.database, service: 'sts', clock: base.clock, waitMs: 30_000 });
      relay.start();
      for (const tail of knowledge.tails) tail.start();
      await knowledge.revocations.start();
      void watchPoints(
        {
          leadership: createPointLeadership(stores.database),
          clock: base.clock,
          maxStalenessMs: config.revocation.maxStalenessMs,
          onGone: ({ id }) => logger.warn({ point: id }, 'an enforcement point is gone'),
          onTrouble: (error) => logger.warn({ error }, 'the watch over enforcement points was interrupted'),
        },
        stop.signal,
      );
    },
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
}
