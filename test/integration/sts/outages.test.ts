import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Reason } from '#gen/caracal/failure/v1/failure_pb';
import { openAuthorize } from './authorize-client.ts';
import type { AuthorizeClient } from './authorize-client.ts';
import { allowAll, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
let gateway: AuthorizeClient;
let mandate: string;
const calendar = 'resource://calendar';

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
  await sts.policy(zone, [allowAll]);
  mandate = String((await sts.token(app, { resource: calendar })).body['access_token']);
  gateway = await openAuthorize(sts);
}, 120_000);
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await sts?.[Symbol.asyncDispose]();
});

const ask = async (): Promise<string> => (await gateway.ask({ mandate, zoneId: zone.id, resource: calendar })).kind;

describe('while Redis is away', () => {
  it('governed calls go on, evidence in the journal, and revocation comes straight from Postgres', async () => {
    expect(await ask()).toBe('allowed');
    await sts.installation.redis.running().stop();
    expect(await ask()).toBe('allowed');
    const fresh = String((await sts.token(app, { resource: calendar })).body['access_token']);
    await new Promise((resolve) => setTimeout(resolve, 6000));
    expect(await ask()).toBe('allowed');
    const anchors = JSON.stringify([{ kind: 'application', anchor: app.id }]);
    await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [zone.id, anchors, 'test']);
    await expect.poll(ask, { timeout: 10_000 }).toBe('refused');
    expect(fresh).not.toBe('');
    await sts.installation.redis.restart();
    await expect.poll(async () => sts.installation.process('sts').isReady(), { timeout: 20_000 }).toBe(true);
    mandate = String((await sts.token(app, { resource: calendar })).body['access_token']);
    expect(await ask()).toBe('allowed');
  });
});

describe('while Postgres is away', () => {
  it('an ambient mint is 503, a warm call goes on, and everything is refused past the staleness limit', async () => {
    await sts.token(app, { resource: calendar, subject_token: mandate });
    // The administrator is exempt from the limit; to the service, which is cut off too, Postgres is away.
    const { name } = sts.installation.database;
    await sts.sql(`ALTER DATABASE ${name} CONNECTION LIMIT 0`);
    await sts.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'caracal_sts_login' AND datname = $1",
      [name],
    );
    try {
      const warm = await sts.token(app, { resource: calendar, subject_token: mandate });
      expect(warm.status).toBe(200);
      const ambient = await sts.token(app, { resource: calendar });
      expect({ status: ambient.status, error: ambient.body['error'] }).toEqual({
        status: 503,
        error: 'store_unavailable',
      });
      await expect.poll(ask, { timeout: 20_000 }).toBe('refused');
      const stale = await gateway.ask({ mandate, zoneId: zone.id, resource: calendar });
      expect(stale.value).toMatchObject({ reason: Reason.REVOCATION_STALE });
      const perCall = await sts.token(app, { resource: calendar, subject_token: mandate });
      expect({ status: perCall.status, error: perCall.body['error'] }).toEqual({
        status: 503,
        error: 'revocation_stale',
      });
    } finally {
      await sts.sql(`ALTER DATABASE ${name} CONNECTION LIMIT -1`);
    }
    await expect.poll(ask, { timeout: 30_000 }).toBe('allowed');
  });
});

describe('a stop', () => {
  it('ends open streams after what was asked and does not wait for their age or for peers that are gone', async () => {
    const gone = await openAuthorize(sts);
    await gone[Symbol.asyncDispose]();
    const startedAt = performance.now();
    await Promise.all([sts.installation.process('sts').stop(), gateway.ended.catch(() => undefined)]);
    expect(performance.now() - startedAt).toBeLessThan(12_000);
  });
});
