// What an event of the ledger says about a decision that policy took: how it went, for whom, and the input it was taken
// on. It stands alone because replay trusts exactly this reading, whoever wrote the event.
import type { JsonObject, JsonValue } from '#mesh/failure';

export interface RecordedDecision {
  readonly eventId: string;
  /** Microsecond text, exactly as in the event. */
  readonly occurredAt: string;
  /** As policy decided; what was refused afterwards for another reason is still an allow of policy. */
  readonly decision: 'allow' | 'hold' | 'deny';
  readonly evaluationStatus: string;
  /** SHA-256 of the canonical input, hex. */
  readonly inputDigest: string;
  readonly policyDigest: string;
  readonly applicationId: string;
  readonly resource: string;
  readonly requestId: string;
  /** The canonical input; undefined when the event does not carry it. */
  readonly inputJson: string | undefined;
}

/** Events that can carry a decision of policy; all others decide nothing. */
export const decisionEventTypes = ['token.exchange', 'gateway.decision'] as const;

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function text(value: JsonValue | undefined, name: string): string {
  const found = member(value, name);
  return typeof found === 'string' ? found : '';
}

/** What policy said; an event without the fact was allowed or denied as a whole. */
function decisionOf(event: JsonValue): RecordedDecision['decision'] {
  const own = text(member(event, 'metadata'), 'policy_decision');
  if (own === 'allow' || own === 'hold' || own === 'deny') return own;
  return text(event, 'decision') === 'allow' ? 'allow' : 'deny';
}

/** The decision a stored event records; undefined when policy was not asked. `canonical` is text the ledger has read before. */
export function recordedDecision(canonical: string): RecordedDecision | undefined {
  const event = JSON.parse(canonical) as JsonValue;
  const inputDigest = text(event, 'input_digest');
  if (inputDigest === '') return undefined;
  const metadata = member(event, 'metadata');
  return {
    eventId: text(event, 'id'),
    occurredAt: text(event, 'occurred_at'),
    decision: decisionOf(event),
    evaluationStatus: text(event, 'evaluation_status'),
    inputDigest,
    policyDigest: text(event, 'manifest_sha'),
    applicationId: text(metadata, 'application_id'),
    resource: text(metadata, 'resource'),
    requestId: text(event, 'request_id'),
    inputJson: text(event, 'input_json') || undefined,
  };
}

/** The scopes that were about to be granted, as the input names them. */
export function scopesOfInput(inputJson: string): readonly string[] {
  try {
    const scopes = member(member(JSON.parse(inputJson) as JsonValue, 'context'), 'requested_scopes');
    return Array.isArray(scopes) ? scopes.filter((scope): scope is string => typeof scope === 'string') : [];
  } catch {
    return [];
  }
}
