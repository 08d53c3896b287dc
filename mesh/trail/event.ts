// Builds and signs one event of the ledger. Direct producers and outbox relays write the same bytes through it.
import { canonicalJson, hmacSha256Hex } from '#mesh/canonical';
import { fail, type JsonObject, type JsonValue } from '#mesh/failure';
import type { StreamFields } from '#mesh/redis';
import { microsecondTextOfMs } from '#mesh/time';

/** An event of the ledger as its author knows it (proto caracal.event.v1.AuditEvent without who produced it). */
export interface AuditEventDraft {
  /** UUIDv7; made when absent. */
  readonly id?: string | undefined;
  /** The system zone until a signature has verified; a merely claimed zone belongs in the metadata. */
  readonly zoneId: string;
  readonly eventType: string;
  readonly requestId: string;
  readonly traceId?: string | undefined;
  readonly decision?: 'allow' | 'deny' | 'partial' | undefined;
  readonly policySetId?: string | undefined;
  readonly policySetVersionId?: string | undefined;
  /** SHA-256 of the policy-set version that decided, hex. */
  readonly manifestSha?: string | undefined;
  readonly evaluationStatus?: string | undefined;
  readonly determiningPolicies?: readonly string[] | undefined;
  readonly diagnostics?: readonly JsonObject[] | undefined;
  /** Facts by name. Never a secret, a token or a credential. */
  readonly metadata?: JsonObject | undefined;
  /** SHA-256 of the canonical decision input, hex. */
  readonly inputDigest?: string | undefined;
  /** The canonical decision input, where the zone keeps inputs. */
  readonly inputJson?: string | undefined;
  /** Epoch milliseconds; the moment of building when absent. */
  readonly occurredAtMs?: number | undefined;
}

/** Who produced an event: `sts`, `gateway` or `<service>/outbox`, and its number there. */
export interface EventOrigin {
  readonly id: string;
  readonly producer: string;
  readonly producerIncarnation: string;
  /** From 1 without gaps within (producer, incarnation). */
  readonly producerSeq: number;
  /** Used when the draft names no time. */
  readonly nowMs: number;
}

// An input is bounded where it is made; should one come larger, the event keeps its digest and says that it was left out.
export const LARGEST_EVENT_BYTES = 512 * 1024;

const isSilent = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0);

// Text that came from outside may hold half a surrogate pair, and numbers may be beyond what JSON carries exactly. The
// fact is recorded all the same, in the nearest form that every reader understands.
function repaired(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value === 'number') return Number.isFinite(value) && isExact(value) ? value : String(value);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(repaired);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as JsonObject).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries.map(([name, member]) => [name.toWellFormed(), repaired(member)]));
}

const isExact = (value: number): boolean => !Number.isInteger(value) || Number.isSafeInteger(value);

function canonicalText(event: JsonObject): string {
  try {
    return canonicalJson(event);
  } catch {
    return canonicalJson(repaired(event));
  }
}

// In the order of the canonical text, which then needs no sorting.
function eventObject(draft: AuditEventDraft, origin: EventOrigin): JsonObject {
  const members: Record<string, unknown> = {};
  const add = (name: string, value: unknown): void => {
    if (!isSilent(value)) members[name] = value;
  };
  add('decision', draft.decision);
  add('determining_policies', draft.determiningPolicies);
  add('diagnostics', draft.diagnostics);
  add('evaluation_status', draft.evaluationStatus);
  add('event_type', draft.eventType);
  add('id', origin.id);
  add('input_digest', draft.inputDigest);
  add('input_json', draft.inputJson);
  add('manifest_sha', draft.manifestSha);
  add('metadata', draft.metadata);
  add('occurred_at', microsecondTextOfMs(draft.occurredAtMs ?? origin.nowMs));
  add('policy_set_id', draft.policySetId);
  add('policy_set_version_id', draft.policySetVersionId);
  add('producer', origin.producer);
  add('producer_incarnation', origin.producerIncarnation);
  add('producer_seq', origin.producerSeq);
  add('request_id', draft.requestId);
  add('trace_id', draft.traceId);
  add('zone_id', draft.zoneId);
  return members as JsonObject;
}

/** The event's canonical JSON text (RFC 8785), one line, with the proto's field names; what says nothing is absent. */
export function buildAuditEvent(draft: AuditEventDraft, origin: EventOrigin): string {
  const whole = canonicalText(eventObject(draft, origin));
  if (whole.length <= LARGEST_EVENT_BYTES && Buffer.byteLength(whole) <= LARGEST_EVENT_BYTES) return whole;
  const metadata = { ...draft.metadata, input_omitted: true };
  const reduced = canonicalText(eventObject({ ...draft, metadata, inputJson: undefined }, origin));
  if (Buffer.byteLength(reduced) <= LARGEST_EVENT_BYTES) return reduced;
  throw fail('internal_error', { privateDetail: `event ${draft.eventType} is larger than the ledger takes` });
}

/** HMAC-SHA-256 over the event's text, hex. */
export function signAuditEvent(data: string, auditKey: Uint8Array): string {
  return hmacSha256Hex(auditKey, data);
}

/** The event's fields in caracal.audit.events; the publisher adds `_sig`. */
export function auditStreamFields(event: {
  readonly id: string;
  readonly data: string;
  readonly sig: string;
}): StreamFields {
  return { id: event.id, data: event.data, sig: event.sig };
}
