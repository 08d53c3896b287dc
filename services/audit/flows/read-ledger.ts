// Reading the ledger: searched newest first, traced by request id in the order it was chained.
import type { ZoneId } from '#mesh/ids';
import type { AuditDeps } from '../ports/deps.ts';
import type { LedgerPage, LedgerQuery, LedgerRecord } from '../ports/ledger-store.ts';

/** Events of one request: a decision, its outcome and what it caused; more than this is no single request. */
const traceLimit = 1000;

export function searchEvents(deps: AuditDeps, zoneId: ZoneId, query: LedgerQuery): Promise<LedgerPage> {
  return deps.ledger.search(zoneId, query);
}

export function getTrace(deps: AuditDeps, zoneId: ZoneId, requestId: string): Promise<readonly LedgerRecord[]> {
  return deps.ledger.trace(zoneId, requestId, traceLimit);
}

export type { LedgerPage, LedgerQuery, LedgerRecord } from '../ports/ledger-store.ts';
