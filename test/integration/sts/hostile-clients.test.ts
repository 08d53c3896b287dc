// Forms that no client would send, at every endpoint that clients authenticate at: a documented refusal, never a server error.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clientAssertionType } from '../../support/assertions.ts';
import { form, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
}, 120_000);
afterAll(async () => sts?.[Symbol.asyncDispose]());

const names = [
  ...['zone_id', 'application_id', 'client_id', 'client_secret', 'client_assertion', 'client_assertion_type'],
  ...['token', 'token_type_hint', 'wait', 'timeout_ms', 'scope', '', '__proto__'],
];
const part = fc.oneof(
  fc.json().map((text) => Buffer.from(text).toString('base64url')),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

it.each(['/oauth/2/introspect', '/oauth/2/revoke'])(
  '%s never answers hostile forms with a server error',
  async (path) => {
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.tuple(part, part, part).map((parts) => parts.join('.')),
      fc.constantFrom(zone.id, app.id, app.secret, clientAssertionType, 'applied', '%00', '../', '{}'),
    );
    const based = { zone_id: zone.id, client_id: app.id, client_secret: app.secret, token: 'x' };
    const authorization = fc.option(
      fc.oneof(
        fc.base64String({ maxLength: 60 }).map((text) => `Basic ${text}`),
        fc.constantFrom('Basic', 'Basic =', 'Bearer x', 'DPoP x'),
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 8 }),
        fc.boolean(),
        authorization,
        async (pairs, isBased, header) => {
          const parts = pairs.map(
            ([key, text]) => `${encodeURIComponent(key)}=${encodeURIComponent(text.toWellFormed())}`,
          );
          const body = [...(isBased ? [form(based)] : []), ...parts].join('&');
          const reply = await sts.post(path, body, header === null ? {} : { authorization: header });
          expect(reply.status).toBeLessThan(500);
          if (reply.status !== 200) expect(reply.body).toMatchObject({ error: expect.any(String) });
          else if (path.endsWith('introspect')) expect(reply.body).toEqual({ active: false });
        },
      ),
      { numRuns: 120 },
    );
  },
);
