// The demo's story against an installation of its own, and afterwards a look through everything it emitted for what must
// never be there.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Client as PgClient } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedis } from '#mesh/redis';
import { silentLogger } from '#mesh/telemetry';
import { services } from '#mesh/topology';
import { createClient, type Client } from '../../dev/demo/client.ts';
import { type StoryResult, tellStory } from '../../dev/demo/story.ts';
import { createTelling } from '../../dev/demo/telling.ts';
import { startUpstream, type Upstream } from '../../dev/demo/upstream.ts';
import { type Installation, startInstallation } from '../support/installation.ts';

const cleanup = new AsyncDisposableStack();
const apiKey = `canary-${randomBytes(24).toString('hex')}`;
let installation: Installation;
let client: Client;
let upstream: Upstream;
let result: StoryResult;
const told: string[] = [];
const bearers = new Set<string>();

beforeAll(async () => {
  const overrides = Object.fromEntries(services.map((name) => [name, { LOG_LEVEL: 'debug' }]));
  installation = cleanup.use(await startInstallation({ overrides }));
  upstream = cleanup.use(await startUpstream({ port: installation.upstreamPort, apiKey }));
  client = cleanup.use(createClient(join(installation.tlsFolder, 'ca.pem')));
  const noting: Client = {
    ...client,
    send: async (url, call) => {
      if (call?.bearer !== undefined) bearers.add(call.bearer);
      return await client.send(url, call);
    },
  };
  result = await tellStory({
    telling: createTelling((line) => told.push(line)),
    client: noting,
    places: installation.urls,
    adminToken: installation.adminToken,
    upstream,
    apiKey,
  });
});

afterAll(() => cleanup.disposeAsync());

describe('the story of the demo', () => {
  it('ends with every step as promised', () => {
    expect(told).toHaveLength(16);
    expect(result.events).toBeGreaterThan(20);
  });
});

describe('after the story', () => {
  /** The words that only their holders may ever see: the upstream's key, the client's secret, tokens, mandates. */
  const secrets = (): string[] => [apiKey, result.world.clientSecret, installation.adminToken, ...bearers];

  const expectNone = (where: string, text: string): void => {
    expect(text.length, where).toBeGreaterThan(0);
    for (const secret of secrets()) {
      expect(text.includes(secret), `${where} holds a secret that begins with ${secret.slice(0, 4)}`).toBe(false);
    }
  };

  it('no secret stands in a log', () => {
    for (const name of services) expectNone(`log of ${name}`, installation.process(name).log());
  });

  it('no secret stands in a metric', async () => {
    for (const name of services) {
      const reply = await client.send(`${installation.urls[name]}/metrics`);
      expectNone(`metrics of ${name}`, String(reply.body));
    }
  });

  it('no secret stands in a stream or in any row of the database', async () => {
    await using redis = createRedis({ url: installation.redis.running().url, name: 'canaries', logger: silentLogger });
    await redis.untilUp(AbortSignal.timeout(10_000));
    for (const key of (await redis.call('KEYS', '*')) as string[]) {
      if ((await redis.call('TYPE', key)) !== 'stream') continue;
      expectNone(key, JSON.stringify(await redis.call('XRANGE', key, '-', '+')));
    }
    const database = new PgClient({ connectionString: installation.database.administratorUrl });
    await database.connect();
    try {
      const { rows } = await database.query<{ name: string }>(
        `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
         WHERE schemaname IN ('api', 'sts', 'coordinator', 'audit', 'gateway')`,
      );
      expect(rows.length).toBeGreaterThan(20);
      for (const { name } of rows) {
        const dump = await database.query<{ text: string }>(`SELECT t::text AS text FROM ${name} AS t`);
        expectNone(name, `${name}\n${dump.rows.map((row) => row.text).join('\n')}`);
      }
    } finally {
      await database.end();
    }
  });

  it('no secret stands in an answer of the control plane', async () => {
    const zone = `${installation.urls.api}/v1/zones/${result.world.zoneId}`;
    for (const path of ['', '/applications', '/providers', '/resources', '/audit?limit=200', '/policies']) {
      const reply = await client.send(zone + path, { bearer: installation.adminToken });
      expect(reply.status).toBe(200);
      expectNone(path, JSON.stringify(reply.body));
    }
  });
});
