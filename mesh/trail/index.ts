// Evidence: build, sign, journal, emit.
//
//   await using trail = await createTrail({
//     producer: 'gateway', redis, journalDirectory, maxBytes, auditKey, streamSigner, clock, newId, logger, metrics,
//     watermarks: () => readProducerWatermarks(database, 'gateway'),
//   });
//   await trail.emit({ zoneId, eventType: 'gateway.decision', requestId, decision: 'allow', metadata });   // then the effect
//   trail.emitLater({ zoneId, eventType: 'gateway.outcome', requestId, metadata: { status: 200 } });
//
//   const sampler = createRefusalSampler({ clock });
//   const sample = sampler.admit(remoteAddress);            // only before a mandate was verified
//   if (sample !== undefined) await trail.emit({ ...refusal, metadata: { ...facts, suppressed: sample.suppressed } });
//
// Outbox relays build the same bytes: buildAuditEvent(draft, origin), signAuditEvent(data, key), auditStreamFields(…).
export {
  auditStreamFields,
  LARGEST_EVENT_BYTES,
  buildAuditEvent,
  signAuditEvent,
  type AuditEventDraft,
  type EventOrigin,
} from './event.ts';
export { createRefusalSampler, type RefusalSampler, type RefusalSamplerOptions } from './sampler.ts';
export { createTrail, type ProducerWatermark, type Trail, type TrailOptions } from './trail.ts';
