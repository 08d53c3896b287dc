// What a warm decision asks of the stores: no read of the database, one count of a mint, its evidence, and OPA at most once.
// Counted where it happens: on the wire to Postgres, in Redis' own statistics and in OPA's.
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { openAuthorize } from './authorize-client.ts';
import type { AuthorizeClient } from './authorize-client.ts';
import { allowAll, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

const calendar = 'resource://calendar';
const times = 20;
/** How every transaction of a request begins, and no other. */
const zoneTransaction = /SET LOCAL caracal\.zone_id/g;
/** The key of a count of mints. */
const mintCount = /limit:mint:/g;

interface WatchedLink extends AsyncDisposable {
  readonly url: string;
  /** How often the client sent it so far. */
  count(pattern: RegExp): number;
}

/** A link to a store that sees what it is asked. */
async function watchedLink(targetUrl: string): Promise<WatchedLink> {
  const target = new URL(targetUrl);
  let seen = '';
  const server = createServer({ noDelay: true }, (socket) => {
    const onward = connect({ port: Number(target.port), host: target.hostname, noDelay: true });
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
      onward.write(chunk);
    });
    onward.pipe(socket);
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = new URL(targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    count: (pattern) => [...seen.matchAll(pattern)].length,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

interface Trips {
  readonly zoneTransactions: number;
  readonly records: number;
  readonly mintCounts: number;
  readonly opa: number;
}

describe.each([
  { by: 'OPA', compiled: false },
  { by: 'compiled policies', compiled: true },
])('round trips with decisions by $by', ({ compiled }) => {
  const parts = new AsyncDisposableStack();
  let opa: Restartable<RunningOpa>;
  let sts: StsInstallation;
  let link: WatchedLink;
  let redis: WatchedLink;
  let zone: TestZone;
  let app: TestApplication;
  let gateway: AuthorizeClient;

  beforeAll(async () => {
    opa = parts.use(await privateOpa());
    const { url, token } = opa.running();
    sts = parts.use(await startSts({ services: [] }));
    link = parts.use(await watchedLink(sts.installation.stack.addresses.databaseUrls.sts));
    redis = parts.use(await watchedLink(sts.installation.stack.addresses.redisUrl));
    const settings = {
      DATABASE_URL: link.url,
      REDIS_URL: redis.url,
      OPA_URL: url,
      OPA_TOKEN: token,
      OPA_TIMEOUT_MS: '5000',
    };
    await sts.installation.start('sts', compiled ? settings : { ...settings, OPA_BINARY: '' });
    zone = await sts.zone();
    app = await sts.application(zone);
    await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
    await sts.policy(zone, [allowAll]);
    gateway = parts.use(await openAuthorize(sts));
  }, 120_000);
  afterAll(async () => parts.disposeAsync());

  const recordCount = async (): Promise<number> => {
    const [row] = await sts.sql<{ n: number }>('SELECT count(*)::int AS n FROM sts.session_records');
    return row?.n ?? 0;
  };

  const opaQuestions = async (): Promise<number> => {
    const { url, token } = opa.running();
    const text = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text();
    const posts = /http_request_duration_seconds_count\{[^}]*handler="v1\/data"[^}]*method="post"[^}]*\} (\d+)/.exec(
      text,
    );
    return Number(posts?.[1] ?? 0);
  };

  /** One after another, so that nothing is shared between them. */
  async function tripsOf(work: (at: number) => Promise<unknown>): Promise<Trips> {
    await work(-1);
    const read = async (): Promise<Trips> => ({
      zoneTransactions: link.count(zoneTransaction),
      records: await recordCount(),
      mintCounts: redis.count(mintCount),
      opa: await opaQuestions(),
    });
    const before = await read();
    for (let at = 0; at < times; at += 1) await work(at);
    const after = await read();
    return {
      zoneTransactions: after.zoneTransactions - before.zoneTransactions,
      records: after.records - before.records,
      mintCounts: after.mintCounts - before.mintCounts,
      opa: after.opa - before.opa,
    };
  }

  const ambient = async (): Promise<string> => {
    const reply = await sts.token(app, { resource: calendar, scope: 'calendar:read' });
    expect(reply.status).toBe(200);
    return String(reply.body['access_token']);
  };

  it('a warm exchange for one call reads no database, counts once and asks OPA nothing it remembers', async () => {
    const subject = await ambient();
    const trips = await tripsOf(async () => {
      const reply = await sts.token(app, {
        resource: calendar,
        subject_token: subject,
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      });
      expect(reply.status).toBe(200);
    });
    expect(trips).toEqual({ zoneTransactions: 0, records: 0, mintCounts: times, opa: 0 });
  });

  it('an ambient mint writes one record and reads nothing', async () => {
    expect(await tripsOf(ambient)).toEqual({ zoneTransactions: times, records: times, mintCounts: times, opa: 0 });
  });

  it('a governed call reads no database and no limit, and asks OPA at most once', async () => {
    const mandate = await ambient();
    const ask = async (path: string): Promise<void> => {
      const { kind } = await gateway.ask({ mandate, zoneId: zone.id, resource: calendar, path });
      expect(kind).toBe('allowed');
    };
    const known = await tripsOf(async () => ask('/same'));
    expect(known).toEqual({ zoneTransactions: 0, records: 0, mintCounts: 0, opa: 0 });
    const fresh = await tripsOf(async (at) => ask(`/other/${at}`));
    expect(fresh).toEqual({ zoneTransactions: 0, records: 0, mintCounts: 0, opa: compiled ? 0 : times });
  });
});
