// Audit's composition root: the one file that names concrete adapters.
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { constantTimeEqual } from '#mesh/canonical';
import { createHealth, type Health } from '#mesh/health';
import { newId } from '#mesh/ids';
import { followDatabaseClock, requireSchema } from '#mesh/postgres';
import { createSurface, type Foundation, openFoundation, type Surface, type Wired } from '#mesh/runtime';
import { signAuditEvent } from '#mesh/trail';
import type { AuditConfig } from './config.ts';
import { ingestBatch } from './flows/ingest-batch.ts';
import { getTrace, searchEvents } from './flows/read-ledger.ts';
import { verifyRange } from './flows/verify-range.ts';
import { createAuditService } from './inbound/rpc/audit-service.ts';
import { createAuditIngestor } from './inbound/stream/audit-ingestor.ts';
import { createPartitionKeeper } from './inbound/timer/partition-keeper.ts';
import { type AuditMetrics, createAuditMetrics } from './metrics.ts';
import { loadChainKeys } from './outbound/keys/chain-keys.ts';
import { isLedgerCursor } from './outbound/postgres/ledger-rows.ts';
import { createLedgerStore } from './outbound/postgres/ledger-store.ts';
import type { AuditDeps, SignatureCheck } from './ports/deps.ts';

/** How long to wait at start for migrations that are on their way. */
const schemaWaitMs = 30_000;
/** Months of partitions that stand ahead. */
const partitionsAhead = 3;

interface Parts {
  readonly config: AuditConfig;
  readonly foundation: Foundation;
  readonly deps: AuditDeps;
  readonly metrics: AuditMetrics;
}

/** Wires Audit; nothing runs before `start`. */
export async function wire(config: AuditConfig): Promise<Wired> {
  await using opened = new AsyncDisposableStack();
  const foundation = opened.use(openFoundation('audit', config));
  const { database, ledgerRedis, clock, logger } = foundation;
  const parts: Parts = {
    config,
    foundation,
    deps: auditDeps(config, foundation),
    metrics: createAuditMetrics(foundation.metrics),
  };
  const health = createHealth({ checks: { postgres: () => database.ping(), redis: () => ledgerRedis.ping() } });
  const surface = opened.use(await auditSurface(parts, health));
  const running = opened.move();
  return {
    health,
    listener: surface.listener,
    start: async () => {
      await requireSchema({ database, service: 'audit', clock, waitMs: schemaWaitMs });
      running.use(await followDatabaseClock({ database, clock, logger }));
      await running.use(partitionKeeper(foundation)).start();
      running.use(auditIngestor(parts)).start();
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}

function auditDeps({ keys, ledger }: AuditConfig, { database, clock, logger }: Foundation): AuditDeps {
  return {
    ledger: createLedgerStore(database, newId),
    chainKeys: loadChainKeys({
      auditKey: keys.auditHmacKey,
      auditKeyPrevious: keys.auditHmacKeyPrevious,
      checkpointKeyFile: ledger.checkpointKeyFile,
    }),
    isSigned: signatureCheck(keys),
    clock,
    logger,
  };
}

function signatureCheck({ auditHmacKey, auditHmacKeyPrevious }: AuditConfig['keys']): SignatureCheck {
  const accepted = [auditHmacKey, auditHmacKeyPrevious].filter((key) => key !== undefined);
  return (data, signature) => accepted.some((key) => constantTimeEqual(signAuditEvent(data, key), signature));
}

function auditSurface({ config, foundation, deps, metrics }: Parts, health: Health): Promise<Surface> {
  const { logger, clock } = foundation;
  const service = createAuditService({
    flows: {
      searchEvents: (zoneId, query) => searchEvents(deps, zoneId, query),
      getTrace: (zoneId, requestId) => getTrace(deps, zoneId, requestId),
      verifyRange: (range) => verifyRange(deps, range),
    },
    isCursor: isLedgerCursor,
    onFinding: (finding) => {
      metrics.findings.inc({ kind: finding.kind });
      logger.error({ ...finding }, 'the ledger does not verify');
    },
  });
  return createSurface({
    service: 'audit',
    settings: config.listener,
    mode: config.mode.mode,
    logger,
    metrics: foundation.metrics,
    health,
    clock,
    rpc: (router) => router.service(AuditService, service),
  });
}

function partitionKeeper({ database, clock, logger }: Foundation) {
  return createPartitionKeeper({
    ensure: async () => void (await database.query('SELECT audit_pub.ensure_partitions($1)', [partitionsAhead])),
    clock,
    logger,
  });
}

function auditIngestor({ config, foundation, deps, metrics }: Parts) {
  const { ledgerRedis, ledgerPublisher, signer, clock, logger } = foundation;
  return createAuditIngestor({
    redis: ledgerRedis,
    publisher: ledgerPublisher,
    signer,
    consumer: config.ledger.consumerName,
    maxDeliveries: config.ledger.maxDeliveries,
    ingest: (batch) => ingestBatch(deps, batch),
    metrics,
    clock,
    logger,
  });
}
