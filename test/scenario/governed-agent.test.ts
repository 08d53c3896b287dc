// The story of a governed agent over STS, Coordinator, Gateway and Audit as processes: session, call, narrowing, revocation,
// evidence.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient, type Client } from '@connectrpc/connect';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { createPeerTransport, outgoing } from '#mesh/rpc';
import {
  allowAll,
  startSts,
  type StsInstallation,
  type TestApplication,
  type TestZone,
} from '../integration/sts/sts-installation.ts';

let world: StsInstallation;
let zone: TestZone;
let application: TestApplication;
let upstream: Server;
let agent: Agent;
let coordinator: Client<typeof CoordinatorService>;
let audit: Client<typeof AuditService>;
const seen: IncomingMessage[] = [];
const cleanup = new AsyncDisposableStack();

const lifecycle = 'agent:lifecycle';

beforeAll(async () => {
  world = cleanup.use(await startSts({ services: ['sts', 'audit', 'coordinator', 'gateway'] }));
  const { installation } = world;
  upstream = createServer((message, response) => {
    seen.push(message);
    if (message.url === '/live') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
  });
  await new Promise<void>((resolve) => upstream.listen(installation.upstreamPort, '127.0.0.1', resolve));
  cleanup.defer(async () => {
    upstream.closeAllConnections();
    await new Promise((resolve) => upstream.close(resolve));
  });
  agent = new Agent({ connect: { ca: readFileSync(join(installation.tlsFolder, 'ca.pem')) } });
  cleanup.defer(async () => agent.destroy());
  const tls = {
    certFile: join(installation.tlsFolder, 'operator.pem'),
    keyFile: join(installation.tlsFolder, 'operator-key.pem'),
    caFile: join(installation.tlsFolder, 'ca.pem'),
  };
  const transport = (service: 'coordinator' | 'audit') =>
    cleanup.use(
      createPeerTransport({ url: installation.urls[service], expectService: service, trustDomain: 'caracal.dev', tls }),
    );
  coordinator = createClient(CoordinatorService, transport('coordinator'));
  audit = createClient(AuditService, transport('audit'));
  zone = await world.zone();
  application = await world.application(zone);
  await world.resource(zone, {
    identifier: 'reports',
    scopes: ['read', 'write'],
    upstreamUrl: `http://127.0.0.1:${installation.upstreamPort}`,
    operations: [
      { method: 'GET', path: '/**', scope: 'read' },
      { method: 'POST', path: '/**', scope: 'write' },
    ],
    operationEnforcement: true,
  });
  await world.policy(zone, [allowAll]);
});

afterAll(() => cleanup.disposeAsync());

const call = async (mandate: string, path: string, method: 'GET' | 'POST' = 'GET') => {
  const response = await request(`${world.installation.urls.gateway}${path}`, {
    dispatcher: agent,
    method,
    headers: { authorization: `Bearer ${mandate}`, 'x-caracal-resource': 'reports' },
  });
  return {
    status: response.statusCode,
    requestId: String(response.headers['x-request-id']),
    text: await response.body.text(),
  };
};

async function eventually<T>(read: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const value = await read();
    if (isDone(value) || attempt > 300) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('a governed agent', () => {
  let applicationMandate: string;
  let parent: { id: string; mandate: string };
  let child: { id: string; mandate: string };

  it('gets a session with a mandate of its own', async () => {
    const reply = await world.token(application, { resource: 'reports', scope: `read write ${lifecycle}` });
    expect(reply).toMatchObject({ status: 200 });
    applicationMandate = String(reply.body['access_token']);
    const started = await coordinator.startSession(
      { zoneId: zone.id, applicationId: application.id, mandate: true, passLifecycle: true },
      outgoing({ bearer: applicationMandate }),
    );
    expect(started.session).toMatchObject({ depth: 0, scopes: ['read', 'write'], resources: ['reports'] });
    parent = { id: started.session?.id ?? '', mandate: started.mandate?.token ?? '' };
    expect(started.mandate?.scopes.toSorted()).toEqual([lifecycle, 'read', 'write']);
  });

  it('reaches its upstream, and never with its own mandate', async () => {
    const reply = await call(parent.mandate, '/reports');
    expect(reply).toMatchObject({ status: 200, text: '{"ok":true}' });
    expect(seen.at(-1)?.headers.authorization).not.toBe(`Bearer ${parent.mandate}`);
    expect(await call(parent.mandate, '/reports', 'POST')).toMatchObject({ status: 200 });
  });

  it('delegates less than it holds, and no more', async () => {
    const started = await coordinator.startSession(
      { zoneId: zone.id, applicationId: application.id, parentId: parent.id },
      outgoing({ bearer: parent.mandate }),
    );
    const delegated = await coordinator.createDelegation(
      {
        zoneId: zone.id,
        sourceSessionId: parent.id,
        targetSessionId: started.session?.id ?? '',
        scopes: ['read'],
        ttlSeconds: 60,
        mandate: true,
      },
      outgoing({ bearer: parent.mandate }),
    );
    child = { id: started.session?.id ?? '', mandate: delegated.mandate?.token ?? '' };
    expect(delegated.mandate?.scopes).toEqual(['read']);
    expect(await call(child.mandate, '/reports')).toMatchObject({ status: 200 });
    const before = seen.length;
    expect(await call(child.mandate, '/reports', 'POST')).toMatchObject({ status: 403 });
    expect(seen.length).toBe(before);
  });

  it('is refused with all below it once its end has returned, and its open stream is cut', async () => {
    const open = await request(`${world.installation.urls.gateway}/live`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${child.mandate}`, 'x-caracal-resource': 'reports' },
    });
    expect(open.statusCode).toBe(200);
    const ended = (async () => {
      for await (const _chunk of open.body);
    })().then(
      () => 'ended',
      () => 'cut',
    );
    const end = await coordinator.endSession(
      { zoneId: zone.id, sessionId: parent.id, reason: 'test', waitApplied: true },
      outgoing({ bearer: applicationMandate }),
    );
    expect(end.barrier).toMatchObject({ applied: true, points: 2 });
    expect(end.endedSessionIds).toEqual([parent.id, child.id]);
    expect(await call(child.mandate, '/reports')).toMatchObject({ status: 401 });
    expect(await call(parent.mandate, '/reports')).toMatchObject({ status: 401 });
    expect(await ended).toBe('cut');
  });

  it('leaves evidence of every call, once, in a chain that verifies', async () => {
    const search = () => audit.searchEvents({ zoneId: zone.id, limit: 1000 });
    const found = await eventually(search, ({ entries }) => {
      const types = entries.map(({ event }) => event?.eventType);
      return types.filter((type) => type === 'gateway.outcome').length >= 4 && types.includes('session.ended');
    });
    const types = found.entries.map(({ event }) => event?.eventType);
    expect(types).toEqual(
      expect.arrayContaining([
        'token.exchange',
        'session.started',
        'delegation.created',
        'gateway.decision',
        'gateway.outcome',
        'session.ended',
        'delegation.revoked',
        'revocation.written',
      ]),
    );
    const ids = found.entries.map(({ event }) => event?.id);
    expect(new Set(ids).size).toBe(ids.length);
    const progresses = await Array.fromAsync(audit.verifyRange({ zoneId: zone.id }));
    const last = progresses.at(-1);
    expect(last).toMatchObject({ done: true, findingCount: 0n });
    expect(Number(last?.checked)).toBeGreaterThanOrEqual(types.length);
  });
});
