// Rules of numbers: consecutive, given in commit order, never with a hole that a reader could see.
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { knownId, newId, type ZoneId } from '#mesh/ids';
import { enqueue, enqueueAuditEvent, enqueueNumbered } from '#mesh/outbox';
import { createPool, int8, type Database } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { disposableDatabase, type DisposableDatabase } from '#test/database';

let server: DisposableDatabase;
let api: Database;
let sts: Database;
const zones = Array.from({ length: 4 }, () => knownId<ZoneId>(newId()));

beforeAll(async () => {
  server = await disposableDatabase();
  api = createPool({ service: 'api', connectionString: server.urls.api, logger: silentLogger });
  sts = createPool({ service: 'sts', connectionString: server.urls.sts, logger: silentLogger });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await sts[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const stream = 'caracal.resources.invalidate';

/** Reads numbers until told to stop, and fails when one is missing below the highest it sees. */
function watchForHoles(read: () => Promise<number[]>): { stop: () => Promise<number> } {
  let stopped = false;
  let looks = 0;
  const watching = (async () => {
    while (!stopped) {
      const numbers = await read();
      looks += 1;
      expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 1) + index));
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await watching;
      return looks;
    },
  };
}

/** Many transactions at once, each doing its work after a random pause; every third one changes its mind at the end. */
async function manyTransactions(
  count: number,
  write: (zone: ZoneId, doomed: boolean) => Promise<unknown>,
): Promise<number> {
  const results = await Promise.allSettled(
    Array.from({ length: count }, async (_, index) => {
      await wait(Math.random() * 30);
      await write(zones[index % zones.length] ?? zones[0]!, index % 3 === 0);
    }),
  );
  return results.filter(({ status }) => status === 'fulfilled').length;
}

describe('an invalidation stream', () => {
  test('has consecutive numbers in commit order, whatever runs at once and whatever is rolled back', async () => {
    const watch = watchForHoles(async () => {
      const rows = await api.acrossZones((tx) =>
        tx.query<{ number: string }>('SELECT number FROM api.outbox WHERE stream = $1 ORDER BY number', [stream]),
      );
      return rows.map((row) => int8(row.number));
    });
    const committed = await manyTransactions(90, (zone, doomed) =>
      api.inZone(zone, async (tx) => {
        await enqueueNumbered(tx, { stream, zoneId: zone, payload: { zone_id: zone, kind: 'resource' } });
        await wait(Math.random() * 3);
        if (doomed) throw new Error('changed its mind');
      }),
    );
    expect(await watch.stop()).toBeGreaterThan(1);
    expect(committed).toBe(60);
    const [head] = await api.query<{ head: string }>('SELECT head FROM api.stream_heads WHERE stream = $1', [stream]);
    expect(int8(head?.head ?? -1)).toBe(60);
  });

  test('gives no number for an entry that is there already', async () => {
    const zone = zones[0]!;
    const entry = { stream, zoneId: zone, payload: {}, dedupeKey: `once:${newId()}` } as const;
    const first = await api.inZone(zone, (tx) => enqueueNumbered(tx, entry));
    await expect(api.inZone(zone, (tx) => enqueueNumbered(tx, entry))).rejects.toMatchObject({ code: '23505' });
    const { dedupeKey: _, ...another } = entry;
    expect(await api.inZone(zone, (tx) => enqueueNumbered(tx, another))).toBe(first + 1);
  });
});

describe('revocation', () => {
  test('numbers anchors consecutively in commit order, a cascade in one piece', async () => {
    const watch = watchForHoles(async () => {
      const rows = await sts.acrossZones((tx) =>
        tx.query<{ number: string }>('SELECT number FROM sts_pub.all_revocations_after(0, 100000)'),
      );
      return rows.map((row) => int8(row.number));
    });
    const lasts: { last: number; count: number }[] = [];
    await manyTransactions(60, (zone, doomed) => {
      const count = 1 + Math.floor(Math.random() * 5);
      const anchors = Array.from({ length: count }, () => ({ kind: 'session', anchor: newId() }));
      return sts.inZone(zone, async (tx) => {
        const row = await tx.one<{ last: string }>('SELECT sts_pub.revoke($1, $2, $3) AS last', [
          zone,
          JSON.stringify(anchors),
          'made for a test',
        ]);
        if (doomed) throw new Error('changed its mind');
        lasts.push({ last: int8(row?.last ?? 0), count });
      });
    });
    await watch.stop();
    const total = lasts.reduce((sum, { count }) => sum + count, 0);
    const [head] = await sts.query<{ head: string }>('SELECT head FROM sts_pub.revocation_head()');
    expect(int8(head?.head ?? 0)).toBe(total);
    expect(lasts.toSorted((a, b) => a.last - b.last).map(({ last, count }) => last - count)).toEqual(
      [0, ...lasts.map(({ last }) => last).toSorted((a, b) => a - b)].slice(0, -1),
    );
  });

  test('writes one event of the ledger per call, with at most a hundred anchors in it', async () => {
    const zone = knownId<ZoneId>(newId());
    const anchors = Array.from({ length: 250 }, () => ({ kind: 'edge', anchor: newId() }));
    await sts.inZone(zone, (tx) =>
      tx.query('SELECT sts_pub.revoke($1, $2, $3)', [zone, JSON.stringify(anchors), 'a large cascade']),
    );
    const events = await sts.inZone(zone, (tx) => tx.query<{ payload: JsonObject }>('SELECT payload FROM sts.outbox'));
    expect(events).toHaveLength(1);
    expect(events[0]?.payload).toMatchObject({
      eventType: 'revocation.written',
      zoneId: zone,
      metadata: { anchor_count: 250, reason: 'a large cascade' },
    });
    const metadata = events[0]?.payload['metadata'] as JsonObject;
    expect(metadata['anchors']).toHaveLength(100);
  });
});

describe('an entry of any other stream', () => {
  const zone = zones[1]!;

  test('is written once per dedupe key', async () => {
    const entry = { stream: 'caracal.audit.events', zoneId: zone, payload: {}, dedupeKey: newId() } as const;
    expect(await api.inZone(zone, (tx) => enqueue(tx, entry))).toBe(true);
    expect(await api.inZone(zone, (tx) => enqueue(tx, entry))).toBe(false);
  });

  test('exists only when its cause does', async () => {
    const dedupeKey = newId();
    const doomed = api.inZone(zone, async (tx) => {
      await enqueue(tx, { stream: 'caracal.audit.events', zoneId: zone, payload: {}, dedupeKey });
      throw new Error('changed its mind');
    });
    await expect(doomed).rejects.toThrow('changed its mind');
    const rows = await api.inZone(zone, (tx) => tx.query('SELECT FROM api.outbox WHERE dedupe_key = $1', [dedupeKey]));
    expect(rows).toEqual([]);
  });

  test('cannot be written for another zone', async () => {
    const foreign = api.inZone(zone, (tx) =>
      enqueue(tx, { stream: 'caracal.audit.events', zoneId: zones[2]!, payload: {}, dedupeKey: newId() }),
    );
    await expect(foreign).rejects.toMatchObject({ code: '42501' });
  });

  test('is written by its producers alone, and in its own way', async () => {
    const wrong = { stream: 'caracal.agents.lifecycle', zoneId: zone, payload: {}, dedupeKey: newId() } as const;
    await expect(api.inZone(zone, (tx) => enqueue(tx, wrong))).rejects.toMatchObject({ reason: 'internal_error' });
    await expect(api.inZone(zone, (tx) => enqueue(tx, { ...wrong, stream }))).rejects.toMatchObject({
      reason: 'internal_error',
    });
    const numbered = api.inZone(zone, (tx) => enqueueNumbered(tx, { ...wrong, stream: 'caracal.audit.events' }));
    await expect(numbered).rejects.toMatchObject({ reason: 'internal_error' });
  });

  test.each(['new\nline', 'nul\u0000', 'escape\u001b'])(
    'has no control character in its key: %j',
    async (dedupeKey) => {
      const hostile = { stream: 'caracal.audit.events', zoneId: zone, payload: {}, dedupeKey } as const;
      await expect(api.inZone(zone, (tx) => enqueue(tx, hostile))).rejects.toMatchObject({ reason: 'internal_error' });
    },
  );

  test('keeps evidence that holds what jsonb cannot, with a mark in its place', async () => {
    const { eventId } = await api.inZone(zone, (tx) =>
      enqueueAuditEvent(tx, {
        zoneId: zone,
        eventType: 'admin.mutation',
        requestId: 'r',
        metadata: { name: 'a\u0000b', half: '\ud800', list: ['\u0000'] },
      }),
    );
    const row = await api.inZone(zone, (tx) =>
      tx.one<{ payload: JsonObject }>('SELECT payload FROM api.outbox WHERE id = $1', [eventId]),
    );
    expect(row?.payload['metadata']).toEqual({ name: 'a\uFFFDb', half: '\uFFFD', list: ['\uFFFD'] });
  });
});
