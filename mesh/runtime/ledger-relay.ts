/**
 * A service's outbox relay, with the ledger's events built and signed the way every producer does it.
 * It stands alone because outbox and trail are of one row of the mesh and know nothing of each other.
 */
import { newId } from '#mesh/ids';
import { createRelay, type Relay } from '#mesh/outbox';
import { createMemoryWatch } from '#mesh/redis';
import { auditStreamFields, buildAuditEvent, signAuditEvent } from '#mesh/trail';
import type { ServiceName } from '#mesh/topology';
import type { Foundation } from './foundation.ts';

export interface LedgerRelaySettings {
  readonly keys: { readonly auditHmacKey: Uint8Array };
  readonly outbox: { readonly pollMs: number; readonly batchSize: number; readonly maxAttempts: number };
}

/** Publishes what the service's transactions wrote; nothing happens before `start`. */
export function createLedgerRelay(service: ServiceName, foundation: Foundation, settings: LedgerRelaySettings): Relay {
  const { database, publisher, ledgerPublisher, ledgerRedis, clock, logger, metrics } = foundation;
  const memory = createMemoryWatch({ redis: ledgerRedis, clock, newId, logger });
  const relay = createRelay({
    database,
    service,
    publisher,
    ledgerPublisher,
    ledgerMemory: memory,
    ledgerFields: (draft, origin) => {
      const data = buildAuditEvent(draft, origin);
      return auditStreamFields({ id: origin.id, data, sig: signAuditEvent(data, settings.keys.auditHmacKey) });
    },
    ...settings.outbox,
    clock,
    logger,
    metrics,
  });
  return {
    start: () => {
      memory.start();
      relay.start();
    },
    wake: () => relay.wake(),
    [Symbol.asyncDispose]: async () => {
      await relay[Symbol.asyncDispose]();
      await memory[Symbol.asyncDispose]();
    },
  };
}
