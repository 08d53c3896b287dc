// STS, Audit, Coordinator and Gateway as processes, one zone with one protected upstream, and the calls an agent makes.
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type Client } from '@connectrpc/connect';
import { Agent } from 'undici';
import { AuditService, type LedgerEntry } from '#gen/caracal/audit/v1/audit_pb';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { createPeerTransport } from '#mesh/rpc';
import {
  allowAll,
  startSts,
  type FormFields,
  type StsInstallation,
  type TestApplication,
  type TestZone,
} from '../integration/sts/sts-installation.ts';

export const lifecycle = 'agent:lifecycle';

export interface CallReply {
  readonly status: number;
  readonly requestId: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The error word of the body, when it is one. */
  readonly error: string | undefined;
}

export interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly headers?: Record<string, string>;
  /** `reports` when left out; empty sends no such header. */
  readonly resource?: string;
}

export interface GovernedWorld extends AsyncDisposable {
  readonly sts: StsInstallation;
  readonly zone: TestZone;
  readonly application: TestApplication;
  /** Where the resource `reports` is mounted at the Gateway. */
  readonly mount: string;
  readonly dispatcher: Agent;
  readonly coordinator: Client<typeof CoordinatorService>;
  readonly audit: Client<typeof AuditService>;
  /** What reached the upstream. `/live` stays open, `/slow` never answers, `/cut` breaks off in the middle. */
  readonly seen: IncomingMessage[];
  /** A mandate from the token endpoint. */
  mandate(fields?: FormFields): Promise<string>;
  call(mandate: string | undefined, path: string, options?: CallOptions): Promise<CallReply>;
  /** The ledger's entries of a request, once `isWhole` says they are all there. */
  trace(requestId: string, isWhole: (types: readonly string[]) => boolean): Promise<LedgerEntry[]>;
}

const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  '/live': (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: first\n\n');
  },
  '/slow': () => undefined,
  '/cut': (response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '1000' });
    response.write('only this');
    setTimeout(() => response.destroy(), 50);
  },
};

function answer(message: IncomingMessage, response: ServerResponse): void {
  const special = answers[message.url?.split('?')[0] ?? ''];
  if (special !== undefined) return special(response);
  message.resume();
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
}

async function startUpstream(port: number, seen: IncomingMessage[]): Promise<AsyncDisposable> {
  const server = createServer((message, response) => {
    seen.push(message);
    answer(message, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export async function startGovernedWorld(overrides: Parameters<typeof startSts>[0] = {}): Promise<GovernedWorld> {
  const parts = new AsyncDisposableStack();
  const sts = parts.use(await startSts({ services: ['sts', 'audit', 'coordinator', 'gateway'], ...overrides }));
  const { installation } = sts;
  const seen: IncomingMessage[] = [];
  parts.use(await startUpstream(installation.upstreamPort, seen));
  const file = (name: string): string => join(installation.tlsFolder, name);
  const dispatcher = new Agent({ connect: { ca: readFileSync(file('ca.pem')) } });
  parts.defer(async () => dispatcher.destroy());
  const tls = { certFile: file('operator.pem'), keyFile: file('operator-key.pem'), caFile: file('ca.pem') };
  const transport = (service: 'coordinator' | 'audit') =>
    parts.use(
      createPeerTransport({ url: installation.urls[service], expectService: service, trustDomain: 'caracal.dev', tls }),
    );
  const zone = await sts.zone();
  const application = await sts.application(zone);
  const world: GovernedWorld = {
    sts,
    zone,
    mount: await furnish(sts, zone),
    application,
    dispatcher,
    coordinator: createClient(CoordinatorService, transport('coordinator')),
    audit: createClient(AuditService, transport('audit')),
    seen,
    mandate: (fields = {}) => mandate(sts, application, fields),
    call: (token, path, options = {}) => call({ dispatcher, url: installation.urls.gateway }, { token, path, options }),
    trace: async (requestId, isWhole) => {
      for (let attempt = 1; ; attempt += 1) {
        const { entries } = await world.audit.getTrace({ zoneId: zone.id, requestId });
        if (isWhole(entries.map(({ event }) => event?.eventType ?? '')) || attempt > 200) return entries;
        await sleep(50);
      }
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
  return world;
}

/** Gives back where `reports` is mounted at the Gateway. */
async function furnish(sts: StsInstallation, zone: TestZone): Promise<string> {
  const upstreamUrl = `http://127.0.0.1:${sts.installation.upstreamPort}`;
  const operations = [
    { method: 'GET', path: '/**', scope: 'read' },
    { method: 'POST', path: '/**', scope: 'write' },
  ];
  const scopes = ['read', 'write'];
  const fields = { identifier: 'reports', scopes, upstreamUrl, operations, operationEnforcement: true };
  const reports = await sts.resource(zone, fields);
  await sts.resource(zone, { identifier: 'nowhere', scopes, upstreamUrl: 'http://127.0.0.1:9' });
  await sts.policy(zone, [allowAll]);
  return `/r/z-${zone.id}/r-${reports}`;
}

async function mandate(sts: StsInstallation, application: TestApplication, fields: FormFields): Promise<string> {
  const reply = await sts.token(application, { resource: 'reports', scope: `read write ${lifecycle}`, ...fields });
  if (reply.status !== 200) throw new Error(`no mandate: ${JSON.stringify(reply.body)}`);
  return String(reply.body['access_token']);
}

async function call(
  to: { dispatcher: Agent; url: string },
  asked: { token: string | undefined; path: string; options: CallOptions },
): Promise<CallReply> {
  const { token, path, options } = asked;
  // Given apart from the origin, the path is sent as it is.
  const reply = await to.dispatcher.request({
    origin: to.url,
    path,
    method: options.method ?? 'GET',
    headers: {
      ...(options.resource === '' ? {} : { 'x-caracal-resource': options.resource ?? 'reports' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...options.headers,
    },
  });
  const text = await reply.body.text();
  return {
    status: reply.statusCode,
    requestId: String(reply.headers['x-request-id']),
    headers: reply.headers,
    text,
    error: errorWord(text),
  };
}

function errorWord(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
