import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainKeyId, type ChainKeys, emptyHead, extendChain } from './chain.ts';
import { type LedgerEvent, readEvent } from './ledger-event.ts';
import { chainStart, type Finding, type StoredEntry, verifyEntry, verifyHead } from './tamper-finding.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const key = Buffer.alloc(32, 7);
const keys: ChainKeys = {
  current: { id: chainKeyId(key), key },
  find: (id) => (id === chainKeyId(key) ? key : undefined),
};

const zone = '01999999-0000-7000-8000-000000000000';
const eventId = (at: number): string => `01999999-0000-7000-8000-${String(at).padStart(12, '0')}`;

const event = (overrides: Record<string, unknown> = {}): string =>
  JSON.stringify({
    id: eventId(1),
    zone_id: zone,
    event_type: 'gateway.decision',
    request_id: 'request-1',
    decision: 'allow',
    occurred_at: '2026-11-21T11:59:59.123456Z',
    producer: 'sts',
    producer_incarnation: 'inc',
    producer_seq: 1,
    metadata: { application_id: 'app' },
    ...overrides,
  });

function read(data: string): LedgerEvent {
  const reading = readEvent(data, nowMs);
  if (reading.kind !== 'event') throw new Error(reading.reason);
  return reading.event;
}

function chain(count: number): { entries: StoredEntry[]; head: ReturnType<typeof extendChain>['head'] } {
  const events = Array.from({ length: count }, (_, at) => read(event({ id: eventId(at), producer_seq: at + 1 })));
  const { links, head } = extendChain(emptyHead, events, keys);
  const entries = events.map((each, at) => ({
    ...each,
    eventId: each.id,
    columns: { id: each.id, eventType: each.eventType, occurredAt: each.occurredAt, decision: each.decision },
    ...(links[at] as (typeof links)[number]),
  }));
  return { entries, head };
}

function verify(entries: readonly StoredEntry[], head = chain(entries.length).head): Finding[] {
  let cursor = chainStart;
  const findings: Finding[] = [];
  for (const entry of entries) {
    const checked = verifyEntry(cursor, entry, keys);
    findings.push(...checked.findings);
    cursor = checked.next;
  }
  return [...findings, ...verifyHead(zone, cursor, head)];
}

describe('a chain', () => {
  it('verifies as it was written', () => {
    const { entries, head } = chain(20);
    expect(verify(entries, head)).toEqual([]);
  });

  it('names the edited row and no other', () => {
    const { entries, head } = chain(5);
    const edited = entries.map((entry) =>
      entry.seq === 3
        ? {
            ...entry,
            canonical: entry.canonical.replace('allow', 'deny'),
            columns: { ...entry.columns, decision: 'deny' },
          }
        : entry,
    );
    expect(verify(edited, head).map((finding) => [finding.seq, finding.kind])).toEqual([[3, 'edited_row']]);
  });

  it('notices a column that differs from the chained event', () => {
    const { entries, head } = chain(3);
    const edited = entries.map((entry) =>
      entry.seq === 2 ? { ...entry, columns: { ...entry.columns, decision: 'deny' } } : entry,
    );
    expect(verify(edited, head)).toMatchObject([{ seq: 2, kind: 'edited_row' }]);
  });

  it('notices an edit whose digests were made anew without the key', () => {
    const { entries, head } = chain(3);
    const forged = read(event({ id: eventId(2), producer_seq: 3, decision: 'deny' }));
    const edited = entries.map((entry) =>
      entry.seq === 3
        ? {
            ...entry,
            canonical: forged.canonical,
            contentSha256: forged.contentSha256,
            columns: { ...entry.columns, decision: 'deny' },
          }
        : entry,
    );
    expect(verify(edited, head).map((finding) => finding.kind)).toEqual(['forged_hmac', 'replaced_head']);
  });

  it('notices a row that is gone, rows that changed places, and a cut tail', () => {
    const { entries, head } = chain(5);
    expect(verify(entries.toSpliced(2, 1), head)).toMatchObject([{ seq: 4, kind: 'missing_row' }]);
    expect(verify(entries.slice(0, 3), head)).toMatchObject([{ kind: 'truncated_tail' }]);
    const [second, third] = [entries[1], entries[2]] as [StoredEntry, StoredEntry];
    const swapped = entries.with(1, { ...third, seq: 2 }).with(2, { ...second, seq: 3 });
    expect(verify(swapped, head).length).toBeGreaterThan(0);
  });

  it('never verifies after any single change of stored text', () => {
    const { entries, head } = chain(3);
    const fields = ['canonical', 'contentSha256', 'previousSha256', 'chainHmac', 'chainKeyId'] as const;
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.nat(2), fc.nat(), (field, row, place) => {
        const entry = entries[row] as StoredEntry;
        const old = entry[field];
        const at = old.length === 0 ? 0 : place % old.length;
        const changed = `${old.slice(0, at)}${old[at] === '0' ? '1' : '0'}${old.slice(at + 1)}`;
        expect(verify(entries.with(row, { ...entry, [field]: changed }), head)).not.toEqual([]);
      }),
    );
  });
});

describe('an event', () => {
  it('is digested in canonical form, whatever the order of its keys', () => {
    const one = read(event());
    const other = read(JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(event())).toReversed())));
    expect(other.contentSha256).toBe(one.contentSha256);
  });

  it.each([
    ['json_refused', '{"id":1,"id":2}'],
    ['json_refused', '[]'],
    ['json_refused', 'x'],
    ['field_missing', event({ id: undefined })],
    ['field_missing', event({ zone_id: '' })],
    ['field_invalid', event({ zone_id: 'a b' })],
    ['field_invalid', event({ event_type: 'Upper' })],
    ['field_invalid', event({ occurred_at: 'yesterday' })],
    ['field_invalid', event({ decision: 'maybe' })],
    ['field_invalid', event({ producer_seq: 0 })],
    ['dated_absurdly', event({ occurred_at: '2020-01-01T00:00:00.000000Z' })],
    ['dated_absurdly', event({ occurred_at: '2030-01-01T00:00:00.000000Z' })],
  ])('is refused as %s', (reason, data) => {
    expect(readEvent(data, nowMs)).toMatchObject({ kind: 'refused', reason });
  });

  it('keeps NUL out of columns and in the chained text', () => {
    const read1 = read(event({ request_id: 'a\u0000b' }));
    expect(read1.requestId).toBe('ab');
    expect(read1.canonical).toContain(String.raw`a\u0000b`);
  });
});
