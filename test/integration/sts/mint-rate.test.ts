// How often mandates are minted for one application at one resource: beyond the limit 429 with the time to come back, for
// that application and resource alone.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { allowAll, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

const [calendar, mail] = ['resource://calendar', 'resource://mail'];
const limit = 5;
let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;

beforeAll(async () => {
  sts = await startSts({ overrides: { sts: { STS_MINT_RATE_LIMIT_PER_MIN: String(limit) } } });
  zone = await sts.zone();
  app = await sts.application(zone);
  for (const identifier of [calendar, mail]) await sts.resource(zone, { identifier, scopes: ['read'] });
  await sts.policy(zone, [allowAll]);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

it('is bounded, says when to come back, and leaves other resources and applications alone', async () => {
  const statuses = async (resource: string, count: number): Promise<number[]> => {
    const seen: number[] = [];
    for (let times = 0; times < count; times += 1) seen.push((await sts.token(app, { resource })).status);
    return seen;
  };
  expect(await statuses(calendar, limit)).toEqual(Array.from({ length: limit }, () => 200));
  const reply = await sts.token(app, { resource: calendar });
  expect(reply).toMatchObject({ status: 429, body: { error: 'rate_limited' } });
  expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  expect(Number(reply.headers['retry-after'])).toBeLessThanOrEqual(60);
  const mixed = await sts.token(app, { resource: [calendar, mail] });
  expect(mixed).toMatchObject({
    status: 200,
    body: { target_resources: [mail], denied_resources: [{ resource: calendar, error: 'rate_limited' }] },
  });
  expect((await sts.token(await sts.application(zone), { resource: calendar })).status).toBe(200);
});

it('counts mandates without resources by themselves', async () => {
  const own = await sts.application(zone);
  const ask = async (): Promise<number> => (await sts.token(own, { scope: 'agent:lifecycle' })).status;
  for (let times = 0; times < limit; times += 1) expect(await ask()).toBe(200);
  expect(await ask()).toBe(429);
  expect((await sts.token(own, { resource: mail })).status).toBe(200);
});
