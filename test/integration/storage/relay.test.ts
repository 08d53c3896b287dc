// Rules of the relay: nothing is lost, order is kept where it is promised, and silence can be told from calm.
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { knownId, newId, type ZoneId } from '#mesh/ids';
import { enqueue, enqueueAuditEvent, enqueueNumbered } from '#mesh/outbox';
import { createPool, type Database, type Leadership } from '#mesh/postgres';
import type { RedisMemory } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import type { ServiceName, StreamName } from '#mesh/topology';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { dataOf, isBeat, startRelay, streamReader, type StreamReader } from './relay-harness.ts';

const lifecycle: StreamName = 'caracal.agents.lifecycle';
const ledger: StreamName = 'caracal.audit.events';
const delegations: StreamName = 'caracal.delegations.invalidate';
const revocations: StreamName = 'caracal.sessions.revoke';
const generous = { timeout: 30_000, interval: 20 };

let server: DisposableDatabase;
let coordinator: Database;
let redis: StreamReader;
const zone = knownId<ZoneId>(newId());

beforeAll(async () => {
  redis = await streamReader();
});
afterAll(() => redis[Symbol.asyncDispose]());

beforeEach(async () => {
  server = await disposableDatabase();
  coordinator = open('coordinator');
  redis.behave(() => 'pass');
  await redis.clear();
});
afterEach(async () => {
  await coordinator[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function open(service: ServiceName): Database {
  return createPool({ service, connectionString: server.urls[service], logger: silentLogger });
}

async function asAdministrator(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.administratorUrl });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await client.end();
  }
}

const writeLifecycle = (key: string, count: number): Promise<void> =>
  coordinator.inZone(zone, async (tx) => {
    for (let place = 0; place < count; place += 1) {
      const dedupeKey = `${key}:${newId()}`;
      await enqueue(tx, { stream: lifecycle, zoneId: zone, dedupeKey, orderKey: key, payload: { key, place } });
    }
  });
const writeNumbered = (): Promise<number> =>
  coordinator.inZone(zone, (tx) =>
    enqueueNumbered(tx, { stream: delegations, zoneId: zone, payload: { zone_id: zone } }),
  );
const placesOf = async (key: string): Promise<unknown[]> =>
  (await redis.entries(lifecycle))
    .map(dataOf)
    .filter((data) => data['key'] === key)
    .map((data) => data['place']);
const numbersOf = async (stream: StreamName): Promise<number[]> =>
  (await redis.entries(stream)).filter((fields) => !isBeat(fields)).map((fields) => Number(fields['number']));
const upTo = (count: number, first = 0): number[] => Array.from({ length: count }, (_, index) => first + index);

describe('entries that are not numbered', () => {
  test('arrive signed, once, in the order of their key, soon after their commit although nothing polls', async () => {
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      pollMs: 3_600_000,
    });
    await writeLifecycle('a', 1);
    await vi.waitFor(async () => expect(await placesOf('a')).toEqual([0]), generous);
    await Promise.all([writeLifecycle('b', 25), writeLifecycle('c', 25)]);
    await vi.waitFor(async () => expect(await redis.entries(lifecycle)).toHaveLength(51), generous);
    expect(await placesOf('b')).toEqual(upTo(25));
    expect(await placesOf('c')).toEqual(upTo(25));
    for (const fields of await redis.entries(lifecycle)) {
      expect(redis.signer.verify(lifecycle, fields)).toBe(true);
      expect(Object.keys(fields).toSorted()).toEqual(['_sig', 'data', 'dedupe_key', 'occurred_at', 'outbox_id']);
      expect(fields['occurred_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    }
  });

  test('of the ledger are numbered without gaps from their producer, under the id they were written with', async () => {
    await using _first = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await using other = open('coordinator');
    await using _second = startRelay('coordinator', { database: other, publisher: redis.publisher });
    const ids = await Promise.all(
      upTo(40).map(async () => {
        const draft = { zoneId: zone, eventType: 'session.started', requestId: 'r' };
        return (await coordinator.inZone(zone, (tx) => enqueueAuditEvent(tx, draft))).eventId;
      }),
    );
    await vi.waitFor(async () => expect(await redis.entries(ledger)).toHaveLength(40), generous);
    const origins = (await redis.entries(ledger)).map((fields) => dataOf(fields)['origin'] as JsonObject);
    expect(new Set(origins.map((origin) => origin['id']))).toEqual(new Set(ids));
    expect(origins.map((origin) => Number(origin['producerSeq'])).toSorted((a, b) => a - b)).toEqual(upTo(40, 1));
    expect(
      origins.every(
        (origin) => origin['producer'] === 'coordinator/outbox' && origin['producerIncarnation'] === 'outbox',
      ),
    ).toBe(true);
  });

  test('use no attempt while Redis is away, and arrive in order when it is back', async () => {
    redis.behave(() => 'away');
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      maxAttempts: 1,
    });
    await writeLifecycle('a', 20);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(
      await asAdministrator('SELECT max(attempts) AS attempts, count(dead_at) AS dead FROM coordinator.outbox'),
    ).toEqual([{ attempts: 0, dead: '0' }]);
    redis.behave(() => 'pass');
    await vi.waitFor(async () => expect(await placesOf('a')).toEqual(upTo(20)), generous);
  });

  test('keep their order when Redis goes away in the middle of a pipeline', async () => {
    let left = 10;
    redis.behave(() => {
      left -= 1;
      return left >= 0 ? 'pass' : 'away';
    });
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      batchSize: 100,
    });
    await writeLifecycle('a', 20);
    await vi.waitFor(() => expect(left).toBeLessThan(0), generous);
    redis.behave(() => 'pass');
    await vi.waitFor(async () => expect((await placesOf('a')).at(-1)).toBe(19), generous);
    expect(await placesOf('a')).toEqual(upTo(20));
  });

  test('die after as many refusals as are allowed, visibly, while others of other keys pass; and can be given another life', async () => {
    redis.behave(({ fields }) => (dataOf(fields)['key'] === 'bad' ? 'refuse' : 'pass'));
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      maxAttempts: 2,
    });
    await writeLifecycle('bad', 1);
    await writeLifecycle('good', 5);
    await vi.waitFor(async () => expect(await placesOf('good')).toEqual(upTo(5)), generous);
    const dead = 'SELECT id, attempts, last_error FROM coordinator.outbox WHERE dead_at IS NOT NULL';
    await vi.waitFor(async () => expect(await asAdministrator(dead)).toHaveLength(1), generous);
    const [row] = await asAdministrator(dead);
    expect(row).toMatchObject({ attempts: 2, last_error: 'ERR told to refuse' });
    expect(await coordinator.query('SELECT dead FROM coordinator.outbox_state()')).toEqual([{ dead: 1 }]);
    redis.behave(() => 'pass');
    await coordinator.query('SELECT coordinator.outbox_requeue($1)', [row?.['id']]);
    await vi.waitFor(async () => expect(await placesOf('bad')).toEqual([0]), generous);
  });

  test('that follow a refused one of their key come after it', async () => {
    let refusals = 2;
    redis.behave(({ fields }) => {
      if (dataOf(fields)['place'] !== 0 || refusals === 0) return 'pass';
      refusals -= 1;
      return 'refuse';
    });
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      maxAttempts: 9,
    });
    await writeLifecycle('a', 5);
    await vi.waitFor(async () => expect(await placesOf('a')).toContain(0), generous);
    await vi.waitFor(async () => {
      const places = await placesOf('a');
      expect(places.slice(places.lastIndexOf(0))).toEqual(upTo(5));
    }, generous);
  });

  test('are published again, not lost, when the process dies between publishing and marking', async () => {
    const dying: Database = {
      ...coordinator,
      query: (text, values) =>
        text.includes('outbox_settle') ? Promise.reject(new Error('killed')) : coordinator.query(text, values),
    };
    const first = startRelay('coordinator', { database: dying, publisher: redis.publisher });
    await writeLifecycle('a', 3);
    await vi.waitFor(async () => expect(await placesOf('a')).toEqual(upTo(3)), generous);
    await first[Symbol.asyncDispose]();
    await using _second = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await writeLifecycle('a', 1);
    // The lease of the dead one has to run out; until then its rows, and those behind them, are nobody else's.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await placesOf('a')).toEqual(upTo(3));
    await asAdministrator("UPDATE coordinator.outbox SET claimed_until = clock_timestamp() - interval '1 second'");
    await vi.waitFor(async () => expect(await placesOf('a')).toEqual([0, 1, 2, 0, 1, 2, 0]), generous);
    const ids = (await redis.entries(lifecycle)).map((fields) => fields['outbox_id']);
    expect(new Set(ids).size).toBe(4);
  });

  test('are purged by age once they are published', async () => {
    await using _relay = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await writeLifecycle('a', 4);
    await vi.waitFor(async () => expect(await placesOf('a')).toHaveLength(4), generous);
    await vi.waitFor(
      async () =>
        expect(
          await asAdministrator('SELECT count(*) AS open FROM coordinator.outbox WHERE published_at IS NULL'),
        ).toEqual([{ open: '0' }]),
      generous,
    );
    const purge = "SELECT coordinator.outbox_purge(interval '1 hour', 100) AS purged";
    expect(await coordinator.query(purge)).toEqual([{ purged: 0 }]);
    await asAdministrator("UPDATE coordinator.outbox SET published_at = published_at - interval '2 hours'");
    expect(await coordinator.query(purge)).toEqual([{ purged: 4 }]);
  });
});

describe('events of the ledger', () => {
  const write = async (count: number): Promise<void> => {
    const draft = { zoneId: zone, eventType: 'session.started', requestId: 'r' };
    for (let at = 0; at < count; at += 1) await coordinator.inZone(zone, (tx) => enqueueAuditEvent(tx, draft));
  };
  const seqs = async (): Promise<number[]> =>
    (await redis.entries(ledger))
      .map((fields) => Number((dataOf(fields)['origin'] as JsonObject)['producerSeq']))
      .toSorted((a, b) => a - b);
  const cover = async (seq: number): Promise<unknown> =>
    asAdministrator(
      `INSERT INTO audit.producer_watermarks (producer, incarnation, seq, arrived)
       VALUES ('coordinator/outbox', 'outbox', $1::bigint, int8multirange(int8range(1, $1::bigint + 1)))`,
      [seq],
    );

  test('that Redis took and forgot before the ledger had them are published again, and no others', async () => {
    const losses: (() => void)[] = [];
    const ledgerMemory = {
      onLoss: (listener: (memory: RedisMemory) => void) => {
        losses.push(() => listener({ id: 'another', sinceMs: 0 }));
        return () => undefined;
      },
    };
    await using _relay = startRelay('coordinator', { database: coordinator, publisher: redis.publisher, ledgerMemory });
    await write(5);
    await vi.waitFor(async () => expect(await seqs()).toEqual([1, 2, 3, 4, 5]), generous);
    await cover(3);
    await redis.clear();
    for (const lost of losses) lost();
    await vi.waitFor(async () => expect(await seqs()).toEqual([4, 5]), generous);
  });

  test('that Redis forgot while no relay was there to see it are published again by the next one', async () => {
    const ledgerMemory = { onLoss: () => () => undefined };
    {
      await using _first = startRelay('coordinator', {
        database: coordinator,
        publisher: redis.publisher,
        ledgerMemory,
      });
      await write(2);
      await vi.waitFor(async () => expect(await seqs()).toEqual([1, 2]), generous);
    }
    await redis.clear();
    await using _next = startRelay('coordinator', { database: coordinator, publisher: redis.publisher, ledgerMemory });
    await vi.waitFor(async () => expect(await seqs()).toEqual([1, 2]), generous);
  });

  test('stay in the outbox, however old, until the ledger has them', async () => {
    await using _relay = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await write(4);
    const open = 'SELECT count(*) AS open FROM coordinator.outbox WHERE published_at IS NULL';
    await vi.waitFor(async () => expect(await asAdministrator(open)).toEqual([{ open: '0' }]), generous);
    await asAdministrator("UPDATE coordinator.outbox SET published_at = published_at - interval '2 days'");
    await cover(3);
    const purge = "SELECT coordinator.outbox_purge(interval '1 hour', 100) AS purged";
    expect(await coordinator.query(purge)).toEqual([{ purged: 3 }]);
  });
});

describe('numbered entries', () => {
  test('arrive in number order with their incarnation', async () => {
    await using _relay = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await Promise.all(upTo(40).map(writeNumbered));
    await vi.waitFor(async () => expect(await numbersOf(delegations)).toEqual(upTo(40, 1)), generous);
    const [head] = await asAdministrator('SELECT incarnation FROM coordinator.stream_heads');
    for (const fields of await redis.entries(delegations)) {
      expect(redis.signer.verify(delegations, fields)).toBe(true);
      expect(fields['incarnation']).toBe(head?.['incarnation']);
    }
  });

  test('never die: refused and away, they are tried for ever, and nothing overtakes them for good', async () => {
    let refusals = 12;
    redis.behave(({ stream, fields }) => {
      if (stream !== delegations || isBeat(fields) || fields['number'] !== '2' || refusals === 0) return 'pass';
      refusals -= 1;
      return refusals % 2 === 0 ? 'away' : 'refuse';
    });
    await using _relay = startRelay('coordinator', {
      database: coordinator,
      publisher: redis.publisher,
      maxAttempts: 1,
    });
    for (let index = 0; index < 4; index += 1) await writeNumbered();
    await vi.waitFor(async () => {
      const numbers = await numbersOf(delegations);
      expect(numbers.slice(numbers.lastIndexOf(2))).toEqual([2, 3, 4]);
    }, generous);
    expect(refusals).toBe(0);
    expect(await asAdministrator('SELECT count(dead_at) AS dead FROM coordinator.outbox')).toEqual([{ dead: '0' }]);
  });

  test('are published by one leader; when it loses its connection another goes on, and numbers only repeat, never jump', async () => {
    await using other = open('coordinator');
    await using _first = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await using _second = startRelay('coordinator', { database: other, publisher: redis.publisher });
    let written = 0;
    for (let round = 0; round < 3; round += 1) {
      const writing = (async () => {
        for (let index = 0; index < 30; index += 1) written = await writeNumbered();
      })();
      await asAdministrator(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caracal-coordinator-leader' AND datname = current_database()",
      );
      await writing;
    }
    await vi.waitFor(async () => expect(Math.max(...(await numbersOf(delegations)))).toBe(written), generous);
    let applied = 0;
    for (const number of await numbersOf(delegations)) {
      expect(number).toBeLessThanOrEqual(applied + 1);
      applied = Math.max(applied, number);
    }
    expect(applied).toBe(written);
  });

  test('carry revocations from their own table', async () => {
    await using sts = open('sts');
    await using _relay = startRelay('sts', { database: sts, publisher: redis.publisher });
    const anchors = [
      { kind: 'agent_session', anchor: newId() },
      { kind: 'zone_key', anchor: 'kid-1' },
    ];
    await sts.inZone(zone, (tx) =>
      tx.query('SELECT sts_pub.revoke($1, $2, $3)', [zone, JSON.stringify(anchors), 'ended']),
    );
    await vi.waitFor(async () => expect(await numbersOf(revocations)).toEqual([1, 2]), generous);
    const entries = (await redis.entries(revocations)).filter((fields) => !isBeat(fields));
    expect(entries.map(dataOf)).toMatchObject([
      { number: '1', zoneId: zone, kind: 'ANCHOR_KIND_AGENT_SESSION', anchor: anchors[0]?.anchor, reason: 'ended' },
      { number: '2', zoneId: zone, kind: 'ANCHOR_KIND_ZONE_KEY', anchor: 'kid-1', reason: 'ended' },
    ]);
    await vi.waitFor(async () => expect(await redis.entries(ledger)).toHaveLength(1), generous);
  });
});

describe('a heartbeat', () => {
  const beats = async (stream: StreamName): Promise<JsonObject[]> =>
    (await redis.entries(stream)).filter(isBeat).map(dataOf);

  test('comes every second on every numbered stream of the service, with the head it has given', async () => {
    await using sts = open('sts');
    await using _relay = startRelay('sts', { database: sts, publisher: redis.publisher });
    await vi.waitFor(async () => expect((await beats(revocations)).length).toBeGreaterThan(2), generous);
    const list = await beats(revocations);
    expect(list.map((beat) => beat['beat'])).toEqual(upTo(list.length, 1).map(String));
    const times = list.map((beat) => Date.parse(beat['databaseTime'] as string));
    expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_500);
    expect((await beats('caracal.keys.invalidate')).length).toBeGreaterThan(1);
    await sts.inZone(zone, (tx) =>
      tx.query('SELECT sts_pub.revoke($1, $2, $3)', [zone, JSON.stringify([{ kind: 'jti', anchor: newId() }]), 'r']),
    );
    await vi.waitFor(async () => expect((await beats(revocations)).at(-1)).toMatchObject({ head: '1' }), generous);
    for (const fields of (await redis.entries(revocations)).filter(isBeat)) {
      expect(redis.signer.verify(revocations, fields)).toBe(true);
    }
  });

  test('tells how long the oldest entry has waited, when Redis takes heartbeats and nothing else', async () => {
    redis.behave(({ fields }) => (isBeat(fields) ? 'pass' : 'refuse'));
    await using _relay = startRelay('coordinator', { database: coordinator, publisher: redis.publisher });
    await writeNumbered();
    await vi.waitFor(async () => {
      const last = (await beats(delegations)).at(-1);
      expect(last).toMatchObject({ head: '1' });
      expect(Number(last?.['unpublishedMs'])).toBeGreaterThan(1_000);
    }, generous);
    redis.behave(() => 'pass');
    await vi.waitFor(async () => {
      const last = (await beats(delegations)).at(-1);
      expect([last?.['head'], Number(last?.['unpublishedMs'] ?? 0)]).toEqual(['1', 0]);
    }, generous);
  });

  test('is not sent when what it would say is older than a second', async () => {
    const slow = (lead: Leadership | undefined): Leadership | undefined =>
      lead && {
        ...lead,
        query: async <R extends object>(text: string, values?: readonly unknown[]) => {
          const rows = await lead.query<R>(text, values);
          if (text.includes('outbox_stream_state')) await new Promise((resolve) => setTimeout(resolve, 1_100));
          return rows;
        },
        [Symbol.asyncDispose]: () => lead[Symbol.asyncDispose](),
      };
    const database: Database = { ...coordinator, tryLead: async (name) => slow(await coordinator.tryLead(name)) };
    await using _relay = startRelay('coordinator', { database, publisher: redis.publisher });
    await writeNumbered();
    await vi.waitFor(async () => expect(await numbersOf(delegations)).toEqual([1]), generous);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await beats(delegations)).toEqual([]);
  });
});
