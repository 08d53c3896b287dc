// The API's composition root: the one file that names concrete adapters.
import { randomBytes } from 'node:crypto';
import { deriveKey, hmacSha256Hex } from '#mesh/canonical';
import { createHealth, type Health } from '#mesh/health';
import { newId } from '#mesh/ids';
import { followDatabaseClock } from '#mesh/postgres';
import { createRateLimiter, createRedis } from '#mesh/redis';
import { createPropagation, createRevocationBarrier } from '#mesh/revocation';
import { createPeerTransport, type PeerTransport } from '#mesh/rpc';
import {
  createLedgerRelay,
  createSurface,
  type Foundation,
  openFoundation,
  peerTls,
  requireStores,
  type Surface,
  type Wired,
} from '#mesh/runtime';
import type { ServiceName } from '#mesh/topology';
import type { ApiConfig } from './config.ts';
import { authenticateAdmin } from './flows/authenticate.ts';
import { bindFlows } from './flows/bind-flows.ts';
import { bootstrapAdmin } from './flows/bootstrap-admin.ts';
import { createAdminGate } from './inbound/http/admin-gate.ts';
import { addApiRoutes } from './inbound/http/routes.ts';
import { createReceiptPurge } from './inbound/timer/receipt-purge.ts';
import { type ApiMetrics, createApiMetrics } from './metrics.ts';
import { createSecretHasher } from './outbound/argon2/secret-hasher.ts';
import { isPublicKey } from './outbound/keys/public-key-check.ts';
import { createRequestLimits } from './outbound/limits/request-limits.ts';
import { createAgentSessions } from './outbound/peer/agent-sessions.ts';
import { createLedgerReader } from './outbound/peer/ledger-reader.ts';
import { createPolicyTrials } from './outbound/peer/policy-trials.ts';
import { createRecordedDecisions } from './outbound/peer/recorded-decisions.ts';
import { createProviderPeer } from './outbound/peer/provider-peer.ts';
import { createSecretSealing } from './outbound/peer/secret-sealing.ts';
import { createStsPeer } from './outbound/peer/sts-peer.ts';
import { createControlStore } from './outbound/postgres/control-store.ts';
import { loadPolicyTemplates } from './outbound/templates/policy-templates.ts';
import type { ApiDeps } from './ports/deps.ts';

/** Rate limits live in Redis' database 1 (the seeds). */
const limitsDatabase = 1;
/** Receipts deleted in one statement. */
const purgeBatch = 1000;

interface Parts {
  readonly config: ApiConfig;
  readonly foundation: Foundation;
  readonly opened: AsyncDisposableStack;
  readonly deps: ApiDeps;
  readonly health: Health;
  readonly metrics: ApiMetrics;
}

/** Wires the API; nothing runs before `start`. */
export async function wire(config: ApiConfig): Promise<Wired> {
  await using opened = new AsyncDisposableStack();
  const foundation = opened.use(openFoundation('api', config));
  const { database, clock, logger } = foundation;
  const deps = apiDeps(config, foundation, opened);
  const health = createHealth({ checks: { postgres: () => database.ping() } });
  const metrics = createApiMetrics(foundation.metrics);
  const surface = opened.use(await apiSurface({ config, foundation, opened, deps, health, metrics }));
  const running = opened.move();
  return {
    health,
    listener: surface.listener,
    start: async () => {
      await requireStores('api', foundation, config.mode.mode);
      running.use(await followDatabaseClock({ database, clock, logger }));
      await bootstrapAdmin(deps, config.administration.adminToken, logger);
      running.use(createLedgerRelay('api', foundation, config)).start();
      running.use(receiptPurge(foundation)).start();
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}

function apiDeps(config: ApiConfig, { database, clock }: Foundation, opened: AsyncDisposableStack): ApiDeps {
  const peer = (expectService: ServiceName, url: string): PeerTransport =>
    opened.use(
      createPeerTransport({
        url,
        expectService,
        trustDomain: config.listener.meshTrustDomain,
        tls: url.startsWith('https:')
          ? peerTls(config.listener, !(expectService === 'sts' && config.sts.insecureSts))
          : undefined,
      }),
    );
  const audit = peer('audit', config.peers.auditUrl);
  const sts = peer('sts', config.sts.stsUrl);
  return {
    store: createControlStore(database),
    sts: createStsPeer(sts),
    sealing: createSecretSealing(sts),
    providers: createProviderPeer(sts),
    trials: createPolicyTrials(sts),
    policyTemplates: loadPolicyTemplates(),
    ledger: createLedgerReader(audit),
    recorded: createRecordedDecisions(audit),
    sessions: createAgentSessions(peer('coordinator', config.peers.coordinatorUrl)),
    barrier: createRevocationBarrier(database, clock),
    propagation: createPropagation(database, clock),
    zoneKeyLeadSeconds: config.administration.zoneKeyLeadSeconds,
    newId,
    monotonicMs: () => clock.monotonic(),
    subjectIssuerRules: {
      ownIssuer: config.peers.issuerUrl,
      // Only there can a provider of users be a process of the same machine.
      plainLoopback: config.mode.mode === 'dev',
    },
    random: (bytes) => randomBytes(bytes),
    isPublicKey,
    hashSecret: createSecretHasher(),
    bodyDigests: bodyDigests(config.keys),
  };
}

/** Bodies hold secrets that may be guessed, so their digests are keyed; during a rotation the key before is known too. */
function bodyDigests({ auditHmacKey, auditHmacKeyPrevious }: ApiConfig['keys']): ApiDeps['bodyDigests'] {
  const keys = [auditHmacKey, auditHmacKeyPrevious]
    .filter((key) => key !== undefined)
    .map((key) => deriveKey(key, 'caracal/api/receipts/v1'));
  return (body) => keys.map((key) => hmacSha256Hex(key, body));
}

async function apiSurface(parts: Parts): Promise<Surface> {
  const { config, foundation, opened, deps, health, metrics } = parts;
  const { clock, logger } = foundation;
  const { stores, administration, mode } = config;
  const limitsRedis = opened.use(
    createRedis({
      url: stores.redisUrl,
      password: stores.redisPassword,
      db: limitsDatabase,
      name: 'api-limits',
      logger,
    }),
  );
  const limits = createRequestLimits({
    limiter: createRateLimiter({ redis: limitsRedis }),
    clock,
    onFallback: () => metrics.limiterFallbacks.inc(),
  });
  const gate = createAdminGate({
    authenticate: (bearer) => authenticateAdmin(deps, bearer),
    limits,
    requestsPerMinute: administration.requestsPerMinute,
    authenticationFailuresPerMinute: administration.authenticationFailuresPerMinute,
    metrics,
  });
  return createSurface({
    service: 'api',
    settings: config.listener,
    mode: mode.mode,
    logger,
    metrics: foundation.metrics,
    health,
    clock,
    http: (app) => addApiRoutes({ app, gate, metrics }, bindFlows(deps), { isDev: mode.mode === 'dev' }),
  });
}

function receiptPurge({ database, clock, logger }: Foundation) {
  return createReceiptPurge({
    purge: async () => {
      const [row] = await database.query<{ gone: number }>('SELECT api.purge_receipts($1) AS gone', [purgeBatch]);
      return row?.gone ?? 0;
    },
    clock,
    logger,
  });
}
