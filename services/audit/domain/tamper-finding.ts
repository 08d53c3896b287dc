// Re-verifies stored entries one after another and names what does not hold. The same code serves a full verification and
// any part of a chain.
import { constantTimeEqual, sha256Hex } from '#mesh/canonical';
import { type ChainHead, chainHmac, type ChainKeys } from './chain.ts';

export type FindingKind =
  | 'edited_row'
  | 'missing_row'
  | 'broken_link'
  | 'forged_hmac'
  | 'unknown_key'
  | 'truncated_tail'
  | 'replaced_head'
  | 'reused_event_id'
  | 'evidence_gap';

export interface Finding {
  readonly zoneId: string;
  readonly seq: number;
  readonly eventId: string;
  readonly kind: FindingKind;
  readonly description: string;
}

/** A ledger row as it is stored, nothing of it trusted. */
export interface StoredEntry {
  readonly zoneId: string;
  readonly seq: number;
  readonly eventId: string;
  readonly canonical: string;
  readonly contentSha256: string;
  readonly previousSha256: string;
  readonly chainHmac: string;
  readonly chainKeyId: string;
  /** What the stored canonical text says of itself, compared with the columns beside it. */
  readonly columns: {
    readonly id: string;
    readonly eventType: string;
    readonly occurredAt: string;
    readonly decision: string;
  };
}

/** What the next entry must join on to. */
export interface VerifyCursor {
  readonly seq: number;
  readonly contentSha256: string | undefined;
}

/** Where verification of a whole chain begins. */
export const chainStart: VerifyCursor = { seq: 0, contentSha256: '' };

/** Checks one entry against what came before. The cursor moves on to the entry as it is stored. */
export function verifyEntry(
  cursor: VerifyCursor,
  entry: StoredEntry,
  keys: ChainKeys,
): { readonly findings: readonly Finding[]; readonly next: VerifyCursor } {
  const findings: Finding[] = [];
  const found = (kind: FindingKind, description: string): void => {
    findings.push({ zoneId: entry.zoneId, seq: entry.seq, eventId: entry.eventId, kind, description });
  };
  if (sha256Hex(entry.canonical) !== entry.contentSha256 || !columnsAgree(entry))
    found('edited_row', 'the stored event is not the one that was chained');
  if (entry.seq !== cursor.seq + 1) {
    found('missing_row', `entries ${cursor.seq + 1} to ${entry.seq - 1} are not there`);
  } else if (cursor.contentSha256 !== undefined && entry.previousSha256 !== cursor.contentSha256) {
    found('broken_link', 'the entry does not follow the one before it');
  }
  const key = keys.find(entry.chainKeyId);
  if (key === undefined) {
    found('unknown_key', 'the entry was chained with a key that is not known here');
  } else if (!constantTimeEqual(entry.chainHmac, chainHmac(key, { ...entry, keyId: entry.chainKeyId }))) {
    found('forged_hmac', 'the entry was not chained by this ledger');
  }
  return { findings, next: { seq: entry.seq, contentSha256: entry.contentSha256 } };
}

function columnsAgree(entry: StoredEntry): boolean {
  let value: unknown;
  try {
    value = JSON.parse(entry.canonical);
  } catch {
    return false;
  }
  if (typeof value !== 'object' || value === null) return false;
  const event = value as Record<string, unknown>;
  return (
    event.id === entry.columns.id &&
    event.zone_id === entry.zoneId &&
    event.event_type === entry.columns.eventType &&
    event.occurred_at === entry.columns.occurredAt &&
    (event.decision ?? '') === entry.columns.decision
  );
}

/** Compares where the rows ended with the head row that was locked at every write. */
export function verifyHead(zoneId: string, cursor: VerifyCursor, head: ChainHead): readonly Finding[] {
  const at = { zoneId, seq: head.seq, eventId: '' };
  if (head.seq > cursor.seq) {
    return [
      { ...at, kind: 'truncated_tail', description: `the chain was ${head.seq} long, ${cursor.seq} entries are there` },
    ];
  }
  if (head.seq < cursor.seq || head.contentSha256 !== (cursor.contentSha256 ?? '')) {
    return [{ ...at, kind: 'replaced_head', description: 'the head does not name the last entry' }];
  }
  return [];
}
