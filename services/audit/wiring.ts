// Audit's composition root: the one file that names concrete adapters.
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { constantTimeEqual } from '#mesh/canonical';
import { createHealth, type Health } from '#mesh/health';
import { newId } from '#mesh/ids';
import { followDatabaseClock } from '#mesh/postgres';
import { createSurface, type Foundation, openFoundation, requireStores, type Surface, type Wired } from '#mesh/runtime';
import { signAuditEvent } from '#mesh/trail';
import type { AuditConfig } from './config.ts';
import type { GapMemory } from './domain/producer-sequence.ts';
import { ingestBatch } from './flows/ingest-batch.ts';
import { readInputs } from './flows/read-inputs.ts';
import { getTrace, searchEvents } from './flows/read-ledger.ts';
import { verifyRange } from './flows/verify-range.ts';
import { watchEvidenceGaps } from './flows/watch-evidence-gaps.ts';
import { createAuditService } from './inbound/rpc/audit-service.ts';
import { createAuditIngestor } from './inbound/stream/audit-ingestor.ts';
import { createIntervalJob } from './inbound/timer/interval-job.ts';
import { type AuditMetrics, createAuditMetrics } from './metrics.ts';
import { loadChainKeys } from './outbound/keys/chain-keys.ts';
import { isLedgerCursor } from './outbound/postgres/ledger-rows.ts';
import { createLedgerStore } from './outbound/postgres/ledger-store.ts';
import type { AuditDeps, SignatureCheck } from './ports/deps.ts';

/** Months of partitions that stand ahead: a failed night costs nothing. */
const partitionsAhead = 3;
const partitionIntervalMs = 86_400_000;
/** Well below the patience with a gap. */
const gapIntervalMs = 15_000;

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
      await requireStores('audit', foundation, config.mode.mode);
      running.use(await followDatabaseClock({ database, clock, logger }));
      await running.use(partitionJob(foundation)).start();
      running.use(auditIngestor(parts)).start();
      await running.use(gapJob(parts)).start();
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
      readInputs: (range) => readInputs(deps, range),
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

function partitionJob({ database, clock, logger }: Foundation) {
  return createIntervalJob({
    what: 'partitions are made ahead',
    run: async () => void (await database.query('SELECT audit_pub.ensure_partitions($1)', [partitionsAhead])),
    intervalMs: partitionIntervalMs,
    clock,
    logger,
  });
}

function gapJob({ foundation: { clock, logger }, deps, metrics }: Parts) {
  let seen: GapMemory = new Map();
  return createIntervalJob({
    what: 'missing evidence is looked for',
    run: async () => {
      const look = await watchEvidenceGaps(deps, seen);
      seen = look.seen;
      for (const finding of look.findings) {
        metrics.findings.inc({ kind: finding.kind });
        logger.error({ ...finding }, 'evidence is missing');
      }
    },
    intervalMs: gapIntervalMs,
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
