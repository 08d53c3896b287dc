// What is asked of approvals costs the same in a zone with a day's worth of them as in an empty one, on connections that have
// planned while it was empty. Buffers are counted, not time.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import { testPostgresServers } from '#test/stack';

/** A hold and its evidence touch some hundred on a connection's first time; the table has more than a thousand pages. */
const fewBuffers = 500;
const zone = newId();
const application = newId();
const binding = (n: number): string => n.toString(16).padStart(64, '0');
const secret = Buffer.alloc(32, 7);

const hold = (n: number): string =>
  JSON.stringify({
    ...{ binding: binding(n), challenge_type: 'mfa', ttl_seconds: 300, application_id: application },
    ...{ subject: `subject-${n}`, subject_type: 'user', chain: [application], targets: [], operation: {} },
    ...{ diagnostics: [], policy_set_version_id: newId(), policy_digest: 'd'.repeat(64) },
  });
const principal = JSON.stringify({ application_id: application, subject: 'subject', subject_type: 'user' });
const present = 'SELECT * FROM sts.present_approval($1, $2, $3, $4, $5, $6, $7)';

let count = 1_000_000;
const questions: readonly (readonly [string, string, () => unknown[]])[] = [
  [
    'raising one',
    'SELECT * FROM sts.raise_approval($1, $2, $3, $4, $5)',
    () => [zone, newId(), hold((count += 1)), secret, 'r'],
  ],
  [
    'asking again about one that was rejected',
    'SELECT * FROM sts.raise_approval($1, $2, $3, $4, $5)',
    () => [zone, newId(), hold(1), secret, 'r'],
  ],
  ['presenting one', present, () => [zone, newId(), secret, binding(1), principal, 'r', true]],
  ['the state of one', 'SELECT * FROM sts.approval_status($1, $2)', () => [newId(), secret]],
  [
    'a word on one',
    'SELECT sts_pub.decide_approval($1, $2, $3, $4, $5, $6)',
    () => [zone, newId(), 'approved', 'a', null, null],
  ],
  ['the sweep', 'SELECT sts.sweep_approvals($1)', () => [100]],
];

describe.each(testPostgresServers())('on Postgres $name', (server) => {
  let database: DisposableDatabase;
  let client: pg.Client;

  const ask = async (text: string, values: unknown[]): Promise<pg.QueryResult> => {
    await client.query('BEGIN');
    await client.query("SELECT set_config('caracal.zone_id', $1, true)", [zone]);
    try {
      return await client.query(text, values);
    } finally {
      await client.query('COMMIT');
    }
  };

  beforeAll(async () => {
    database = await disposableDatabase(server);
    client = new pg.Client({ connectionString: database.administratorUrl });
    await client.connect();
    // Often enough for a plan to be kept.
    for (let time = 0; time < 8; time += 1) for (const [, text, values] of questions) await ask(text, values());
    await client.query(
      `INSERT INTO sts.approvals (id, zone_id, binding, challenge_type, state, secret_digests, application_id, subject,
         subject_type, chain, targets, operation, diagnostics, policy_set_version_id, policy_digest, request_id, created_at,
         expires_at, decided_by, decided_at)
       SELECT caracal.new_row_id(), $1, lpad(to_hex(n % 10000), 64, '0'), 'mfa', 'rejected', ARRAY[sha256(n::text::bytea)],
         $2::text, 'subject-' || n, 'user', ARRAY[$2::text], '[]', '{}', '[]', $2::text, repeat('d', 64), 'r', t, t + interval '5 min',
         'alice', t
       FROM generate_series(1, 20000) AS n, LATERAL (SELECT clock_timestamp() - n * interval '4 s' AS t) AS at`,
      [zone, application],
    );
  });

  afterAll(async () => {
    await client?.end();
    await database?.[Symbol.asyncDispose]();
  });

  it.each(questions)('%s touches little of what else there is', async (_name, text, values) => {
    const { rows } = await ask(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values());
    const [{ 'QUERY PLAN': plans }] = rows as [{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }];
    const { Plan: plan } = plans[0];
    expect((plan['Shared Hit Blocks'] ?? Infinity) + (plan['Shared Read Blocks'] ?? 0)).toBeLessThan(fewBuffers);
  });
});
