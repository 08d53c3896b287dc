import { Redis } from 'ioredis';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { services } from '#mesh/topology';
import { disposableDatabase, emptyDatabase } from '#test/database';
import { startInstallation } from '#test/installation';
import { privateOpa, privatePostgres, privateRedis } from '#test/private-components';
import { testRedis } from '#test/redis';
import { testOpa, testPostgresServers } from '#test/stack';

async function ask<Row extends object>(url: string, statement: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

describe.each(testPostgresServers())('a test database on Postgres $name', (server) => {
  test('is migrated and lets every service in as itself', async () => {
    await using database = await disposableDatabase(server);
    const tables = await ask(database.administratorUrl, `SELECT 1 FROM pg_tables WHERE schemaname = 'api'`);
    expect(tables.length).toBeGreaterThan(3);
    for (const service of services) {
      const rows = await ask<{ name: string }>(database.urls[service], 'SELECT current_user AS name');
      expect(rows).toEqual([{ name: `caracal_${service}_login` }]);
    }
  });

  test('is no other test’s database and is gone afterwards', async () => {
    const [first, second] = await Promise.all([disposableDatabase(server), disposableDatabase(server)]);
    await ask(first.administratorUrl, 'CREATE TABLE mine (id int)');
    expect(await ask(second.administratorUrl, `SELECT 1 FROM pg_tables WHERE tablename = 'mine'`)).toEqual([]);
    await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
    await expect(ask(first.administratorUrl, 'SELECT 1')).rejects.toThrow(/does not exist/);
  });

  test('can be an empty one', async () => {
    await using database = await emptyDatabase(server);
    const schemas = await ask(database.administratorUrl, `SELECT 1 FROM pg_namespace WHERE nspname = 'api'`);
    expect(schemas).toEqual([]);
  });
});

test('a pair of Redis databases is empty and no other test’s', async () => {
  await using first = await testRedis();
  await using second = await testRedis();
  expect(
    new Set([first.streamsDatabase, first.limitsDatabase, second.streamsDatabase, second.limitsDatabase]).size,
  ).toBe(4);
  const client = new Redis(first.url, { db: first.streamsDatabase });
  expect(await client.dbsize()).toBe(0);
  await client.set('key', 'value');
  await client.select(second.streamsDatabase);
  expect(await client.dbsize()).toBe(0);
  client.disconnect();
});

test('the OPA of the run answers to its token', async () => {
  const { url, token } = testOpa();
  const answer = await fetch(`${url}/health`, { headers: { authorization: `Bearer ${token}` } });
  expect(answer.status).toBe(200);
});

test('a private component comes back on its port with its data', async () => {
  await using redis = await privateRedis();
  await using postgres = await privatePostgres();
  await using opa = await privateOpa();
  await ask(postgres.running().administratorUrl, 'CREATE TABLE kept (id int)');
  for (const component of [redis, postgres, opa]) {
    const before = component.running();
    process.kill(before.pid, 'SIGKILL');
    await before.process.exited;
    const after = await component.restart();
    expect(after.port).toBe(before.port);
  }
  expect(await ask(postgres.running().administratorUrl, 'SELECT * FROM kept')).toEqual([]);
});

test('an installation has its own database, Redis, certificates and ports', async () => {
  await using installation = await startInstallation({ services: [] });
  expect(new Set(Object.values(installation.urls)).size).toBe(5);
  expect(await ask(installation.database.urls.sts, 'SELECT 1')).toHaveLength(1);
  expect(() => installation.process('sts')).toThrow('was not started');
});

test('a service of an installation is ready, can be killed, and comes back', async () => {
  await using installation = await startInstallation({ services: ['sts'] });
  const first = installation.process('sts');
  expect(await first.isReady()).toBe(true);
  expect(first.signal('SIGKILL')).toBe(true);
  expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
  const second = await installation.start('sts');
  expect(await second.isReady()).toBe(true);
  expect(second.port).toBe(first.port);
  expect(second.log()).not.toBe('');
});

test('a service that does not start says why', async () => {
  const started = startInstallation({ services: ['sts'], overrides: { sts: { ZONE_KEK: 'not a key' } } });
  await expect(started).rejects.toThrow(/the sts service ended \(exit code 78\)[^]*ZONE_KEK/);
});
