// The Coordinator as a process beside a real STS on real stores, one zone with an application, and the calls that plain
// clients make: Connect JSON and the JSON routes by HTTP/1.1, gRPC by a client of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { Agent, request } from 'undici';
import {
  CoordinatorService,
  type CreateDelegationRequestSchema,
  type StartSessionRequestSchema,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import type { ServiceName } from '#mesh/topology';
import { type CuttableLink, cuttableLink } from '../../support/cuttable-link.ts';
import { allowAll, startSts } from '../sts/sts-installation.ts';
import type { FormFields, StsInstallation, TestApplication, TestZone } from '../sts/sts-installation.ts';

export const lifecycle = 'agent:lifecycle';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  /** The reason word: of the Failure detail of an RPC, of the body on HTTP edges. */
  readonly reason: string | undefined;
  readonly fields: readonly string[];
}

export interface Holder {
  readonly id: string;
  readonly token: string;
}

export interface CoordinatorWorld extends AsyncDisposable {
  readonly sts: StsInstallation;
  readonly zone: TestZone;
  readonly application: TestApplication;
  readonly url: string;
  /** What the Coordinator reaches its database and the STS over. */
  readonly links: { readonly database: CuttableLink; readonly sts: CuttableLink };
  /** gRPC, with the certificate of a peer or operator, or without one. */
  grpc(certificate?: ServiceName | 'operator'): Client<typeof CoordinatorService>;
  mandate(fields?: FormFields, application?: TestApplication): Promise<string>;
  /** Connect JSON by plain HTTP. A string body is sent as it is. */
  rpc(method: string, message: object | string, options?: CallOptions): Promise<Answer>;
  /** A JSON route. */
  json(route: `${'GET' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD'} ${string}`, options?: CallOptions): Promise<Answer>;
  /** Starts a session by Connect JSON with a mandate of its own that may start children. */
  start(token: string, wish?: MessageInitShape<typeof StartSessionRequestSchema>): Promise<Holder>;
  delegate(
    token: string,
    wish: Partial<MessageInitShape<typeof CreateDelegationRequestSchema>>,
  ): Promise<Answer & { edgeId: string; token: string }>;
}

export interface CallOptions {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly certificate?: ServiceName | 'operator';
}

export interface WorldOptions {
  /** Settings of the Coordinator. */
  readonly settings?: Record<string, string>;
}

/** Limits so high that tests about other things do not meet them. */
const roomy = { MAX_PER_ZONE: '5000', MAX_PER_APP: '5000', MAX_CHILDREN: '1000', MAX_DEPTH: '30' };

export async function startCoordinatorWorld(options: WorldOptions = {}): Promise<CoordinatorWorld> {
  const parts = new AsyncDisposableStack();
  const sts = parts.use(await startSts());
  const { databaseUrls } = sts.installation.stack.addresses;
  const database = parts.use(await cuttableLink(databaseUrls.coordinator));
  const minter = parts.use(await cuttableLink(sts.url));
  const links = { DATABASE_URL: database.url, STS_URL: minter.url };
  await sts.installation.start('coordinator', { ...roomy, ...links, ...options.settings });
  const zone = await sts.zone();
  const application = await sts.application(zone);
  await sts.resource(zone, { identifier: 'calendar', scopes: ['read', 'write'] });
  await sts.resource(zone, { identifier: 'mail', scopes: ['read', 'write'] });
  await sts.policy(zone, [allowAll]);
  const url = sts.installation.urls.coordinator;
  const clients = peerClients(sts, parts);
  const http = plainHttp(url, clients.dispatcher);
  const world: CoordinatorWorld = {
    sts,
    zone,
    application,
    url,
    links: { database, sts: minter },
    grpc: clients.grpc,
    mandate: async (fields = {}, by = application) => {
      const asked = { resource: ['calendar', 'mail'], scope: `read write ${lifecycle}`, ...fields };
      const reply = await sts.token(by, asked);
      if (reply.status !== 200) throw new Error(`no mandate: ${JSON.stringify(reply.body)}`);
      return String(reply.body['access_token']);
    },
    rpc: (method, message, call = {}) =>
      http('POST', `/caracal.coordinator.v1.CoordinatorService/${method}`, { ...call, body: message }),
    json: (route, call = {}) => {
      const [method = '', path = ''] = route.split(' ', 2);
      return http(method, path, call);
    },
    start: async (token, wish = {}) => {
      const message = { zoneId: zone.id, applicationId: application.id, mandate: true, passLifecycle: true, ...wish };
      const answer = await world.rpc('StartSession', message, { token });
      if (answer.status !== 200) throw new Error(`not started: ${JSON.stringify(answer.body)}`);
      const { session, mandate } = answer.body as { session: { id: string }; mandate?: { token: string } };
      return { id: session.id, token: mandate?.token ?? '' };
    },
    delegate: async (token, wish) => {
      const message = { zoneId: zone.id, scopes: ['read'], ttlSeconds: 300, ...wish };
      const answer = await world.rpc('CreateDelegation', message, { token });
      const { edge, mandate } = answer.body as { edge?: { id: string }; mandate?: { token: string } };
      return { ...answer, edgeId: edge?.id ?? '', token: mandate?.token ?? '' };
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
  return world;
}

function peerClients(sts: StsInstallation, parts: AsyncDisposableStack) {
  const { tlsFolder, urls } = sts.installation;
  const read = (name: string): Buffer => readFileSync(join(tlsFolder, name));
  const tls = (certificate?: string) => ({
    ca: read('ca.pem'),
    servername: 'localhost',
    ...(certificate === undefined ? {} : { cert: read(`${certificate}.pem`), key: read(`${certificate}-key.pem`) }),
  });
  const dispatchers = new Map<string, Agent>();
  parts.defer(async () => {
    await Promise.all([...dispatchers.values()].map((agent) => agent.destroy()));
  });
  return {
    dispatcher: (certificate?: string): Agent => {
      const agent = dispatchers.get(certificate ?? '') ?? new Agent({ connect: tls(certificate), connections: 32 });
      dispatchers.set(certificate ?? '', agent);
      return agent;
    },
    grpc: (certificate?: string) => {
      const transport = createGrpcTransport({ baseUrl: urls.coordinator, nodeOptions: tls(certificate) });
      return createClient(CoordinatorService, transport);
    },
  };
}

interface ErrorBody {
  readonly error?: string;
  readonly details?: readonly { readonly debug?: FailureDetail }[] | FailureDetail;
}

interface FailureDetail {
  readonly reason?: string;
  readonly fields?: readonly { readonly path: string }[];
}

function plainHttp(url: string, dispatcher: (certificate?: string) => Agent) {
  return async (method: string, path: string, call: CallOptions): Promise<Answer> => {
    const body = typeof call.body === 'string' ? call.body : JSON.stringify(call.body);
    const reply = await request(`${url}${path}`, {
      method: method as 'GET',
      dispatcher: dispatcher(call.certificate),
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
        ...call.headers,
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await reply.body.text();
    return { status: reply.statusCode, headers: reply.headers, ...read(text) };
  };
}

function read(text: string): Pick<Answer, 'body' | 'reason' | 'fields'> {
  const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  const { error, details } = body as ErrorBody;
  const detail: FailureDetail = Array.isArray(details) ? (details[0]?.debug ?? {}) : ((details as FailureDetail) ?? {});
  const named = detail.reason?.replace(/^REASON_/, '').toLowerCase();
  return { body, reason: named ?? error, fields: (detail.fields ?? []).map(({ path }) => path) };
}
