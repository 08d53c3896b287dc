// Hostile input at every route: nothing but documented refusals, and nothing of it in a log or a statement.
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allowAll, startApi, textOf } from './api-installation.ts';
import type { ApiInstallation, Reply } from './api-installation.ts';

let api: ApiInstallation;
let zoneId: string;
let base: string;

beforeAll(async () => {
  // Fuzzing is fast; the limit has its own test.
  api = await startApi({ services: ['sts', 'api'], overrides: { api: { API_V1_RATE_LIMIT_PER_MIN: '10000000' } } });
  zoneId = await api.zone('Hostile');
  base = `/v1/zones/${zoneId}`;
});
afterAll(async () => api[Symbol.asyncDispose]());

const send = (path: string, body: unknown): Promise<Reply> => api.call('POST', path, { body });

/** A good body for every route that creates; `expires` and others are laid over it. */
const bodies: Readonly<Record<string, Record<string, unknown>>> = {
  '/v1/zones': { name: 'x', org_id: 'o', login_flow: 'default', slug: 'good-slug' },
  applications: { name: 'x', traits: ['t'], labels: { a: 'b' } },
  providers: {
    identifier: 'p',
    name: 'x',
    kind: 'bearer_token',
    config: { scheme: 'Bearer' },
    secrets: { token: 'x' },
  },
  resources: {
    ...{ identifier: 'r', name: 'x', upstream_url: 'http://r.test', scopes: ['a'], slug: 'good-slug' },
    operations: [{ method: 'GET', path: '/a', scope: 'a' }],
  },
  policies: { name: 'x', description: 'x', content: allowAll },
  'policy-sets': { name: 'x', description: 'x' },
  revocations: { anchors: [{ kind: 'jti', id: 'x' }], reason: 'x' },
};
const pathOf = (route: string): string => (route.startsWith('/') ? route : `${base}/${route}`);

/** Every place of a document that holds a text, as a copy of the document with that text replaced. */
function* replaced(value: unknown, text: string): Generator<unknown> {
  if (typeof value === 'string') yield text;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    for (const other of replaced(member, text)) {
      if (Array.isArray(value)) yield value.map((each: unknown) => (each === member ? other : each));
      else yield { ...value, [name]: other };
    }
  }
}

const everyRoute = Object.entries(bodies);

describe('text that stores and readers take differently', () => {
  test.each(everyRoute)('is refused in every field of %s: NUL', async (route, body) => {
    for (const hostile of replaced(body, 'a\u0000b')) {
      const reply = await send(pathOf(route), hostile);
      expect(reply, JSON.stringify(hostile)).toMatchObject({ status: 400, body: { error: 'invalid_request' } });
    }
    const named = { ...body, ['a\u0000']: 1 };
    expect((await send(pathOf(route), named)).status).toBe(400);
  });

  test.each(everyRoute)('is refused in every field of %s: half a surrogate pair', async (route, body) => {
    for (const hostile of replaced(body, 'HALF')) {
      const rawBody = JSON.stringify(hostile).replace('HALF', String.raw`\ud800`);
      expect((await api.call('POST', pathOf(route), { rawBody })).status, rawBody).toBe(400);
    }
  });

  test.each(everyRoute)('is refused where it would forge lines, in %s', async (route, body) => {
    for (const hostile of replaced(body, 'a\r\nX-Evil: 1\u001b[2J')) {
      const reply = await send(pathOf(route), hostile);
      // A policy is a program of many lines; everything else is one.
      const isProgram = typeof (hostile as { content?: unknown }).content === 'string' && reply.status === 422;
      expect(isProgram ? 400 : reply.status, JSON.stringify(hostile)).toBe(400);
    }
  });

  test('is refused in documents of free form, too', async () => {
    const set = `${base}/policy-sets/${textOf(await send(`${base}/policy-sets`, { name: 'params' }), 'id')}`;
    const manifest = [{ policy_version_id: 'x' }];
    for (const params of [{ a: '\u0000' }, { '\u0000': 1 }, { a: [{ b: ['\u0000'] }] }])
      expect((await send(`${set}/versions`, { manifest, params })).status).toBe(400);
    for (const rawBody of ['{"manifest":[{"policy_version_id":"x"}],"params":{"a":9007199254740993}}', '{"a":1,"a":2}'])
      expect((await api.call('POST', `${set}/versions`, { rawBody })).status).toBe(400);
  });
});

describe('names that mean something elsewhere', () => {
  const injections = [
    ...[
      "'; DROP TABLE api.zones; --",
      "' OR '1'='1",
      '$1',
      '${7*7}',
      '{{7*7}}',
      '=1+1',
      '@SUM(A1)',
      '%s%n',
      '<script>',
    ],
    ...['__proto__', 'constructor', 'toString', '../../etc/passwd', 'caracal.zone_id', '\\', '"', "''", '\u202Eevil'],
  ];

  test.each(injections)('are only names: %j', async (name) => {
    const made = await send(`${base}/applications`, { name, credential_type: 'public' });
    expect(made).toMatchObject({ status: 201, body: { name } });
    const read = await api.call('GET', `${base}/applications/${textOf(made, 'id')}`);
    expect(read.body).toMatchObject({ name });
  });

  test('change no prototype', async () => {
    for (const rawBody of [
      '{"name":"x","credential_type":"public","__proto__":{"admin":true}}',
      '{"name":"x","credential_type":"public","labels":{"__proto__":{"x":1}}}',
      '{"name":"x","credential_type":"public","constructor":{"prototype":{"x":1}}}',
    ])
      expect((await api.call('POST', `${base}/applications`, { rawBody })).status, rawBody).toBe(400);
    expect((await send(`${base}/applications`, { name: 'after', credential_type: 'public' })).status).toBe(201);
  });

  test('are refused as ids', async () => {
    const ids = ["'", '%00', '%2e%2e', 'a%20b', '%C3%A9', 'x'.repeat(129), '%E0%A4%A', 'a%2Fb', '%0d%0a', '*'];
    for (const id of ids) {
      for (const path of [`/v1/zones/${id}`, `${base}/applications/${id}`, `${base}/policies/x/versions/${id}`]) {
        const { status } = await api.call('GET', path);
        expect([400, 404], `${path} ${status}`).toContain(status);
      }
    }
  });
});

describe('bodies', () => {
  test('that are too large, too deep, not JSON or not text are refused by their kind', async () => {
    const call = (rawBody: string | Buffer, headers: Record<string, string> = {}) =>
      api.call('POST', '/v1/zones', { rawBody, headers });
    expect((await call(`{"name":"${'x'.repeat(1_100_000)}"}`)).status).toBe(413);
    expect((await call('['.repeat(50_000))).status).toBe(400);
    expect((await call(`${'{"a":'.repeat(200)}1${'}'.repeat(200)}`)).status).toBe(400);
    expect((await call('not json')).status).toBe(400);
    expect((await call(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))).status).toBe(400);
    expect((await call('name=x', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(415);
    expect((await call('{"name":"x","name":"y"}')).status).toBe(400);
    expect((await call('')).status).toBe(400);
    for (const body of ['null', '[]', '"x"', '1', 'true']) expect((await call(body)).status, body).toBe(400);
  });

  test('with more than a store takes are refused before it is asked', async () => {
    const wide = 'é'.repeat(200_000);
    expect((await send(`${base}/policies`, { name: 'x', content: `${allowAll}# ${wide}` })).status).toBe(400);
    const many = Array.from({ length: 257 }, () => ({ policy_version_id: 'x' }));
    const set = `${base}/policy-sets/${textOf(await send(`${base}/policy-sets`, { name: 'many' }), 'id')}`;
    expect((await send(`${set}/versions`, { manifest: many })).status).toBe(400);
    const anchors = Array.from({ length: 1001 }, () => ({ kind: 'jti', id: 'x' }));
    expect((await send(`${base}/revocations`, { anchors })).status).toBe(400);
    const labels = Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`l${at}`, 'x']));
    expect((await send(`${base}/applications`, { name: 'x', labels })).status).toBe(400);
  });
});

describe('a policy', () => {
  test.each([
    'package caracal.authz\nimport data.other\nresult := data.other.x',
    'package caracal.authz\nresult := opa.runtime()',
    'package caracal.authz\nresult := {"decision": "allow"} if time.now_ns() > 0',
    'package caracal.authz.other\nresult := 1',
    'package system.authz\ndefault allow := true',
    'result := 1',
    '}',
    ' ',
  ])('that reaches beyond itself is refused: %j', async (content) => {
    const refused = await send(`${base}/policies`, { name: 'reach', content });
    expect(refused).toMatchObject({ status: 422, body: { error: 'policy_invalid' } });
    const [problem] = (refused.body['details'] as { problems: { line: number; column: number }[] }).problems;
    expect(problem?.line).toBeGreaterThan(0);
    expect(problem?.column).toBeGreaterThan(0);
  });
});

describe('every route', () => {
  /** Taken from the description, so that no route is forgotten. */
  async function operations(): Promise<{ method: string; path: string }[]> {
    const { paths } = (await api.call('GET', '/openapi.json')).body as { paths: Record<string, object> };
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })),
    );
  }
  const segment = fc.oneof(
    fc.constantFrom('x', '%00', '..', '%2e', 'ZONE', 'ZONE', 'ZONE'),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map(encodeURIComponentSafely),
  );
  const document = fc.oneof(
    fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }),
    fc.constantFrom(...Object.values(bodies)),
    fc
      .tuple(fc.constantFrom(...Object.values(bodies)), fc.jsonValue({ maxDepth: 2 }), fc.nat({ max: 9 }))
      .map(([body, value, at]) => {
        const names = Object.keys(body);
        return { ...body, [names[at % names.length] ?? 'name']: value };
      }),
  );
  const header = fc.constantFrom('*', '"1"', 'W/"1"', 'junk', '"99999999999999999999"', '');

  test('answers anything with a documented status and the one shape of errors', async () => {
    const all = await operations();
    expect(all.length).toBeGreaterThan(40);
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          operation: fc.constantFrom(...all),
          segments: fc.array(segment, { minLength: 3, maxLength: 3 }),
          body: document,
          ifMatch: header,
        }),
        async ({ operation: { method, path }, segments, body, ifMatch }) => {
          // Whoever waits for a barrier, ends this zone or its tokens would end the fuzzing.
          if (method === 'DELETE' && path.split('/').length < 5) return;
          const parts = [...segments];
          const filled = path.replaceAll(/\{[^}]+\}/g, (name) => {
            const part = parts.shift() ?? 'x';
            return name === '{zone_id}' || part === 'ZONE' ? zoneId : part;
          });
          const reply = await api.call(method, filled, {
            ...(method === 'GET' ? {} : { body }),
            headers: { 'if-match': ifMatch, 'idempotency-key': `fuzz-${segments[0]?.length ?? 0}` },
          });
          expect(reply.status, `${method} ${filled} ${JSON.stringify(body)} ${reply.text}`).not.toBe(500);
          // Audit and Coordinator are not running here.
          const away = /audit|agent-sessions/.test(path) && reply.status === 503;
          if (!away) expect(reply.status, `${method} ${filled} ${reply.text}`).toBeLessThan(500);
          if (reply.status >= 400) {
            expect(reply.body).toMatchObject({
              error: expect.stringMatching(/^[a-z_]+$/),
              error_description: expect.any(String),
              requestId: expect.any(String),
            });
          }
        },
      ),
      { numRuns: 600 },
    );
    const { log } = api.installation.process('api');
    expect(log()).not.toContain('internal_error');
  });
});

/** Not every string of code points may stand in a URL; what may not is sent as a question mark. */
function encodeURIComponentSafely(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
