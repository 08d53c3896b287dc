// Re-verifies a zone's chain as it is stored, in pages, telling how far it is. It reads rows as they stand at each page and
// the head after the last one, so that entries appended meanwhile are no finding.
import type { ZoneId } from '#mesh/ids';
import { chainStart, type Finding, type VerifyCursor, verifyEntry, verifyHead } from '../domain/tamper-finding.ts';
import type { AuditDeps } from '../ports/deps.ts';

/** Rows a page: large enough to hide the round trip, small enough to answer a cancelled call soon. */
const pageRows = 1000;

export interface VerifyProgress {
  readonly checked: number;
  readonly total: number;
  /** New since the progress before. */
  readonly findings: readonly Finding[];
  readonly done: boolean;
}

export interface VerifyRange {
  readonly zoneId: ZoneId;
  /** First entry to check, 1 for all. */
  readonly fromSeq: number;
  /** Last entry to check; undefined for all, the head included. */
  readonly toSeq: number | undefined;
}

/** Yields at least once; the last progress has `done`. */
export async function* verifyRange(deps: AuditDeps, range: VerifyRange): AsyncGenerator<VerifyProgress> {
  const { zoneId, fromSeq } = range;
  const headAtStart = await deps.ledger.head(zoneId);
  const lastSeq = range.toSeq ?? headAtStart.seq;
  const total = Math.max(0, lastSeq - fromSeq + 1);
  // Inside a chain the entry before the first one is taken as it stands: only its digest is needed to join on.
  let cursor: VerifyCursor = fromSeq <= 1 ? chainStart : { seq: fromSeq - 1, contentSha256: undefined };
  let checked = 0;
  for (;;) {
    const entries = (await deps.ledger.entries(zoneId, cursor.seq + 1, pageRows)).filter(
      (entry) => range.toSeq === undefined || entry.seq <= range.toSeq,
    );
    if (entries.length === 0) break;
    const findings: Finding[] = [];
    for (const entry of entries) {
      const result = verifyEntry(cursor, entry, deps.chainKeys);
      findings.push(...result.findings);
      cursor = result.next;
    }
    checked += entries.length;
    yield { checked, total: Math.max(total, checked), findings, done: false };
    if (range.toSeq !== undefined && cursor.seq >= range.toSeq) break;
  }
  const findings = range.toSeq === undefined ? await headFindings(deps, zoneId, cursor) : cutFindings(range, cursor);
  yield { checked, total: Math.max(total, checked), findings, done: true };
}

/** The head moves on with every append: what was appended while looking is caught up with before it is compared. */
async function headFindings(deps: AuditDeps, zoneId: ZoneId, cursor: VerifyCursor): Promise<readonly Finding[]> {
  const head = await deps.ledger.head(zoneId);
  if (head.seq > cursor.seq) {
    const appended = await deps.ledger.entries(zoneId, cursor.seq + 1, 1);
    if (appended.length > 0) return [];
  }
  return verifyHead(zoneId, cursor, head);
}

function cutFindings(range: VerifyRange, cursor: VerifyCursor): readonly Finding[] {
  const { zoneId, toSeq } = range;
  if (toSeq === undefined || cursor.seq >= toSeq) return [];
  return [
    {
      zoneId,
      seq: toSeq,
      eventId: '',
      kind: 'missing_row',
      description: `entries ${cursor.seq + 1} to ${toSeq} are not there`,
    },
  ];
}
