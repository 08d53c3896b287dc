// What relays and checks ask all the time costs the same in a large table as in an empty one, on connections that have planned
// while it was empty. Buffers are counted, not time.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { testPostgresServers } from '#test/stack';

const stream = 'caracal.delegations.invalidate';
/** More pages than any of these look-ups may touch. */
const fewBuffers = 60;

const questions: readonly (readonly [string, string])[] = [
  ['the next numbered entries', `SELECT * FROM coordinator.outbox_numbered('${stream}', 100)`],
  ['the state of a numbered stream', `SELECT * FROM coordinator.outbox_stream_state('${stream}')`],
  ['the next revocations', 'SELECT * FROM sts.revocations_unpublished(100)'],
  ['the head of all revocations', 'SELECT * FROM sts_pub.revocation_head()'],
];

describe.each(testPostgresServers())('on Postgres $name', (server) => {
  let database: DisposableDatabase;
  let client: pg.Client;

  beforeAll(async () => {
    database = await disposableDatabase(server);
    client = new pg.Client({ connectionString: database.administratorUrl });
    await client.connect();
    // Often enough for a plan to be kept.
    for (let time = 0; time < 8; time += 1) for (const [, question] of questions) await client.query(question);
    await fill(client);
  });

  afterAll(async () => {
    await client?.end();
    await database?.[Symbol.asyncDispose]();
  });

  it.each(questions)('%s are found without reading what is behind them', async (_name, question) => {
    const { rows } = await client.query<Record<'QUERY PLAN', { Plan: Record<string, number> }[]>>(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${question}`,
    );
    const plan = rows[0]?.['QUERY PLAN'][0]?.Plan ?? {};
    expect((plan['Shared Hit Blocks'] ?? Infinity) + (plan['Shared Read Blocks'] ?? 0)).toBeLessThan(fewBuffers);
  });
});

async function fill(client: pg.Client): Promise<void> {
  const zone = newId();
  await client.query(
    `INSERT INTO coordinator.outbox (id, zone_id, stream, order_key, dedupe_key, payload, number)
     SELECT '01900000-0000-7000-8000-' || lpad(n::text, 12, '0'), $1, $2, 'k', 'd' || n, '{}', n
     FROM generate_series(1, 10000) AS n`,
    [zone, stream],
  );
  await client.query('UPDATE coordinator.stream_heads SET head = 10000 WHERE stream = $1', [stream]);
  await client.query('UPDATE coordinator.stream_progress SET published = 9995 WHERE stream = $1', [stream]);
  await client.query(
    `INSERT INTO sts.revocations (number, zone_id, kind, anchor, reason)
     SELECT n, $1, 'jti', 'a' || n, 'test' FROM generate_series(1, 10000) AS n`,
    [zone],
  );
  const revocations = `stream = 'caracal.sessions.revoke'`;
  await client.query(`UPDATE sts.stream_heads SET head = 10000 WHERE ${revocations}`);
  await client.query(`UPDATE sts.stream_progress SET published = 9995 WHERE ${revocations}`);
}
