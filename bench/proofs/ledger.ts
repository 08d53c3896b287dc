// The ledger of one zone as a proof reads it: every event by page, and what a full verification says.
import type { GovernedZone } from './governed-zone.ts';

export interface LedgerEvent {
  readonly id: string;
  readonly type: string;
  readonly requestId: string;
  readonly decision: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

const pageSize = 1000;
const readTimeoutMs = 20_000;

/** Newest first, as the ledger gives them. Rejects while Audit or its database is away. */
export async function readLedger({ audit, facts }: GovernedZone): Promise<readonly LedgerEvent[]> {
  const events: LedgerEvent[] = [];
  for (let cursor = ''; ;) {
    const page = await audit.searchEvents(
      { zoneId: facts.zoneId, limit: pageSize, cursor },
      { timeoutMs: readTimeoutMs },
    );
    for (const { event } of page.entries) {
      if (event === undefined) continue;
      events.push({
        id: event.id,
        type: event.eventType,
        requestId: event.requestId,
        decision: event.decision,
        metadata: event.metadata ?? {},
      });
    }
    cursor = page.nextCursor;
    if (cursor === '') return events;
  }
}

export interface ChainCheck {
  readonly checked: number;
  readonly findings: readonly string[];
}

export async function verifyChain({ audit, facts }: GovernedZone): Promise<ChainCheck> {
  const findings: string[] = [];
  let checked = 0;
  let isDone = false;
  for await (const progress of audit.verifyRange({ zoneId: facts.zoneId })) {
    checked = Number(progress.checked);
    isDone = progress.done;
    for (const { seq, kind, description } of progress.findings) findings.push(`${kind} at ${seq}: ${description}`);
  }
  return { checked, findings: isDone ? findings : [...findings, 'verification did not finish'] };
}
