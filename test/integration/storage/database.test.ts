// Rules of the one door to the database: what is bound stays bound, conflicts run again, outages have one name.
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { knownId, newId, type ZoneId } from '#mesh/ids';
import { createPool, violatedUnique, type Database } from '#mesh/postgres';
import { createMetrics, silentLogger } from '#mesh/telemetry';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { fillZone, type ZoneRows } from './zone-rows.ts';

let server: DisposableDatabase;
let rows: ZoneRows;
let zone: ZoneId;
let database: Database;

beforeAll(async () => {
  server = await disposableDatabase();
  rows = await fillZone(server.urls);
  zone = knownId<ZoneId>(rows.zone);
  database = createPool({
    service: 'coordinator',
    connectionString: server.urls.coordinator,
    max: 8,
    logger: silentLogger,
  });
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function asAdministrator<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: server.administratorUrl });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const use = "UPDATE coordinator.capacity SET used = used + 1 WHERE zone_id = $1 AND key = 'zone'";

describe('a zone transaction', () => {
  test('sees its zone, and commits what its work did', async () => {
    const before = await database.inZone(zone, (tx) =>
      tx.one<{ used: number }>('SELECT used FROM coordinator.capacity'),
    );
    expect(await database.inZone(zone, (tx) => tx.execute(use, [zone]))).toBe(1);
    const after = await database.inZone(zone, (tx) =>
      tx.one<{ used: number }>('SELECT used FROM coordinator.capacity'),
    );
    expect(after?.used).toBe((before?.used ?? 0) + 1);
  });

  test('leaves nothing when its work throws', async () => {
    const read = (): Promise<unknown> => database.inZone(zone, (tx) => tx.one('SELECT used FROM coordinator.capacity'));
    const before = await read();
    const failing = database.inZone(zone, async (tx) => {
      await tx.execute(use, [zone]);
      throw new Error('changed its mind');
    });
    await expect(failing).rejects.toThrow('changed its mind');
    expect(await read()).toEqual(before);
  });

  test('does not pretend to have committed when a statement had failed and the error was swallowed', async () => {
    const swallowing = database.inZone(zone, async (tx) => {
      await tx.execute('SELECT 1 / 0').catch(() => {});
    });
    await expect(swallowing).rejects.toThrow(/rolled back/);
  });

  test('cannot be used after it is over', async () => {
    const kept = await database.inZone(zone, async (tx) => tx);
    await expect(kept.query('SELECT 1')).rejects.toThrow(/over/);
  });

  test('refuses a zone that is no id, whatever it tries to say', async () => {
    const hostile = knownId<ZoneId>("x'; SET LOCAL ROLE caracal_coordinator_loader; --");
    await expect(database.inZone(hostile, async () => 'inside')).rejects.toThrow('invalid_request');
  });

  test('leaves the connection without a zone', async () => {
    await database.inZone(zone, (tx) => tx.query('SELECT 1'));
    const seen = await Promise.all(
      Array.from({ length: 8 }, () => database.query('SELECT id FROM coordinator.agent_sessions')),
    );
    expect(seen.flat()).toEqual([]);
  });

  test('carries the request into what definer functions record', async () => {
    const requestId = newId();
    const anchors = JSON.stringify([{ kind: 'jti', anchor: newId() }]);
    await database.inZone(zone, (tx) => tx.query('SELECT sts_pub.revoke($1, $2, $3)', [zone, anchors, 'r']), {
      requestId,
    });
    const found = await asAdministrator((client) =>
      client.query("SELECT payload ->> 'eventType' AS type FROM sts.outbox WHERE payload ->> 'requestId' = $1", [
        requestId,
      ]),
    );
    expect(found.rows).toEqual([{ type: 'revocation.written' }]);
  });

  test('runs again after a serialization failure, and only then', async () => {
    let runs = 0;
    const work = (): Promise<number> =>
      database.inZone(
        zone,
        async (tx) => {
          runs += 1;
          await tx.one('SELECT used FROM coordinator.capacity');
          if (runs === 1) await database.inZone(zone, (other) => other.execute(use, [zone]));
          return tx.execute(use, [zone]);
        },
        { isolation: 'repeatable read' },
      );
    expect(await work()).toBe(1);
    expect(runs).toBe(2);
    runs = 0;
    const failing = database.inZone(zone, async (tx) => {
      runs += 1;
      await tx.execute("INSERT INTO coordinator.capacity (zone_id, key, used) VALUES ($1, 'zone', 1)", [zone]);
    });
    const error: unknown = await failing.catch((caught: unknown) => caught);
    expect(violatedUnique(error)).toBe('capacity_pkey');
    expect(runs).toBe(1);
  });

  test('runs again after a deadlock', async () => {
    await database.inZone(zone, (tx) =>
      tx.execute("INSERT INTO coordinator.capacity (zone_id, key, used) VALUES ($1, 'a', 0), ($1, 'b', 0)", [zone]),
    );
    const bump = (first: string, second: string): Promise<void> =>
      database.inZone(zone, async (tx) => {
        await tx.execute('UPDATE coordinator.capacity SET used = used + 1 WHERE key = $1', [first]);
        await wait(50);
        await tx.execute('UPDATE coordinator.capacity SET used = used + 1 WHERE key = $1', [second]);
      });
    await Promise.all([bump('a', 'b'), bump('b', 'a')]);
    const used = await database.inZone(zone, (tx) =>
      tx.query("SELECT used FROM coordinator.capacity WHERE key IN ('a', 'b')"),
    );
    expect(used).toEqual([{ used: 2 }, { used: 2 }]);
  });
});

describe('a transaction over several zones', () => {
  test('sees one zone at a time, and only while it is in it', async () => {
    const other = await fillZone(server.urls);
    const seen = await database.inZones(async (zones) => {
      const outside = await zones.query('SELECT id FROM coordinator.agent_sessions');
      const first = await zones.enter(zone);
      const inFirst = await first.query<{ zone_id: string }>('SELECT DISTINCT zone_id FROM coordinator.agent_sessions');
      const second = await zones.enter(knownId<ZoneId>(other.zone));
      const inSecond = await second.query<{ zone_id: string }>(
        'SELECT DISTINCT zone_id FROM coordinator.agent_sessions',
      );
      await expect(first.query('SELECT 1')).rejects.toThrow(/left this zone/);
      return [outside, inFirst, inSecond];
    });
    expect(seen).toEqual([[], [{ zone_id: zone }], [{ zone_id: other.zone }]]);
  });
});

describe('a read across zones', () => {
  test('sees all zones and cannot write', async () => {
    const zones = await database.acrossZones((tx) =>
      tx.query('SELECT DISTINCT zone_id FROM coordinator.agent_sessions'),
    );
    expect(zones.length).toBeGreaterThan(1);
    await expect(database.acrossZones((tx) => tx.execute(use, [zone]))).rejects.toThrow(/read-only/);
  });

  test('leaves its role behind', async () => {
    await database.acrossZones((tx) => tx.query('SELECT 1'));
    const [role] = await database.query('SELECT current_user AS name');
    expect(role).toEqual({ name: 'caracal_coordinator' });
  });
});

describe('an outage', () => {
  test('is store_unavailable: nothing listens', async () => {
    const url = new URL(server.urls.coordinator);
    url.port = '1';
    await using away = createPool({ service: 'coordinator', connectionString: url.href, logger: silentLogger });
    await expect(away.ping()).rejects.toMatchObject({ reason: 'store_unavailable' });
    await expect(away.inZone(zone, (tx) => tx.query('SELECT 1'))).rejects.toMatchObject({
      reason: 'store_unavailable',
    });
  });

  test('is store_unavailable: a statement takes too long', async () => {
    const options = {
      service: 'coordinator',
      connectionString: server.urls.coordinator,
      logger: silentLogger,
    } as const;
    await using slow = createPool({ ...options, statementTimeoutMs: 100 });
    await expect(slow.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ reason: 'store_unavailable' });
    await slow.ping();
  });

  test('is store_unavailable: every connection is taken', async () => {
    const options = {
      service: 'coordinator',
      connectionString: server.urls.coordinator,
      logger: silentLogger,
    } as const;
    await using small = createPool({ ...options, max: 1, connectTimeoutMs: 100 });
    await small.inZone(zone, async () => {
      await expect(small.ping()).rejects.toMatchObject({ reason: 'store_unavailable' });
    });
  });

  test('in the middle of a transaction costs that transaction, and the next one works', async () => {
    const cut = database.inZone(zone, async (tx) => {
      const own = await tx.one<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await asAdministrator((client) => client.query('SELECT pg_terminate_backend($1)', [own?.pid]));
      await tx.query('SELECT 1');
    });
    await expect(cut).rejects.toMatchObject({ reason: 'store_unavailable' });
    await database.ping();
  });
});

describe('listening', () => {
  const heard = vi.fn<(payload: string) => void>();
  beforeEach(() => heard.mockClear());

  test('hears notifications, and comes back by itself after its connection was cut', async () => {
    await using _listening = database.listen('caracal_points', heard);
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(''), { timeout: 10_000 });
    await database.query("SELECT pg_notify('caracal_points', 'one')");
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('one'), { timeout: 10_000 });
    heard.mockClear();
    await asAdministrator((client) =>
      client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caracal-coordinator-listen' AND datname = current_database()",
      ),
    );
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith(''), { timeout: 10_000 });
    await database.query("SELECT pg_notify('caracal_points', 'two')");
    await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('two'), { timeout: 10_000 });
  });
});

describe('a lead', () => {
  test('is held by one, given up with its connection, and taken by the next', async () => {
    const first = await database.tryLead('example');
    expect(first).toBeDefined();
    expect(await database.tryLead('example')).toBeUndefined();
    await using _other = await database.tryLead('another');
    expect(_other).toBeDefined();
    const [own] = (await first?.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')) ?? [];
    await asAdministrator((client) => client.query('SELECT pg_terminate_backend($1)', [own?.pid]));
    await vi.waitFor(() => expect(first?.lost.aborted).toBe(true), { timeout: 10_000 });
    await expect(first?.query('SELECT 1')).rejects.toThrow();
    await using next = await database.tryLead('example');
    expect(next).toBeDefined();
  });
});

test('the database’s time is read, and the pool is counted', async () => {
  const metrics = createMetrics('coordinator', { process: false });
  const options = { service: 'coordinator', connectionString: server.urls.coordinator, logger: silentLogger } as const;
  await using counted = createPool({ ...options, metrics });
  expect(Math.abs((await counted.now()) - Date.now())).toBeLessThan(60_000);
  await counted.inZone(zone, (tx) => tx.query('SELECT 1'));
  const { text } = await metrics.render();
  expect(text).toMatch(/caracal_coordinator_database_connections 1/);
  expect(text).toMatch(/caracal_coordinator_database_transaction_seconds_count 1/);
});
