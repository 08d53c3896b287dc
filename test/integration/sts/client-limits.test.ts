// What one client, one address or one zone can take from the STS before it has proven anything: a count, a share, a size.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatSecret } from '../../../services/sts/domain/client-secret.ts';
import { allowAll, form, grantType, startSts } from './sts-installation.ts';
import type { Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let flooded: TestZone;
let app: TestApplication;
const calendar = 'resource://calendar';

beforeAll(async () => {
  sts = await startSts();
  [zone, flooded] = [await sts.zone(), await sts.zone()];
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read'] });
  await sts.policy(zone, [allowAll]);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

/** A secret whose check part is right, so that refusing it costs a derivation. */
const plausible = (of: TestZone, id: string): string => formatSecret(of.checkKey, randomBytes(32), id);

async function send(path: string, application: TestApplication, secret: string): Promise<Reply> {
  const own = { zone_id: application.zone.id, client_id: application.id, client_secret: secret };
  return sts.post(path, form({ grant_type: grantType, resource: calendar, token: 'x', ...own }));
}

describe('derivations', () => {
  it('have a share per zone: a flood of one is told to wait, and another zone is served meanwhile', async () => {
    const victim = await sts.application(flooded);
    const guesses = Array.from({ length: 50 }, async () =>
      send('/oauth/2/token', victim, plausible(flooded, victim.id)),
    );
    const fresh = await sts.application(zone);
    const right = await send('/oauth/2/token', fresh, fresh.secret);
    expect(right.status).toBe(200);
    const outcomes = await Promise.all(guesses);
    const waiting = outcomes.filter(({ status }) => status === 429);
    expect(outcomes.every(({ status }) => status === 401 || status === 429)).toBe(true);
    expect(waiting.length).toBeGreaterThan(0);
    expect(waiting.every(({ headers }) => Number(headers['retry-after']) > 0)).toBe(true);
  });
});

describe('failures', () => {
  it('count over all endpoints together, and never against who is right', async () => {
    const victim = await sts.application(zone);
    const paths = ['/oauth/2/token', '/oauth/2/introspect', '/oauth/2/revoke'];
    const statuses: number[] = [];
    // Junk is refused by its check part, so sixty of them cost nothing.
    for (let n = 0; n < 63; n += 1) statuses.push((await send(paths[n % 3] ?? '', victim, 'junk')).status);
    expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 401));
    expect(statuses.slice(60)).toEqual([429, 429, 429]);
    for (const path of paths) expect((await send(path, victim, victim.secret)).status).toBe(200);
  });
});

describe('sizes', () => {
  it('of headers are bounded before anything is looked up', async () => {
    const whole = form({ zone_id: zone.id, client_id: app.id, client_secret: app.secret, token: 'x' });
    const oversized = { authorization: `Basic ${'A'.repeat(60_000)}` };
    const reply = await sts.post('/oauth/2/introspect', whole, oversized).catch(() => undefined);
    // The answer, or a connection that was closed over it.
    expect(reply === undefined || reply.status === 431).toBe(true);
    const long = await sts.post('/oauth/2/introspect', whole, { authorization: `Basic ${'A'.repeat(20_000)}` });
    expect(long.status).toBe(401);
  });

  it('of fields are bounded: names, secrets, assertions, hints', async () => {
    const outcome = async (fields: Record<string, string>): Promise<number> =>
      (
        await sts.post(
          '/oauth/2/introspect',
          form({ zone_id: zone.id, client_id: app.id, client_secret: app.secret, token: 'x', ...fields }),
        )
      ).status;
    expect(await outcome({})).toBe(200);
    expect(await outcome({ client_id: 'a'.repeat(129) })).toBe(400);
    expect(await outcome({ zone_id: '../etc' })).toBe(400);
    expect(await outcome({ client_secret: 's'.repeat(513) })).toBe(401);
    expect(await outcome({ token_type_hint: 'h'.repeat(129) })).toBe(400);
    expect(await outcome({ client_secret: '', client_assertion: 'a'.repeat(8193) })).toBe(400);
  });
});
