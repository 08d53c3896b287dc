// The composition root: the one place that names concrete adapters and ties flows to them. Read it from `wire` upwards.
import { randomBytes } from 'node:crypto';
import { asFailure } from '#mesh/failure';
import type { Health } from '#mesh/health';
import { SYSTEM_ZONE, newId } from '#mesh/ids';
import { callerName } from '#mesh/identity';
import { proofAlgorithms } from '#mesh/mandate';
import { createRateLimiter, createRedis, createStreamSigner } from '#mesh/redis';
import type { RateLimiter } from '#mesh/redis';
import { createLedgerRelay, createSurface, openFoundation, requireStores } from '#mesh/runtime';
import type { Foundation, Surface, Wired } from '#mesh/runtime';
import { createKeyring } from '#mesh/secrets';
import { createRefusalSampler } from '#mesh/trail';
import type { Trail } from '#mesh/trail';
import type { StsConfig } from './config.ts';
import { createWatchPlaces } from './domain/watch-places.ts';
import { authorizeCall, refuseCall } from './flows/authorize-call/authorize-call.ts';
import { bindPolicyFlows } from './flows/bind-policy.ts';
import { bindTokenFlows } from './flows/bind-tokens.ts';
import { providerFlows } from './flows/connections/provider-flows.ts';
import { exchangeToken } from './flows/exchange-token/exchange-token.ts';
import { keepHouse } from './flows/keep-house.ts';
import { makeZoneKey, sealSecret } from './flows/keep-secrets.ts';
import { mintSession } from './flows/mint-session.ts';
import { watchHold } from './flows/watch-hold.ts';
import { resealSecrets } from './flows/reseal-secrets.ts';
import { watchPoints } from './flows/watch-points.ts';
import { createShadowWatch } from './flows/watch-shadow.ts';
import { addEndpoints } from './inbound/http/endpoints.ts';
import { addStsService } from './inbound/rpc/sts-service.ts';
import type { StsServiceDeps } from './inbound/rpc/sts-service.ts';
import { createZoneWindows } from './inbound/rpc/zone-windows.ts';
import { invalidationHandling } from './inbound/stream/invalidations.ts';
import { createStsMetrics, observeSizes } from './metrics.ts';
import type { StsMetrics } from './metrics.ts';
import { openClientChecks } from './outbound/assertion/open-client-checks.ts';
import type { OpenClientChecks } from './outbound/assertion/open-client-checks.ts';
import { createKnowledge } from './outbound/cache/knowledge.ts';
import type { Knowledge } from './outbound/cache/knowledge.ts';
import { openIdTokens } from './outbound/issuers/open-id-tokens.ts';
import { openEgress } from './outbound/egress/open-egress.ts';
import type { OpenEgress } from './outbound/egress/open-egress.ts';
import { createStsHealth } from './outbound/health/sts-health.ts';
import { openPolicyEngine } from './outbound/opa/open-policy-engine.ts';
import type { OpenPolicyEngine } from './outbound/opa/open-policy-engine.ts';
import { openProviderCredentials } from './outbound/providers/open-provider-credentials.ts';
import { openHolds } from './outbound/postgres/open-holds.ts';
import { createPointLeadership } from './outbound/postgres/point-leadership-postgres.ts';
import { openRevocationDatabase } from './outbound/postgres/revocation-database.ts';
import { openTokenRevocation } from './outbound/postgres/open-token-revocation.ts';
import { createSealedValues } from './outbound/postgres/sealed-values-postgres.ts';
import { createSessionRecordsPostgres } from './outbound/postgres/session-records-postgres.ts';
import { createHousekeeping } from './outbound/postgres/housekeeping-postgres.ts';
import { shareByZone } from './outbound/postgres/zone-shares.ts';
import type { ZoneShares } from './outbound/postgres/zone-shares.ts';
import { openTrail } from './outbound/redis/open-trail.ts';
import { createMintLimiter } from './outbound/redis/mint-limiter-redis.ts';
import { createMandateReader, createMandateSigner } from './outbound/signing/mandate-signer.ts';
import { openBearerVerifier } from './outbound/possession/open-bearer-verifier.ts';
import { createProofChecker } from './outbound/possession/proof-checker-dpop.ts';
import { createVault } from './outbound/signing/vault-envelopes.ts';
import type { Vault } from './ports/vault.ts';

/** What everything else is made with. */
interface Base {
  readonly config: StsConfig;
  readonly foundation: Foundation;
  readonly own: StsMetrics;
}

/** What is opened beside the foundation, and closed in reverse. */
interface Parts {
  readonly limiter: RateLimiter;
  readonly trail: Trail;
  readonly vault: Vault;
  readonly knowledge: Knowledge;
  readonly policy: OpenPolicyEngine;
  readonly shares: ZoneShares;
  readonly out: OpenEgress;
  readonly clients: OpenClientChecks;
}

async function openParts(base: Base, stack: AsyncDisposableStack): Promise<Parts> {
  const { config, foundation, own } = base;
  const { stores, keys } = config;
  const { clock, logger, metrics, database, redis } = foundation;
  // The seeds: streams in database 0, limits in 1.
  const limits = { url: stores.redisUrl, password: stores.redisPassword, db: 1, name: 'sts-limits', logger };
  const limiter = createRateLimiter({ redis: stack.use(createRedis(limits)) });
  const trail = stack.use(await openTrail(config, foundation));
  const kek = { current: keys.zoneKek.toString('hex'), previous: keys.zoneKekPrevious?.toString('hex') };
  const vault = createVault(createKeyring(kek));
  // Two connections stay for the relay, the watermarks and readiness.
  const shares = shareByZone(database, Math.max(1, stores.databasePoolMax - 2));
  const knowledge = stack.use(
    createKnowledge({
      database: shares,
      revocationDatabase: stack.use(openRevocationDatabase(stores.databaseUrl, logger, clock)),
      redis,
      // In dev without STREAMS_HMAC_KEY nothing on a stream is believed; changes are then read from Postgres.
      signer: foundation.signer ?? createStreamSigner({ current: randomBytes(32) }),
      vault,
      issuer: config.issuer.issuerUrl,
      replica: config.listener.replicaId ?? newId(),
      newId,
      ...config.revocation,
      ...{ clock, logger, metrics, own },
    }),
  );
  const { opaUrls: urls, opaToken: token, opaBinary: binary, ...bounds } = config.policy;
  const policy = stack.use(openPolicyEngine({ urls, token, binary, ...bounds, metrics: own }));
  const { databaseUrl, redisUrl, auditStreamUrl } = stores;
  const ownUrls = [databaseUrl, redisUrl, auditStreamUrl, ...urls];
  const out = stack.use(openEgress({ settings: config.egress, ownUrls, ownPort: config.listener.port, logger }));
  const concurrency = config.clients.secretVerifyConcurrency;
  const onDerivation = (seconds: number): void => own.derivationSeconds.observe(seconds);
  const clients = stack.use(openClientChecks({ concurrency, onDerivation, redis, clock, newId, logger }));
  return { limiter, trail, vault, knowledge, policy, shares, out, clients };
}

/** Every port of every flow. */
function bindPorts({ config, foundation, own }: Base, parts: Parts) {
  const { clock } = foundation;
  const { knowledge, trail, vault } = parts;
  const { mintRateLimitPerMin: perMinute } = config.clients;
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
    policyTrials: parts.policy.trials,
    shadow: createShadowWatch({
      ...{ directory: knowledge.directory, policyEngine: parts.policy.engine, clock },
      record: (draft) => trail.emitLater(draft),
      onOutcome: (outcome) => own.shadowDecisions.inc({ outcome }),
    }),
    egress: parts.out.egress,
    subjects: knowledge.subjects,
    idTokens: openIdTokens({ egress: parts.out.egress, clock }),
    ...openProviderCredentials({
      ...{ shares: parts.shares, memory: knowledge.connections, egress: parts.out.egress, vault, evidence: trail },
      ...{ clock, newId, capSeconds: config.providers.maxGrantTtlSeconds, metrics: own },
    }),
    ...openHolds({ database: foundation.database, shares: parts.shares, clock, newId, metrics: own }),
    evidence: trail,
    refusalSampler: createRefusalSampler({ clock }),
    sessionRecords: createSessionRecordsPostgres(parts.shares),
    sealedValues: createSealedValues(foundation.database),
    housekeeping: createHousekeeping(foundation.database),
    ...openTokenRevocation(foundation.database, parts.shares, clock),
    ...parts.clients.ports,
    // Verifiers that hold their view over this replica: 1,024 streams of a few KiB, and a sixteenth of them for one zone.
    watchPlaces: createWatchPlaces({ inAll: 1024, perZone: 64 }),
    proofAlgorithms,
    proofChecker: createProofChecker({ ...config.issuer, ...config.addresses, ...config.keys, clock }),
    // In dev mints go on uncounted while Redis is away (data.md).
    mintLimiter: createMintLimiter({
      limiter: parts.limiter,
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

function rpcDeps({ config, foundation: { clock }, own }: Base, ports: Ports, health: Health): StsServiceDeps {
  const { gatewayStsHmacKey, gatewayStsHmacKeyPrevious } = config.keys;
  return {
    unary: {
      mintSession: async (request) => counted(own, 'sessionMints', async () => mintSession(ports, request)),
      makeZoneKey: (keyId) => makeZoneKey(ports, keyId),
      sealSecret: (secret, location) => sealSecret(ports, secret, location),
    },
    policy: bindPolicyFlows(ports),
    tokens: {
      ...bindTokenFlows(ports),
      onWatch: (opened) => own.revocationStreams.add(opened ? 1 : -1),
      onDrain: (listener) => health.onDrain(listener),
    },
    keys: { resealSecrets: (request) => resealSecrets(ports, request) },
    providers: providerFlows({ ...ports, random: randomBytes, ...config.providers }),
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

async function openSurface(base: Base, ports: Ports, about: { health: Health; parts: Parts }): Promise<Surface> {
  const { config, own } = base;
  const { clock, logger, metrics } = base.foundation;
  const { health, parts } = about;
  return createSurface({
    service: 'sts',
    settings: config.listener,
    mode: config.mode.mode,
    logger,
    metrics,
    health,
    clock,
    ...openBearerVerifier({ ...config.issuer, ...config.keys, ...ports, ...parts.knowledge }),
    rpc: (router) => addStsService(router, rpcDeps(base, ports, health)),
    http: async (app) =>
      addEndpoints(app, {
        ...bindTokenFlows(ports),
        issuer: ports.issuer,
        asked: own.tokenQuestions,
        exchangeToken: async (request) => counted(own, 'exchanges', async () => exchangeToken(ports, request)),
        proofNonce: () => ports.proofChecker.nonce(),
        watchHold: async (question) => watchHold(ports, question),
        onDrain: (listener) => health.onDrain(listener),
      }),
    onRefused: ({ rpc, reason, caller, requestId, traceId }) => {
      const metadata = { rpc, reason, caller: callerName(caller) };
      parts.trail.emitLater({ zoneId: SYSTEM_ZONE, eventType: 'rpc.refused', requestId, traceId, metadata });
    },
  });
}

async function watch({ config, foundation }: Base, stop: AbortSignal): Promise<void> {
  const { clock, logger, database } = foundation;
  await watchPoints(
    {
      leadership: createPointLeadership(database),
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
  const foundation = stack.use(openFoundation('sts', config));
  const base: Base = { config, foundation, own: createStsMetrics(foundation.metrics) };
  const parts = await openParts(base, stack);
  const relay = stack.use(createLedgerRelay('sts', foundation, config));
  const stop = new AbortController();
  stack.defer(() => stop.abort());
  const { knowledge } = parts;
  const health = createStsHealth({ ...parts, ...knowledge, database: foundation.database });
  const ports = bindPorts(base, parts);
  const surface = stack.use(await openSurface(base, ports, { health, parts }));
  observeSizes(foundation.metrics, () => knowledge.sizes());
  const opened = stack.move();
  return {
    health,
    listener: surface.listener,
    async start() {
      await requireStores('sts', foundation, config.mode.mode);
      relay.start();
      for (const handling of invalidationHandling(knowledge.drops)) knowledge.follow(handling);
      await knowledge.revocations.start();
      void watch(base, stop.signal);
      const isKekRotating = config.keys.zoneKekPrevious !== undefined;
      const onUnderPreviousKey = (count: number): void => base.own.underPreviousKey.set(count);
      const onTrouble = (error: unknown): void => foundation.logger.warn({ error }, 'housekeeping was interrupted');
      void keepHouse({ ...ports, isKekRotating, onUnderPreviousKey, onTrouble }, stop.signal);
    },
    [Symbol.asyncDispose]: async () => opened.disposeAsync(),
  };
}
