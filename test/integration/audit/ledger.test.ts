// The ledger on real Postgres: chained by batch, verified as stored, tampering named.
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { newId, type ZoneId } from '#mesh/ids';
import { createPool, type Database } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { createClock, ManualClock } from '#mesh/time';
import { LARGEST_EVENT_BYTES } from '#mesh/trail';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { chainKeyId, type ChainKeys } from '../../../services/audit/domain/chain.ts';
import { eventLimitBytes } from '../../../services/audit/domain/ledger-event.ts';
import { ingestBatch, type StreamedEvent } from '../../../services/audit/flows/ingest-batch.ts';
import { getTrace, searchEvents } from '../../../services/audit/flows/read-ledger.ts';
import { verifyRange, type VerifyRange } from '../../../services/audit/flows/verify-range.ts';
import { watchEvidenceGaps } from '../../../services/audit/flows/watch-evidence-gaps.ts';
import { gapPatienceMs } from '../../../services/audit/domain/producer-sequence.ts';
import { createLedgerStore } from '../../../services/audit/outbound/postgres/ledger-store.ts';
import type { AuditDeps } from '../../../services/audit/ports/deps.ts';

const key = Buffer.alloc(32, 3);
const chainKeys: ChainKeys = {
  current: { id: chainKeyId(key), key },
  find: (id) => (id === chainKeyId(key) ? key : undefined),
};

let database: DisposableDatabase;
let pool: Database;
let deps: AuditDeps;
let zoneId: ZoneId;
let producerSeq: number;

beforeAll(async () => {
  database = await disposableDatabase();
  pool = createPool({ service: 'audit', connectionString: database.urls.audit, logger: silentLogger });
  deps = {
    ledger: createLedgerStore(pool, newId),
    chainKeys,
    isSigned: (_data, signature) => signature === 'good'.padEnd(64, '0').replaceAll(/[^0-9a-f]/g, '0'),
    clock: createClock(),
    logger: silentLogger,
  };
});

afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

beforeEach(() => {
  zoneId = newId() as ZoneId;
  producerSeq = 0;
});

const sig = 'good'.padEnd(64, '0').replaceAll(/[^0-9a-f]/g, '0');

function entry(overrides: Record<string, unknown> = {}): StreamedEvent & { id: string } {
  producerSeq += 1;
  const id = newId();
  const data = JSON.stringify({
    id,
    zone_id: zoneId,
    event_type: 'gateway.decision',
    request_id: `request-${producerSeq}`,
    decision: 'allow',
    evaluation_status: 'complete',
    occurred_at: new Date().toISOString().replace('Z', '123Z'),
    producer: 'sts',
    producer_incarnation: zoneId,
    producer_seq: producerSeq,
    metadata: { application_id: 'app-1', note: 'grüße\u0000' },
    ...overrides,
  });
  return { id, entryId: `${producerSeq}-0`, data, sig };
}

async function verify(range: Partial<VerifyRange> = {}) {
  const progresses = await Array.fromAsync(verifyRange(deps, { zoneId, fromSeq: 1, toSeq: undefined, ...range }));
  return {
    findings: progresses.flatMap((progress) => progress.findings),
    checked: progresses.at(-1)?.checked,
    done: progresses.at(-1)?.done,
  };
}

async function asAdministrator(statement: string, values: unknown[]): Promise<number> {
  const client = new Client({ connectionString: database.administratorUrl });
  await client.connect();
  try {
    return (await client.query(statement, values)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

describe('the ledger', () => {
  it('takes the largest event that a producer may write', () => {
    expect(eventLimitBytes).toBe(LARGEST_EVENT_BYTES);
  });

  it('chains a batch and verifies it after the round trip through the database', async () => {
    const outcome = await ingestBatch(deps, [entry(), entry(), entry()]);
    await ingestBatch(deps, [entry()]);
    expect(outcome).toMatchObject({ stored: 3, duplicates: 0, dead: [] });
    expect(await verify()).toEqual({ findings: [], checked: 4, done: true });
  });

  it('drops a duplicate, and names another event under a known id', async () => {
    const first = entry();
    await ingestBatch(deps, [first, first]);
    const other = entry({ id: first.id, decision: 'deny' });
    const outcome = await ingestBatch(deps, [first, other]);
    expect(outcome).toMatchObject({ stored: 0, duplicates: 2 });
    expect((await verify()).checked).toBe(1);
    const found = await pool.inZone(zoneId, (tx) => tx.query('SELECT kind, event_id FROM audit.findings'));
    expect(found).toEqual([{ kind: 'reused_event_id', event_id: first.id }]);
  });

  it('puts aside what it cannot take without holding up the rest', async () => {
    const outcome = await ingestBatch(deps, [
      { entryId: '1-0', data: undefined, sig },
      { entryId: '2-0', data: '{', sig },
      { entryId: '3-0', data: entry().data, sig: 'f'.repeat(64) },
      entry({ occurred_at: '1999-01-01T00:00:00.000000Z' }),
      entry({ event_type: 'NOT ONE' }),
      entry(),
    ]);
    expect(outcome.dead.map((dead) => dead.reason.split(':')[0])).toEqual([
      'missing_data_field',
      'json_refused',
      'signature_refused',
      'dated_absurdly',
      'field_invalid',
    ]);
    expect(outcome.stored).toBe(1);
  });

  it('keeps one chain without gaps when many batches are written at once', async () => {
    const batches = Array.from({ length: 8 }, () => Array.from({ length: 5 }, () => entry()));
    await Promise.all(batches.map((batch) => ingestBatch(deps, batch)));
    expect(await verify()).toEqual({ findings: [], checked: 40, done: true });
  });

  it('moves a producer’s watermark only over numbers without a hole', async () => {
    const [one, two, three, four] = [entry(), entry(), entry(), entry()];
    const watermark = async () => {
      const [row] = await pool.query<{ seq: string }>(
        'SELECT seq FROM audit.producer_watermarks WHERE incarnation = $1',
        [zoneId],
      );
      return Number(row?.seq);
    };
    await ingestBatch(deps, [one, three]);
    expect(await watermark()).toBe(1);
    await ingestBatch(deps, [four]);
    expect(await watermark()).toBe(1);
    await ingestBatch(deps, [two]);
    expect(await watermark()).toBe(4);
  });

  it('names evidence that never came, and lets the watermark pass it afterwards', async () => {
    const [one, , three] = [entry(), entry(), entry()];
    await ingestBatch(deps, [one, three]);
    const clock = new ManualClock();
    const first = await watchEvidenceGaps({ ...deps, clock }, new Map());
    expect(first.findings).toEqual([]);
    await clock.advance(gapPatienceMs);
    const second = await watchEvidenceGaps({ ...deps, clock }, first.seen);
    const mine = second.findings.filter((finding) => finding.description.includes(zoneId));
    expect(mine).toMatchObject([{ kind: 'evidence_gap', description: `event 2 of sts (${zoneId}) never arrived` }]);
    const [row] = await pool.query<{ seq: string }>(
      'SELECT seq FROM audit.producer_watermarks WHERE incarnation = $1',
      [zoneId],
    );
    expect(Number(row?.seq)).toBe(3);
  });

  it.each([
    [
      'an edited event',
      `UPDATE audit.events SET canonical = replace(canonical, 'allow', 'deny') WHERE zone_id = $1 AND seq = 3`,
      [[3, 'edited_row']],
    ],
    [
      'an edited column',
      `UPDATE audit.events SET decision = 'deny' WHERE zone_id = $1 AND seq = 3`,
      [[3, 'edited_row']],
    ],
    ['a deleted row', `DELETE FROM audit.events WHERE zone_id = $1 AND seq = 3`, [[4, 'missing_row']]],
    ['a cut tail', `DELETE FROM audit.events WHERE zone_id = $1 AND seq > 3`, [[5, 'truncated_tail']]],
    ['a replaced head', `UPDATE audit.chain_heads SET seq = 4 WHERE zone_id = $1`, [[4, 'replaced_head']]],
  ])('names %s', async (_name, statement, expected) => {
    await ingestBatch(deps, [entry(), entry(), entry(), entry(), entry()]);
    expect(await asAdministrator(statement, [zoneId])).toBeGreaterThan(0);
    const { findings } = await verify();
    expect(findings.map((finding) => [finding.seq, finding.kind])).toEqual(expected);
  });

  it('verifies any part of a chain', async () => {
    await ingestBatch(
      deps,
      Array.from({ length: 10 }, () => entry()),
    );
    expect(await verify({ fromSeq: 4, toSeq: 7 })).toEqual({ findings: [], checked: 4, done: true });
    const beyond = await verify({ fromSeq: 8, toSeq: 12 });
    expect(beyond.findings.map((finding) => finding.kind)).toEqual(['missing_row']);
  });

  it('lets its role neither change nor delete an event', async () => {
    await ingestBatch(deps, [entry()]);
    const statements = [
      `UPDATE audit.events SET decision = 'deny'`,
      'DELETE FROM audit.events',
      'TRUNCATE audit.events',
    ];
    for (const statement of statements) {
      await expect(pool.inZone(zoneId, (tx) => tx.execute(statement))).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('pages newest first over events of one microsecond without skipping any', async () => {
    const occurred_at = new Date().toISOString().replace('Z', '000Z');
    const entries = Array.from({ length: 7 }, () => entry({ occurred_at }));
    await ingestBatch(deps, entries);
    const base = {
      since: undefined,
      until: undefined,
      decision: 'allow',
      eventTypes: ['gateway.decision'],
      requestId: undefined,
      applicationId: 'app-1',
      limit: 3,
    };
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await searchEvents(deps, zoneId, { ...base, cursor });
      seen.push(...page.records.map((record) => (JSON.parse(record.canonical) as { id: string }).id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen.toSorted()).toEqual(entries.map((each) => each.id).toSorted());
  });

  it('ends a page before it outgrows an answer, and leads on to the rest', async () => {
    const entries = Array.from({ length: 30 }, () => entry({ input_json: 'x'.repeat(60_000) }));
    await ingestBatch(deps, entries);
    const everything = {
      since: undefined,
      until: undefined,
      decision: undefined,
      eventTypes: [],
      requestId: undefined,
      applicationId: undefined,
      limit: 1000,
    };
    const seen: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await searchEvents(deps, zoneId, { ...everything, cursor });
      const bytes = page.records.reduce((sum, record) => sum + record.canonical.length, 0);
      expect(bytes).toBeLessThan(1_000_000);
      seen.push(...page.records.map(({ seq }) => seq));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(30);
    expect(seen).toHaveLength(30);
  });

  it('traces a request in the order it was chained, and another zone sees nothing of it', async () => {
    await ingestBatch(deps, [entry({ request_id: 'r' }), entry(), entry({ request_id: 'r' })]);
    expect((await getTrace(deps, zoneId, 'r')).map((record) => record.seq)).toEqual([1, 3]);
    expect(await getTrace(deps, newId() as ZoneId, 'r')).toEqual([]);
  });
});
