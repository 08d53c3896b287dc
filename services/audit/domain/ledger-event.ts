// What the ledger accepts as an event: a strict, bounded reading of the bytes a producer signed. What is not accepted goes
// to the dead letters with one of these reasons; it never stops the events behind it.
import { canonicalJson, parseCanonicalJson, parseStrictJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { type EventId, isTextId, type ZoneId } from '#mesh/ids';

/** An event is at most this large: what producers write at most (#mesh/trail); a larger one is none of theirs. */
export const eventLimitBytes = 524_288;
/** Inputs nest a few levels; more is nothing a producer of ours writes. */
const eventDepth = 16;

/**
 * How far from now an event may be dated: clocks of producers follow the database, and outages that a journal bridges last
 * days. The shortest month bounds it, because the month before the present one always has a partition.
 */
const pastLimitMs = 28 * 24 * 3_600_000;
const futureLimitMs = 5 * 60_000;

export interface LedgerEvent {
  readonly id: EventId;
  readonly zoneId: ZoneId;
  readonly eventType: string;
  readonly requestId: string;
  readonly decision: string;
  readonly evaluationStatus: string;
  readonly applicationId: string;
  /** Microsecond text, exactly as in the event. */
  readonly occurredAt: string;
  readonly producer: string;
  readonly producerIncarnation: string;
  readonly producerSeq: number;
  /** RFC 8785 of the event: what is stored, digested and chained. */
  readonly canonical: string;
  readonly contentSha256: string;
}

export type EventReading =
  | { readonly kind: 'event'; readonly event: LedgerEvent }
  | {
      readonly kind: 'refused';
      readonly reason: 'json_refused' | 'field_missing' | 'field_invalid' | 'dated_absurdly';
      readonly detail: string;
    };

const eventTypeShape = /^[a-z][a-z_]{0,63}(\.[a-z][a-z_]{0,63}){0,3}$/;
/** UUIDv7 (RFC 9562 §5.7) in lower case. */
const rowIdShape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const timeShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
const decisions = new Set(['', 'allow', 'deny', 'partial']);

function refused(reason: Extract<EventReading, { kind: 'refused' }>['reason'], detail: string): EventReading {
  return { kind: 'refused', reason, detail };
}

/** Our producers write the canonical form itself; whatever else is acceptable is brought into it. */
function readJson(data: string): { readonly value: JsonValue; readonly canonical: string } {
  if (Buffer.byteLength(data) <= eventLimitBytes) {
    const value = parseCanonicalJson(data, eventDepth);
    if (value !== undefined) return { value, canonical: data };
  }
  const value = parseStrictJson(data, { maxBytes: eventLimitBytes, maxDepth: eventDepth });
  return { value, canonical: canonicalJson(value) };
}

/** Reads the signed bytes of one event. */
export function readEvent(data: string, nowMs: number): EventReading {
  let read: ReturnType<typeof readJson>;
  try {
    read = readJson(data);
  } catch (error) {
    return refused('json_refused', error instanceof Error ? error.message : 'not JSON');
  }
  const { value, canonical } = read;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refused('json_refused', 'not an object');
  const object = value as JsonObject;
  const problem = fieldProblem(object);
  if (problem !== undefined) return problem;
  const occurredMs = Date.parse(text(object, 'occurred_at'));
  if (occurredMs < nowMs - pastLimitMs || occurredMs > nowMs + futureLimitMs)
    return refused('dated_absurdly', 'occurred_at');
  return { kind: 'event', event: fromObject(object, canonical) };
}

function text(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === 'string' ? value : '';
}

const required = ['id', 'zone_id', 'event_type', 'occurred_at', 'producer', 'producer_incarnation'] as const;

/** The rule of each field whose form matters. */
const rules: readonly (readonly [name: string, isValid: (object: JsonObject) => boolean])[] = [
  ['id', (object) => rowIdShape.test(text(object, 'id'))],
  ['zone_id', (object) => rowIdShape.test(text(object, 'zone_id'))],
  ['producer_incarnation', (object) => isTextId(text(object, 'producer_incarnation'))],
  ['event_type', (object) => eventTypeShape.test(text(object, 'event_type'))],
  ['occurred_at', (object) => isTime(text(object, 'occurred_at'))],
  ['decision', (object) => decisions.has(text(object, 'decision'))],
  ['producer', (object) => text(object, 'producer').length <= 64],
  ['producer_seq', (object) => isCount(object.producer_seq)],
];

function fieldProblem(object: JsonObject): EventReading | undefined {
  const missing = required.find((name) => text(object, name) === '');
  if (missing !== undefined) return refused('field_missing', missing);
  const wrong = rules.find(([, isValid]) => !isValid(object));
  return wrong === undefined ? undefined : refused('field_invalid', wrong[0]);
}

function isTime(value: string): boolean {
  return timeShape.test(value) && !Number.isNaN(Date.parse(value));
}

function isCount(value: JsonValue | undefined): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** Text columns of Postgres hold no NUL; the canonical form keeps it, escaped. */
function column(value: string, limit: number): string {
  return value.replaceAll('\u0000', '').slice(0, limit);
}

function fromObject(object: JsonObject, canonical: string): LedgerEvent {
  const metadata = object.metadata;
  const applicationId =
    typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
      ? text(metadata as JsonObject, 'application_id')
      : '';
  return {
    id: text(object, 'id') as EventId,
    zoneId: text(object, 'zone_id') as ZoneId,
    eventType: text(object, 'event_type'),
    requestId: column(text(object, 'request_id'), 128),
    decision: text(object, 'decision'),
    evaluationStatus: column(text(object, 'evaluation_status'), 128),
    applicationId: column(applicationId, 128),
    occurredAt: text(object, 'occurred_at'),
    producer: text(object, 'producer'),
    producerIncarnation: text(object, 'producer_incarnation'),
    producerSeq: Number(object.producer_seq),
    canonical,
    contentSha256: sha256Hex(canonical),
  };
}
