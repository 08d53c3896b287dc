// The evidence of a refusal at an endpoint that clients authenticate at. Strangers are sampled by source and never leave an
// event under a zone they only claim.
import type { Failure, JsonValue } from '#mesh/failure';
import type { Evidence, RefusalSampler } from '../ports/evidence.ts';
import type { Asked, DecisionFacts } from './evidence.ts';
import { decisionEvent } from './evidence.ts';
import type { AuthenticatedClient } from './exchange-token/authenticate-client.ts';

export interface RefusalDeps {
  readonly evidence: Evidence;
  readonly refusalSampler: RefusalSampler;
}

export interface ClientRefusal {
  readonly eventType: DecisionFacts['eventType'];
  readonly request: {
    readonly asked: Asked;
    readonly source: string;
    readonly zoneId: string;
    readonly applicationId: string;
  };
  /** Undefined while the caller is a stranger. */
  readonly client: AuthenticatedClient | undefined;
  readonly failure: Failure;
  readonly facts?: Readonly<Record<string, JsonValue | undefined>>;
}

/** Leaves the event. Throws `audit_unavailable` when it cannot be made durable. */
export async function recordClientRefusal(deps: RefusalDeps, refusal: ClientRefusal): Promise<void> {
  const { request, client, failure } = refusal;
  // Without a journal nothing can be recorded any more, this refusal included.
  if (failure.reason === 'audit_unavailable') return;
  const sample = client ? { suppressed: 0 } : deps.refusalSampler.admit(request.source);
  if (!sample) return;
  const stranger = {
    claimed_zone_id: request.zoneId,
    source_address: request.source,
    suppressed: sample.suppressed > 0 ? sample.suppressed : undefined,
  };
  await deps.evidence.emit(
    decisionEvent({
      eventType: refusal.eventType,
      asked: request.asked,
      zoneId: client?.zone.id,
      recordInputs: false,
      failure,
      facts: { application_id: request.applicationId, ...refusal.facts, ...(client ? {} : stranger) },
    }),
  );
}

/** Leaves the event of a request nobody could read, sampled by source: it names no zone and no client worth believing. */
export async function recordUnread(
  deps: RefusalDeps,
  { asked, source, failure }: { readonly asked: Asked; readonly source: string; readonly failure: Failure },
): Promise<void> {
  const sample = deps.refusalSampler.admit(source);
  if (!sample) return;
  const suppressed = sample.suppressed > 0 ? sample.suppressed : undefined;
  const facts = { source_address: source, fields: failure.fields.map(({ path }) => path), suppressed };
  await deps.evidence.emit(
    decisionEvent({ eventType: 'token.exchange', asked, zoneId: undefined, recordInputs: false, failure, facts }),
  );
}
