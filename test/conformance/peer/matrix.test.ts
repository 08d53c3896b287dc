// Who a connection is believed to be: every certificate that may come, and every header that may lie.
import { readFile, writeFile } from 'node:fs/promises';
import { connect as connectH2 } from 'node:http2';
import type { ClientHttp2Session, SecureClientSessionOptions } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { Health } from '#gen/grpc/health/v1/health_pb';
import { ServerReflection } from '#gen/grpc/reflection/v1/reflection_pb';
import { fail } from '#mesh/failure';
import { connectionCallerOf, connectionOf } from '#mesh/identity';
import { ManualClock } from '#mesh/time';
import { createTestAuthority, startMeshService, trustDomain } from '#test/mesh-service';
import type { CertificateFiles, MeshService, TestAuthority } from '#test/mesh-service';

const uri = (path: string) => `spiffe://${trustDomain}/${path}`;
const dayMs = 86_400_000;

let authority: TestAuthority;
let foreign: TestAuthority;
let audit: CertificateFiles;
let api: CertificateFiles;
let service: MeshService;

type App = Parameters<NonNullable<NonNullable<Parameters<typeof startMeshService>[0]>['http']>>[0];

/** Says what a handler sees: the caller, and the headers that arrived. */
const routes = async (app: App) => {
  app.get('/who', async ({ raw }) => ({
    caller: connectionCallerOf(raw),
    certificate: connectionOf(raw)?.certificate ?? null,
    headers: raw.rawHeaders.filter((_name, at) => at % 2 === 0).map((name) => name.toLowerCase()),
  }));
};

beforeAll(async () => {
  authority = await createTestAuthority();
  foreign = await createTestAuthority('foreign root');
  audit = await authority.service('audit');
  api = await authority.service('api');
  service = await startMeshService({ tls: audit, http: routes, mode: 'stable', metricsBearer: 'scrape-me' });
});

afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
  await foreign[Symbol.asyncDispose]();
});

function transportWith(files: Partial<Pick<CertificateFiles, 'cert' | 'key'>>, url = service.url) {
  const nodeOptions = { ca: audit.ca, ...files };
  return createConnectTransport({ baseUrl: url, httpVersion: '2', nodeOptions });
}

async function codeOf(call: Promise<unknown>): Promise<Code | 'ok'> {
  return await call.then(
    () => 'ok' as const,
    (error: unknown) => ConnectError.from(error).code,
  );
}

const trace = { zoneId: 'z', requestId: 'r' };

describe('certificates of our authority', () => {
  test('a peer and an operator call what topology gives them', async () => {
    const olga = await authority.operator('olga');
    expect(await codeOf(createClient(AuditService, transportWith(api)).getTrace(trace))).toBe('ok');
    expect(await codeOf(createClient(AuditService, transportWith(olga)).getTrace(trace))).toBe('ok');
    expect(service.callers.slice(-2).map((caller) => JSON.parse(caller) as unknown)).toEqual([
      { kind: 'peer', service: 'api', spiffeId: uri('caracal/api') },
      { kind: 'operator', name: 'olga' },
    ]);
  });

  test('the right name on the wrong method is refused and leaves evidence', async () => {
    const gateway = await authority.service('gateway');
    expect(await codeOf(createClient(AuditService, transportWith(gateway)).getTrace(trace))).toBe(
      Code.PermissionDenied,
    );
    expect(await codeOf(createClient(StsService, transportWith(api)).mintSession({}))).toBe(Code.PermissionDenied);
    expect(service.refused.at(-1)).toMatchObject({
      rpc: 'caracal.sts.v1.StsService/MintSession',
      reason: 'permission_denied',
      caller: { kind: 'peer', service: 'api' },
    });
  });

  test('nobody without a certificate calls anything but health', async () => {
    expect(await codeOf(createClient(AuditService, transportWith({})).getTrace(trace))).toBe(Code.Unauthenticated);
    expect(await codeOf(createClient(Health, transportWith({})).check({}))).toBe('ok');
    expect(service.refused.at(-1)).toMatchObject({ reason: 'unauthenticated', caller: { kind: 'anonymous' } });
  });

  test('reflection is for peers and operators in published modes', async () => {
    const ask = async (files: Partial<CertificateFiles>) => {
      const client = createClient(ServerReflection, transportWith(files));
      const requests = async function* () {
        yield { messageRequest: { case: 'listServices' as const, value: '' } };
      };
      for await (const _answer of client.serverReflectionInfo(requests())) return 'answered';
      return 'silent';
    };
    expect(await ask(api)).toBe('answered');
    expect(await codeOf(ask({}))).toBe(Code.Unauthenticated);
  });
});

/** What happens to a connection that shows this certificate: the caller a handler sees, or `closed`. */
async function shown(files: Partial<CertificateFiles>, target: MeshService = service): Promise<unknown> {
  return await new Promise((resolve) => {
    const options: SecureClientSessionOptions = { ca: audit.ca };
    if (files.cert !== undefined && files.key !== undefined)
      Object.assign(options, { cert: files.cert, key: files.key });
    const session = connectH2(target.url, options);
    session.on('error', () => resolve('closed'));
    session.on('close', () => resolve('closed'));
    const stream = session.request({ ':path': '/who' });
    let text = '';
    stream.on('error', () => resolve('closed'));
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    stream.on('end', () => {
      if (text !== '') resolve((JSON.parse(text) as { caller: unknown }).caller);
      session.close();
    });
  });
}

describe('certificates that claim our trust domain without proof close the connection', () => {
  const cases: [string, () => Promise<CertificateFiles>][] = [
    ['a foreign authority', async () => await foreign.service('api')],
    [
      'an expired one',
      async () =>
        await authority.issue('old', {
          uris: [uri('caracal/api')],
          notBefore: new Date(Date.now() - 3 * dayMs),
          notAfter: new Date(Date.now() - dayMs),
        }),
    ],
    [
      'one not valid yet',
      async () => await authority.issue('new', { uris: [uri('caracal/api')], notBefore: new Date(Date.now() + dayMs) }),
    ],
    ['two names of ours', async () => await authority.issue('two', { uris: [uri('caracal/api'), uri('caracal/sts')] })],
    [
      'one name of ours beside another',
      async () => await authority.issue('mixed', { uris: ['spiffe://other.test/x', uri('caracal/api')] }),
    ],
    [
      'no usage for clients',
      async () => await authority.issue('server', { uris: [uri('caracal/api')], usages: ['serverAuth'] }),
    ],
    ['no usage at all', async () => await authority.issue('plain', { uris: [uri('caracal/api')], usages: [] })],
    ['a service that does not exist', async () => await authority.issue('ghost', { uris: [uri('caracal/ghost')] })],
    ['a longer path', async () => await authority.issue('long', { uris: [uri('caracal/api/x')] })],
    [
      'another spelling of the domain',
      async () => await authority.issue('case', { uris: [`SPIFFE://${trustDomain.toUpperCase()}/caracal/api`] }),
    ],
    [
      'a user in the authority',
      async () => await authority.issue('user', { uris: [`spiffe://x@${trustDomain}/caracal/api`] }),
    ],
    [
      'a port in the authority',
      async () => await authority.issue('port', { uris: [`spiffe://${trustDomain}:1/caracal/api`] }),
    ],
  ];

  test.each(cases)('%s', async (_what, make) => {
    expect(await shown(await make())).toBe('closed');
  });
});

describe('certificates that are not ours give no identity', () => {
  test('a foreign one without our names is a thumbprint and nothing more', async () => {
    expect(await shown(await foreign.issue('stranger', { dnsNames: ['stranger.test'] }))).toEqual({
      kind: 'anonymous',
    });
    expect(await shown(await foreign.issue('elsewhere', { uris: ['spiffe://other.test/caracal/api'] }))).toEqual({
      kind: 'anonymous',
    });
  });

  test('one of our authority without a name is nobody', async () => {
    expect(await shown(await authority.issue('nameless', {}))).toEqual({ kind: 'anonymous' });
  });

  test('an Envoy proxy is known and may call nothing of the table', async () => {
    const envoy = await authority.issue('envoy-edge', { uris: [uri('envoy/edge')] });
    expect(await shown(envoy)).toEqual({ kind: 'envoy', name: 'edge' });
    expect(await codeOf(createClient(AuditService, transportWith(envoy)).getTrace(trace))).toBe(Code.PermissionDenied);
  });

  test('with client authorities named, only theirs are acceptable, and none of them becomes a peer', async () => {
    await using strict = await startMeshService({
      tls: audit,
      clientCaFile: (await foreign.service('api')).caFile,
      http: routes,
    });
    const answer = async (files: CertificateFiles) => {
      const response = await who(strict, files, {});
      return response.certificate;
    };
    const theirs = await foreign.issue('agent', { dnsNames: ['agent.test'] });
    await using third = await createTestAuthority('third root');
    const others = await third.issue('agent', { dnsNames: ['agent.test'] });
    expect(await answer(theirs)).toMatchObject({ acceptable: true, thumbprint: expect.stringMatching(/^[\w-]{43}$/) });
    expect(await answer(others)).toMatchObject({ acceptable: false });
    expect(await shown(await foreign.service('api'), strict)).toBe('closed');
    expect(await shown(api, strict)).toMatchObject({ kind: 'peer', service: 'api' });
  });
});

interface Who {
  readonly caller: unknown;
  readonly certificate: unknown;
  readonly headers: string[];
}

async function who(
  target: MeshService,
  files: Partial<CertificateFiles>,
  headers: Record<string, string | string[]>,
): Promise<Who> {
  const isTls = target.url.startsWith('https');
  const options = isTls
    ? { ca: audit.ca, ...(files.cert ? { cert: files.cert } : {}), ...(files.key ? { key: files.key } : {}) }
    : {};
  const session: ClientHttp2Session = connectH2(target.url, options);
  try {
    return await new Promise<Who>((resolve, reject) => {
      session.on('error', reject);
      const stream = session.request({ ':path': '/who', ...headers });
      let text = '';
      stream.on('error', reject);
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('end', () => resolve(JSON.parse(text) as Who));
    });
  } finally {
    session.close();
  }
}

describe('session resumption', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'is not offered on %s, and a resumed try gives no identity',
    async (version) => {
      const base = {
        host: '127.0.0.1',
        port: service.port,
        ca: audit.ca,
        servername: 'localhost',
        ALPNProtocols: ['http/1.1'],
      };
      const pinned = { minVersion: version, maxVersion: version };
      const sessions: Buffer[] = [];
      await new Promise<void>((resolve, reject) => {
        const first = connectTls({ ...base, ...pinned, cert: api.cert, key: api.key });
        first.on('session', (session) => sessions.push(session));
        first.on('error', reject);
        first.on('secureConnect', () => {
          const kept = first.getSession();
          if (kept !== undefined) sessions.push(kept);
          first.write('GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        });
        first.on('close', () => resolve());
        first.resume();
      });
      expect(sessions.length).toBeGreaterThan(0);
      for (const session of sessions) {
        const [reused, answer] = await new Promise<[boolean, string]>((resolve, reject) => {
          const second = connectTls({ ...base, ...pinned, session });
          let text = '';
          let isReused = true;
          second.on('error', reject);
          second.on('secureConnect', () => {
            isReused = second.isSessionReused();
            second.write('GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
          });
          second.on('data', (chunk: Buffer) => (text += chunk.toString()));
          second.on('close', () => resolve([isReused, text]));
        });
        expect(reused).toBe(false);
        expect(answer).toContain('{"kind":"anonymous"}');
      }
    },
  );
});

describe('identities asserted in headers', () => {
  const lies = {
    'l5d-client-id': 'api.caracal.serviceaccount.identity.linkerd.cluster.local',
    'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/caracal/sa/api',
  };
  const linkerdPeers = { [lies['l5d-client-id']]: 'api' as const };
  const istioPeers = { 'spiffe://cluster.local/ns/caracal/sa/api': 'api' as const };

  test('are removed and not believed without a declared mesh', async () => {
    const answer = await who(service, {}, lies);
    expect(answer.caller).toEqual({ kind: 'anonymous' });
    expect(answer.headers).not.toContain('l5d-client-id');
    expect(answer.headers).not.toContain('x-forwarded-client-cert');
  });

  test('are believed from the local hop under the declared mesh, and still removed', async () => {
    await using linkerd = await startMeshService({ meshIdentity: 'linkerd', meshPeers: linkerdPeers, http: routes });
    const answer = await who(linkerd, {}, lies);
    expect(answer.caller).toMatchObject({ kind: 'peer', service: 'api', spiffeId: lies['l5d-client-id'] });
    expect(answer.headers).not.toContain('l5d-client-id');
  });

  test('another identity, two of them, or the other mesh is nobody', async () => {
    await using linkerd = await startMeshService({ meshIdentity: 'linkerd', meshPeers: linkerdPeers, http: routes });
    const nobody = { kind: 'anonymous' };
    expect((await who(linkerd, {}, { 'l5d-client-id': 'api.evil' })).caller).toEqual(nobody);
    const id = lies['l5d-client-id'];
    expect((await who(linkerd, {}, { 'l5d-client-id': [id, id] })).caller).toEqual(nobody);
    expect((await who(linkerd, {}, { 'x-forwarded-client-cert': lies['x-forwarded-client-cert'] })).caller).toEqual(
      nobody,
    );
  });

  test('Istio: the last element speaks, earlier ones came from the network', async () => {
    await using istio = await startMeshService({ meshIdentity: 'istio', meshPeers: istioPeers, http: routes });
    const good =
      'By=spiffe://cluster.local/ns/caracal/sa/audit;Hash=aa;Subject="CN=\\"a,b\\";O=x";URI=spiffe://cluster.local/ns/caracal/sa/api';
    const bad = 'Hash=bb;URI=spiffe://cluster.local/ns/evil/sa/x';
    const ask = async (value: string) => (await who(istio, {}, { 'x-forwarded-client-cert': value })).caller;
    const peer = { kind: 'peer', service: 'api', spiffeId: 'spiffe://cluster.local/ns/caracal/sa/api' };
    expect(await ask(`${bad},${good}`)).toEqual(peer);
    expect(await ask(`${good},${bad}`)).toEqual({ kind: 'anonymous' });
    expect(await ask(`${good};URI=spiffe://cluster.local/ns/caracal/sa/api`)).toEqual({ kind: 'anonymous' });
    expect(await ask(`Subject="unclosed,${good}`)).toEqual({ kind: 'anonymous' });
  });
});

describe('bearers', () => {
  test('are verified only where topology takes them, and the verifier has the last word', async () => {
    const asked: string[] = [];
    await using bearer = await startMeshService({
      tls: audit,
      verifyBearer: async (token) => {
        asked.push(token);
        if (token !== 'good') throw fail('token_revoked');
        return { subject: 'agent-7' };
      },
    });
    const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    const coordinator = createClient(CoordinatorService, transportWith({}, bearer.url));
    const ledger = createClient(AuditService, transportWith({}, bearer.url));
    // The service registers no coordinator handlers: not found here means that there is no such route, not a refusal.
    expect(await codeOf(ledger.getTrace(trace, as('good')))).toBe(Code.Unauthenticated);
    expect(asked).toEqual([]);
    expect(await codeOf(coordinator.getSession({}, as('good')))).toBe(Code.Unimplemented);
  });
});

describe('the end of a connection', () => {
  test('comes when the certificate of the peer expires', async () => {
    const soon = new Date(Date.now() + 3000);
    const brief = await authority.issue('brief', { uris: [uri('caracal/api')], notAfter: soon });
    const session = connectH2(service.url, { ca: audit.ca, cert: brief.cert, key: brief.key });
    session.on('error', () => undefined);
    await new Promise((resolve) => session.once('connect', resolve));
    await new Promise((resolve) => session.once('close', resolve));
    await expect.poll(async () => await shown(brief), { timeout: 20_000 }).toBe('closed');
    expect(Date.now()).toBeGreaterThanOrEqual(Math.floor(soon.getTime() / 1000) * 1000);
  });

  test('comes when the authorities change; certificates renew without restart', async () => {
    await using root = await createTestAuthority('second root');
    const first = await root.service('audit');
    const peer = await root.service('api');
    await using rotating = await startMeshService({ tls: first, http: routes });
    const session = connectH2(rotating.url, { ca: first.ca, cert: peer.cert, key: peer.key });
    const closed = new Promise((resolve) => session.once('close', resolve));
    session.on('error', () => undefined);
    await new Promise((resolve) => session.once('connect', resolve));
    expect(rotating.listener.reloadTls()).toBe(false);

    const renewed = await root.issue('audit', {
      uris: [uri('caracal/audit')],
      dnsNames: ['localhost', 'renewed.test'],
    });
    expect(rotating.listener.reloadTls()).toBe(true);
    expect(await servedNames(rotating, root.authority.certificatePem)).toContain('renewed.test');
    expect(session.closed).toBe(false);

    await writeFile(renewed.certFile, 'half a certifica');
    expect(rotating.listener.reloadTls()).toBe(false);
    await writeFile(renewed.certFile, renewed.cert);
    await writeFile(first.caFile, (await readFile(first.caFile, 'utf8')) + foreign.authority.certificatePem);
    expect(rotating.listener.reloadTls()).toBe(true);
    await closed;
  });

  test('comes at the age limit, and a request in flight is answered first', async () => {
    const limits = { maxConnectionAgeMs: 1500, retireGraceMs: 1400 };
    await using aging = await startMeshService({ tls: audit, limits });
    const client = createClient(AuditService, transportWith(api, aging.url));
    expect(await codeOf(client.getTrace({ zoneId: 'z', requestId: 'slow-900' }))).toBe('ok');
    await expect.poll(() => aging.listener.connectionCount, { timeout: 10_000 }).toBe(0);
  });

  test('an identity ends with its certificate by the clock of the installation', async () => {
    const clock = new ManualClock(Date.now() + 500 * dayMs);
    await using late = await startMeshService({ tls: audit, clock, http: routes });
    expect(await shown(api, late)).toBe('closed');
  });
});

async function servedNames(target: MeshService, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port: target.port, ca, servername: 'localhost' }, () => {
      resolve(socket.getPeerX509Certificate()?.subjectAltName ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('metrics', () => {
  test('ask for the bearer in published modes', async () => {
    const status = async (headers: Record<string, string>) =>
      await new Promise((resolve) => {
        const session = connectH2(service.url, { ca: audit.ca });
        const stream = session.request({ ':path': '/metrics', ...headers });
        stream.on('response', (answer) => resolve(answer[':status']));
        stream.resume();
        stream.on('end', () => session.close());
      });
    expect(await status({})).toBe(401);
    expect(await status({ authorization: 'Bearer scrape-m' })).toBe(401);
    expect(await status({ authorization: 'Bearer scrape-me' })).toBe(200);
  });
});
