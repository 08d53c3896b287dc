// The need: that what was decided is durable before anyone hears of it.
import type { AuditEventDraft } from '#mesh/trail';

export interface Evidence {
  /** Resolves when the event is durable. Throws `audit_unavailable`. */
  emit(draft: AuditEventDraft): Promise<{ eventId: string }>;
}

/** Keeps strangers from filling the ledger: before a client is known only so many refusals per source are recorded. */
export interface RefusalSampler {
  /** Undefined when this refusal is not to be recorded; else how many were not since the last one that was. */
  admit(source: string): { readonly suppressed: number } | undefined;
}
