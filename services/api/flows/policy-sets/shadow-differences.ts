// Where the watched version would have decided otherwise, as the ledger recorded it.
import type { JsonObject, JsonValue } from '#mesh/failure';
import { redacted } from '../../domain/redaction.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { LedgerEntry } from '../../ports/ledger.ts';
import { type ZoneCall, found } from '../admin-call.ts';

/** What the STS calls the event (proto caracal.event.v1). */
const eventType = 'policy.shadow_difference';

export interface DifferenceSearch {
  readonly policySetId: string;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly applicationId: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject)[name] : undefined;
}

const facts = [
  ...['application_id', 'resource', 'scopes', 'enforced', 'enforced_status', 'shadow', 'shadow_status'],
  ...['shadow_version_id', 'shadow_digest', 'suppressed'],
];

/** One difference with names of our own; what the shadow's policies said may quote anything. */
function differenceOf(entry: LedgerEntry): JsonObject {
  const metadata = entry['metadata'];
  const named = facts.flatMap((name): [string, JsonValue][] => {
    const value = memberOf(metadata, name);
    return value === undefined ? [] : [[name, value]];
  });
  const members: Record<string, JsonValue | undefined> = {
    event_id: entry['id'],
    occurred_at: entry['occurred_at'],
    request_id: entry['request_id'],
    version_id: entry['policy_set_version_id'],
    input_digest: entry['input_digest'],
    determining_policies: entry['determining_policies'],
    diagnostics: redacted(entry['diagnostics'] ?? []),
    ...Object.fromEntries(named),
  };
  return Object.fromEntries(
    Object.entries(members).filter((member): member is [string, JsonValue] => member[1] !== undefined),
  );
}

/** Newest first, of the whole zone: it watches one version at a time. @throws not_found, audit_unavailable. */
export async function shadowDifferences(deps: ApiDeps, call: ZoneCall, search: DifferenceSearch) {
  const { policySetId, ...range } = search;
  await deps.store.read(call.zoneId, async (tx) => found(await tx.policySets.find(policySetId), 'policy set'));
  const wanted = { ...range, zoneId: call.zoneId, eventTypes: [eventType], decision: undefined, requestId: undefined };
  const { entries, nextCursor } = await deps.ledger.search(wanted, call.facts);
  return { items: entries.map(differenceOf), nextCursor };
}
