// Where decisions and outcomes are recorded.
import type { AuditEventDraft } from '#mesh/trail';

export interface Evidence {
  /** Resolves when the event is durable. Rejects with `audit_unavailable`. */
  emit(draft: AuditEventDraft): Promise<{ eventId: string }>;
  /** Durable soon; never waited for. */
  emitLater(draft: AuditEventDraft): void;
}
