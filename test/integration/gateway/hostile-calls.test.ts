// Callers, names and upstreams that mean harm: smuggled requests, spoofed headers, forbidden destinations, rebinding,
// redirects, and attempts to see the credential.
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newId } from '#mesh/ids';
import { testEndpoints } from '../../support/stack.ts';
import { startBed, until, type Bed } from './gateway-bed.ts';

const secret = 'canary-credential-83b1f2';
let bed: Bed;
let names: Record<string, readonly string[][]> = {};
const asked: string[] = [];

/** Answers each look-up of a name with the next of its answers; the last one stays. */
async function resolve(hostname: string): Promise<{ address: string; family: number }[]> {
  asked.push(hostname);
  const answers = names[hostname] ?? [];
  const [first, ...rest] = answers;
  if (first === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  if (rest.length > 0) names[hostname] = rest;
  return first.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
}

beforeAll(async () => {
  bed = await startBed({
    env: { MAX_REQUEST_BYTES: '100000', UPSTREAM_HOST_DENYLIST: 'denied.test' },
    overrides: { resolveUpstream: resolve },
  });
});
afterAll(async () => await bed[Symbol.asyncDispose]());
beforeEach(() => {
  names = {};
  allow(bed.upstream.url);
  bed.upstream.seen.length = 0;
  bed.upstream.handle = (_request, response) => void response.end('from upstream');
});

function allow(upstreamUrl: string, more: object = {}): void {
  bed.sts.decide = () => ({
    allow: { upstreamUrl, headerName: 'x-api-key', headerValue: secret, identityMandate: 'iden.ti.ty', ...more },
  });
}

async function raw(text: string): Promise<string> {
  const socket: TLSSocket = connectTls({
    host: '127.0.0.1',
    port: bed.port,
    servername: 'localhost',
    ca: bed.authority.authority.certificatePem,
    ALPNProtocols: ['http/1.1'],
  });
  await new Promise((settle) => socket.once('secureConnect', settle));
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text, 'latin1');
  await new Promise<void>((settle) => {
    socket.once('close', () => settle());
    setTimeout(() => {
      socket.destroy();
      settle();
    }, 1500);
  });
  return answer;
}

const head = (target = '/', method = 'GET'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: gateway.test\r\nX-Caracal-Resource: res\r\nAuthorization: Bearer ${bed.sts.mandate(bed.zoneId)}\r\n`;

describe('smuggling', () => {
  const attempts: [string, () => string][] = [
    [
      'both lengths',
      () =>
        `${head('/', 'POST')}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`,
    ],
    ['two lengths', () => `${head('/', 'POST')}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ['a spaced header name', () => `${head('/', 'POST')}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
    ['an unknown coding', () => `${head('/', 'POST')}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['a folded header', () => `${head()}X-Folded: a\r\n b\r\n\r\n`],
    ['bare line feeds', () => `${head().replaceAll('\r\n', '\n')}\n`],
    ['a negative length', () => `${head('/', 'POST')}Content-Length: -1\r\n\r\n`],
    ['a carriage return in a header', () => `${head()}X-A: a\rb\r\n\r\n`],
    ['a NUL in a header', () => `${head()}X-A: a\u0000b\r\n\r\n`],
    ['an absolute target', () => `${head('http://other.test/x')}\r\n`],
    ['an authority target', () => `${head('other.test:443', 'CONNECT')}\r\n`],
    ['a star target', () => `${head('*', 'OPTIONS')}\r\n`],
    ['a NUL in the target', () => `${head('/a\u0000b')}\r\n`],
    ['a fragment', () => `${head('/a#b')}\r\n`],
    ['high bytes in the target', () => `${head('/caf\u00e9')}\r\n`],
  ];
  test.each(attempts)('with %s reaches no upstream', async (_what, text) => {
    const answer = await raw(text());
    expect(answer).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    expect(bed.upstream.seen).toEqual([]);
  });

  test('a second request in a refused body is not answered as one', async () => {
    const second = `GET /health HTTP/1.1\r\nHost: x\r\n\r\n`;
    const answer = await raw(
      `POST /a//b HTTP/1.1\r\nHost: x\r\nX-Caracal-Resource: res\r\nContent-Length: ${second.length + 10}\r\n\r\n${second}`,
    );
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test('headers larger than the limit are refused', async () => {
    expect(await raw(`${head()}X-Large: ${'a'.repeat(40_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  });
});

describe('spoofing', () => {
  test('what a caller says about itself under our names does not arrive', async () => {
    const spoofed = 'spoofed-value';
    await bed.call({
      headers: {
        'x-caracal-identity': spoofed,
        'X-CARACAL-Anything': spoofed,
        x_caracal_identity: spoofed,
        'x-forwarded-for': spoofed,
        'x-forwarded-client-cert': `URI=${spoofed}`,
        forwarded: `for=${spoofed}`,
        'x-real-ip': spoofed,
        'l5d-client-id': spoofed,
        dpop: spoofed,
        'x-api-key': spoofed,
        'proxy-authorization': spoofed,
        te: spoofed,
      },
    });
    const [seen] = bed.upstream.seen;
    expect(seen).toBeDefined();
    expect(JSON.stringify(seen)).not.toContain(spoofed);
    expect(seen?.headers).toMatchObject({ 'x-api-key': secret, 'x-caracal-identity': 'iden.ti.ty' });
    expect(seen?.rawHeaders.filter((name) => name.toLowerCase() === 'x-api-key')).toHaveLength(1);
  });

  test('headers that the caller names in Connection are dropped, ours are not', async () => {
    await bed.call({ headers: { connection: 'close, x-drop, x-api-key, x-request-id', 'x-drop': '1' } });
    expect(bed.upstream.seen[0]?.headers['x-drop']).toBeUndefined();
    expect(bed.upstream.seen[0]?.headers).toMatchObject({ 'x-api-key': secret });
    expect(bed.upstream.seen[0]?.headers['x-request-id']).toBeDefined();
  });

  test('a credential for a reserved header is not sent', async () => {
    allow(bed.upstream.url, { headerName: 'host' });
    expect((await bed.call()).status).toBe(403);
    expect(bed.upstream.seen).toEqual([]);
  });
});

describe('destinations', () => {
  const forbidden = [
    'http://169.254.169.254/latest/meta-data',
    'http://[fd00:ec2::254]/',
    'http://100.64.0.1/',
    'http://0.0.0.0/',
    'http://[::]/',
    'http://[::ffff:169.254.169.254]/',
    'http://[64:ff9b::a9fe:a9fe]/',
    'http://[2002:7f00:1::]/',
    'http://224.0.0.1/',
    'http://127.0.0.1:1/',
    'http://2852039166/',
    'http://0x7f000001/',
    'http://denied.test/',
    'ftp://upstream.test/',
    'http://user:pass@upstream.test/',
    'file:///etc/passwd',
  ];
  test.each(forbidden)('%s is refused before anything is sent', async (url) => {
    names['denied.test'] = [['8.8.8.8']];
    allow(url);
    const requestId = newId();
    const answer = await bed.call({ headers: { 'x-request-id': requestId } });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'upstream_not_allowed' });
    expect(answer.body).not.toContain('169.254');
    await until(async () => (await bed.events({ request_id: requestId })).length === 1);
  });

  test('names are judged by every address they have', async () => {
    names['mixed.test'] = [['8.8.8.8', '169.254.169.254']];
    allow('http://mixed.test/');
    expect((await bed.call()).status).toBe(403);
  });

  test('the installation’s own stores, STS and Gateway are no upstreams, under any name that dev allows', async () => {
    const { redisUrl, postgres } = testEndpoints();
    names['upstream.test'] = [['127.0.0.1']];
    const ports = [
      new URL(redisUrl).port,
      new URL(postgres[0].administratorUrl).port,
      new URL(bed.sts.url).port,
      '3000',
      '4000',
      '9090',
    ];
    for (const port of ports) {
      allow(`http://upstream.test:${port}/`);
      expect([port, (await bed.call()).status]).toEqual([port, 403]);
    }
  });

  test('a name that was good for one connection is judged anew for the next', async () => {
    // First this test's own upstream, which dev allows by name; then metadata, this host, and the public form of it.
    names['upstream.test'] = [['127.0.0.1'], ['169.254.169.254'], ['::ffff:169.254.169.254'], ['127.0.0.1']];
    allow(`http://upstream.test:${bed.upstream.port}/`);
    bed.upstream.handle = (_request, response) => void response.writeHead(200, { connection: 'close' }).end('once');
    const statuses = [];
    for (let n = 0; n < 4; n += 1) {
      statuses.push((await bed.call()).status);
      await new Promise((settle) => setTimeout(settle, 50));
    }
    expect(statuses).toEqual([200, 403, 403, 200]);
    expect(bed.upstream.seen).toHaveLength(2);
    expect(asked.filter((name) => name === 'upstream.test').length).toBeGreaterThanOrEqual(4);
  });

  test('a name that does not resolve is 502, and not told apart further', async () => {
    allow('http://missing.test/');
    expect((await bed.call()).status).toBe(502);
  });

  test('a credential goes to its own hosts only', async () => {
    allow(bed.upstream.url, { allowedHosts: ['api.example.com'] });
    expect((await bed.call()).status).toBe(403);
    allow(bed.upstream.url, { allowedHosts: ['127.0.0.1'] });
    expect((await bed.call()).status).toBe(200);
  });
});

describe('answers', () => {
  test('a redirect is passed on in the caller’s terms, and never followed', async () => {
    bed.upstream.handle = (_request, response) =>
      void response.writeHead(302, { location: `${bed.upstream.url}/next?a=1` }).end();
    const answer = await bed.call({ resource: null, path: `/r/${bed.zoneSlug}/res/first` });
    expect([answer.status, answer.headers['location']]).toEqual([302, `/r/${bed.zoneSlug}/res/next?a=1`]);
    bed.upstream.handle = (_request, response) =>
      void response.writeHead(307, { location: 'http://169.254.169.254/' }).end();
    const away = await bed.call();
    expect([away.status, away.headers['location']]).toEqual([307, undefined]);
    expect(bed.upstream.seen).toHaveLength(2);
  });

  test('headers that tell about the upstream or repeat the credential stay inside', async () => {
    bed.upstream.handle = (request, response) => {
      response.writeHead(200, {
        server: 'inner/1.0',
        'x-powered-by': 'inner',
        'x-caracal-identity': String(request.headers['x-caracal-identity']),
        'x-echo': String(request.headers['x-api-key']),
        'x-kept': 'yes',
        connection: 'x-inner',
        'x-inner': '1',
      });
      response.end('ok');
    };
    const answer = await bed.call();
    expect(answer.headers['x-kept']).toBe('yes');
    for (const name of ['server', 'x-powered-by', 'x-caracal-identity', 'x-echo', 'x-inner']) {
      expect(answer.headers[name]).toBeUndefined();
    }
  });
});

describe('the credential', () => {
  test('shows in no answer, log line, event or metric, whatever went wrong', async () => {
    const token = bed.sts.mandate(bed.zoneId);
    bed.upstream.handle = (request) => void request.socket.destroy();
    await bed.call({ token });
    allow('http://missing.test/');
    await bed.call({ token });
    allow('http://169.254.169.254/');
    await bed.call({ token });
    allow(bed.upstream.url, { headerValue: `${secret}\r\nX-Evil: 1` });
    const refused = await bed.call({ token });
    expect(refused.status).toBe(403);
    const metrics = await bed.call({ token: null, resource: null, path: '/metrics' });
    await until(async () => (await bed.events({})).length > 3);
    const everything = [refused.body, metrics.body, ...bed.logs, JSON.stringify(await bed.events({}))].join('\n');
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(token);
    expect(everything).not.toContain('iden.ti.ty');
    expect(bed.logs.length).toBeGreaterThan(0);
  });
});
