// The transactional outbox: events written with their cause, published by a relay.
//
//   await database.inZone(zoneId, async (tx) => {
//     …the change…
//     await enqueueAuditEvent(tx, { zoneId, eventType: 'admin.mutation', requestId, metadata });
//     await enqueueNumbered(tx, { stream: 'caracal.resources.invalidate', zoneId, payload });   // last
//   });
//
//   await using relay = createRelay({ database, service: 'api', publisher, ledgerFields, pollMs, batchSize, maxAttempts, … });
//   relay.start();
export {
  enqueue,
  enqueueAll,
  enqueueAuditEvent,
  enqueueNumbered,
  type LedgerDraft,
  type NumberedEntry,
  type OutboxEntry,
} from './enqueue.ts';
export type { LedgerOrigin, RelayOptions } from './relay-options.ts';
export { createRelay, type Relay } from './relay.ts';
