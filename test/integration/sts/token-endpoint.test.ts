import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allowAll, claimsOf, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
const calendar = 'resource://calendar';

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
  await sts.policy(zone, [allowAll]);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

describe('the token endpoint', () => {
  it('mints an ambient mandate with what was granted', async () => {
    const reply = await sts.token(app, { resource: calendar, scope: 'calendar:read' });
    expect(reply.body).toMatchObject({ token_type: 'Bearer', scope: 'calendar:read', target_resources: [calendar] });
    expect(reply.status).toBe(200);
    expect(reply.headers['cache-control']).toBe('no-store');
    const claims = claimsOf(reply);
    expect(claims).toMatchObject({
      use: 'ambient',
      aud: [claims.iss],
      sub: app.id,
      client_id: app.id,
      sub_type: 'application',
      zone_id: zone.id,
      target: [calendar],
      scope: 'calendar:read',
    });
    expect(claims.root_sid).toBe(claims.sid);
    expect(claims.exp - claims.iat).toBe(900);
  });
});
