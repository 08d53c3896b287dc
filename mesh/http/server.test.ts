// The framework behind the listener: one error shape, strict bodies, and a raw handler that may go first.
import Type from 'typebox';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fail } from '#mesh/failure';
import { createHealth } from '#mesh/health';
import { createLogger, silentMetrics } from '#mesh/telemetry';
import { acceptForms } from './bodies.ts';
import { sendFailure } from './failure-reply.ts';
import { requestIdOf } from './request-id.ts';
import { createHttpServer } from './server.ts';
import type { HttpServer } from './server.ts';

const lines: string[] = [];
let http: HttpServer;

beforeAll(async () => {
  http = createHttpServer({
    service: 'api',
    logger: createLogger({ service: 'api', level: 'debug', write: (line) => void lines.push(line) }),
    metrics: silentMetrics(),
    health: createHealth({ checks: {} }),
    metricsBearer: undefined,
    mode: 'stable',
    bodyLimitBytes: 1000,
    handlerBefore: (request, response) => {
      if (request.url?.startsWith('/raw') !== true) return false;
      sendFailure(response, fail('upstream_timeout'), requestIdOf(request));
      return true;
    },
  });
  const { app } = http;
  const body = Type.Object({ name: Type.String(), count: Type.Optional(Type.Integer()) });
  const querystring = Type.Object({ limit: Type.Optional(Type.Integer()) });
  app.post('/things', { schema: { body, querystring } }, async (request) => ({
    body: request.body,
    query: request.query,
  }));
  app.get('/things/:id', async (request) => request.params);
  app.get('/denied', async () => {
    throw fail('token_replayed', { description: 'Spent.' });
  });
  app.get('/limited', async () => {
    throw fail('rate_limited', { retryAfterMs: 1500 });
  });
  app.get('/crash', async () => {
    throw new Error('inner secret');
  });
  await app.register(async (scope) => {
    acceptForms(scope, 500);
    scope.post('/form', async (request) => ({ all: [...(request.body as URLSearchParams)] }));
  });
  await http.ready();
});

afterAll(async () => await http[Symbol.asyncDispose]());

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

async function ask(
  method: Method,
  url: string,
  options: { body?: string | Buffer; headers?: Record<string, string> } = {},
) {
  const { body, headers = {} } = options;
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await http.app.inject({
    method,
    url,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { payload: body }),
  });
  const text = answer.body;
  const json: unknown = text.startsWith('{') ? JSON.parse(text) : text;
  return { status: answer.statusCode, headers: answer.headers, json };
}

describe('bodies', () => {
  test('reach the route as they are, queries as what they say', async () => {
    const answer = await ask('POST', '/things?limit=5', { body: '{"name":"x","count":1}' });
    expect(answer).toMatchObject({ status: 200, json: { body: { name: 'x', count: 1 }, query: { limit: 5 } } });
  });

  test.each([
    ['an unknown field', '{"name":"x","extra":1}', [{ path: 'extra', rule: 'unknown field' }]],
    ['a number in quotes', '{"name":"x","count":"1"}', [{ path: 'count', rule: 'must be integer' }]],
    ['nothing', '', [{ path: '', rule: 'must be object' }]],
  ])('%s is refused with its path', async (_what, body, fields) => {
    expect(await ask('POST', '/things', { body })).toMatchObject({
      status: 400,
      json: { error: 'invalid_request', details: { fields } },
    });
  });

  test.each([
    ['a duplicate key', '{"name":"x","name":"y"}', 400],
    ['half a document', '{"name":', 400],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 400],
    ['a prototype', '{"name":"x","__proto__":{"admin":true}}', 400],
    ['depth', `{"name":${'['.repeat(200)}${']'.repeat(200)}}`, 400],
    ['too much', JSON.stringify({ name: 'x'.repeat(2000) }), 413],
  ])('%s is refused', async (_what, body, status) => {
    const answer = await ask('POST', '/things', { body });
    expect(answer.status).toBe(status);
    expect(answer.json).toMatchObject({ error: expect.any(String), requestId: expect.any(String) });
  });

  test('of other types are refused; forms are taken where a route asks for them', async () => {
    expect(
      (await ask('POST', '/things', { body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }))
        .status,
    ).toBe(415);
    const form = {
      body: 'a=1&a=2&b=%C3%A9',
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    };
    expect((await ask('POST', '/form', form)).json).toEqual({
      all: [
        ['a', '1'],
        ['a', '2'],
        ['b', 'é'],
      ],
    });
    expect((await ask('POST', '/form', { ...form, body: `a=${'x'.repeat(600)}` })).status).toBe(413);
  });
});

describe('failures', () => {
  test('carry error, description, request id and the reason that differs from the word', async () => {
    const answer = await ask('GET', '/denied', { headers: { 'x-request-id': 'r-1' } });
    expect(answer.status).toBe(401);
    expect(answer.json).toEqual({
      error: 'invalid_token',
      error_description: 'Spent.',
      requestId: 'r-1',
      details: { reason: 'token_replayed' },
    });
    expect(answer.headers).toMatchObject({
      'www-authenticate': 'Bearer realm="caracal", error="invalid_token"',
      'cache-control': 'no-store',
      'x-request-id': 'r-1',
    });
  });

  test('say when to come back', async () => {
    expect((await ask('GET', '/limited')).headers['retry-after']).toBe('2');
  });

  test('that nobody listed are internal, logged whole and shown empty', async () => {
    const answer = await ask('GET', '/crash', { headers: { 'x-request-id': 'r-2' } });
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.json)).not.toContain('inner secret');
    const logged = lines.find((line) => line.includes('r-2') && line.includes('"level":"error"'));
    expect(logged).toContain('inner secret');
  });

  test('of paths and methods are told apart', async () => {
    expect((await ask('GET', '/nothing')).status).toBe(404);
    expect(await ask('PUT', '/things/7')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
    expect((await ask('GET', '/things/%zz')).status).toBe(400);
    expect((await ask('GET', `/things/${'x'.repeat(1000)}`)).status).toBe(400);
  });
});

test('metrics are closed without a bearer outside dev', async () => {
  expect((await ask('GET', '/metrics')).status).toBe(401);
});
