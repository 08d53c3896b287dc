// Reading the ledger: found by Audit, redacted here before it leaves.
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { redacted } from '../../domain/redaction.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { LedgerEntry, LedgerSearch, VerifyProgress } from '../../ports/ledger.ts';
import type { ZoneCall } from '../admin-call.ts';

export interface LedgerPage {
  readonly items: readonly LedgerEntry[];
  readonly nextCursor?: string | undefined;
}

/** Newest first. @throws not_found (zone), invalid_request (cursor), audit_unavailable. */
export async function searchLedger(
  deps: ApiDeps,
  call: ZoneCall,
  search: Omit<LedgerSearch, 'zoneId'>,
): Promise<LedgerPage> {
  await requireZone(deps, call);
  const { entries, nextCursor } = await deps.ledger.search({ ...search, zoneId: call.zoneId }, call.facts);
  return { items: entries.map(shown), nextCursor };
}

/** In the order of the chain. @throws not_found (zone, or no event of this request), audit_unavailable. */
export async function readRequest(deps: ApiDeps, call: ZoneCall, requestId: string): Promise<LedgerPage> {
  await requireZone(deps, call);
  const entries = await deps.ledger.trace(call.zoneId, requestId, call.facts);
  if (entries.length === 0) throw fail('not_found', { description: 'The ledger has no event of this request.' });
  return { items: entries.map(shown) };
}

/** Progress as it comes; the last says done. @throws not_found (zone), audit_unavailable. */
export async function* verifyLedger(
  deps: ApiDeps,
  call: ZoneCall,
  { fromSeq, toSeq, signal }: { fromSeq: number; toSeq: number; signal: AbortSignal },
): AsyncGenerator<VerifyProgress> {
  await requireZone(deps, call);
  yield* deps.ledger.verify({ zoneId: call.zoneId, fromSeq, toSeq }, call.facts, signal);
}

async function requireZone(deps: ApiDeps, { zoneId }: ZoneCall): Promise<void> {
  await deps.store.read(zoneId, async () => undefined);
}

/** What the policies said, what the event tells and what was decided on may quote anything. */
const quoting = ['metadata', 'diagnostics', 'input'];

function shown(entry: LedgerEntry): JsonObject {
  const members = Object.entries(entry).map(([name, value]) => [
    name,
    quoting.includes(name) ? redacted(value) : value,
  ]);
  return Object.fromEntries(members) as JsonObject;
}
