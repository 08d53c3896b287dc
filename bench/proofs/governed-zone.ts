// What clients of one zone do to an installation, with what they saw of it: exchanges, governed calls, sessions, the
// ledger. Nothing here tries again or hides a failure, because a proof counts both.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient, type Client } from '@connectrpc/connect';
import { Agent, request } from 'undici';
import { AuditService } from '#gen/caracal/audit/v1/audit_pb';
import { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { createPeerTransport } from '#mesh/rpc';
import { newId } from '#mesh/ids';
import { createClient as createHttpClient } from '../../dev/demo/client.ts';
import { createWorld } from '../../dev/demo/world.ts';
import type { ProofInstallation } from './installation.ts';
import { startUpstream, type ProofUpstream } from './upstream.ts';

/** A zone with one application and one resource at the proof's upstream. */
export interface ZoneFacts {
  readonly zoneId: string;
  readonly applicationId: string;
  readonly clientSecret: string;
  readonly resource: string;
}

/** What a client saw of one request. */
export interface Seen {
  readonly requestId: string;
  /** 0 when the connection failed or nothing came in time. */
  readonly status: number;
  /** The reason of a refusal, `served` for 2xx, `failed` for no answer. */
  readonly reason: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly path?: string;
  readonly requestId?: string;
  /** Of one replica; the first Gateway's when absent. */
  readonly gatewayUrl?: string;
}

export type FormFields = Readonly<Record<string, string>>;

export interface GovernedZone extends AsyncDisposable {
  readonly facts: ZoneFacts;
  readonly upstream: ProofUpstream;
  readonly coordinator: Client<typeof CoordinatorService>;
  readonly audit: Client<typeof AuditService>;
  readonly dispatcher: Agent;
  call(mandate: string, options?: CallOptions): Promise<Seen>;
  /** The token endpoint, as the zone's application; the first STS's unless a replica is named. */
  token(fields: FormFields, requestId?: string, stsUrl?: string): Promise<Seen>;
  /** The admin API. */
  admin(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, json?: unknown): Promise<Seen>;
}

/** A client that has waited this long gives up; longer than every deadline of the services together. */
const patienceMs = 15_000;
const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Makes the zone over the API, the way its administrator would. */
export async function makeZone({ urls, tlsFolder, upstreamPort, stack }: ProofInstallation): Promise<ZoneFacts> {
  await using client = createHttpClient(join(tlsFolder, 'ca.pem'));
  const administrator = { client, places: urls, adminToken: stack.secrets.adminToken };
  return await createWorld(administrator, {
    url: `http://127.0.0.1:${upstreamPort}`,
    apiKey: randomBytes(16).toString('hex'),
  });
}

/** Clients of the zone, and the upstream behind its resource. */
export async function openGovernedZone(installation: ProofInstallation, facts: ZoneFacts): Promise<GovernedZone> {
  const parts = new AsyncDisposableStack();
  const file = (name: string): string => join(installation.tlsFolder, name);
  const upstream = parts.use(await startUpstream(installation.upstreamPort));
  const dispatcher = new Agent({ connect: { ca: readFileSync(file('ca.pem')) } });
  parts.defer(async () => dispatcher.destroy());
  const tls = { certFile: file('operator.pem'), keyFile: file('operator-key.pem'), caFile: file('ca.pem') };
  const transport = (service: 'coordinator' | 'audit') =>
    parts.use(
      createPeerTransport({ url: installation.urls[service], expectService: service, trustDomain: 'caracal.dev', tls }),
    );
  const send = async (url: string, message: Message): Promise<Seen> => {
    const requestId = message.headers['x-request-id'] ?? newId();
    const headers = { ...message.headers, 'x-request-id': requestId };
    try {
      const response = await request(url, {
        ...message,
        headers,
        dispatcher,
        signal: AbortSignal.timeout(patienceMs),
      });
      return seenOf(requestId, response.statusCode, await response.body.text());
    } catch (error) {
      return { requestId, status: 0, reason: 'failed', body: { error: String(error) } };
    }
  };
  return {
    facts,
    upstream,
    dispatcher,
    coordinator: createClient(CoordinatorService, transport('coordinator')),
    audit: createClient(AuditService, transport('audit')),
    call: async (mandate, { method = 'GET', path = '/reports/1', requestId = newId(), gatewayUrl } = {}) =>
      send(`${gatewayUrl ?? installation.urls.gateway}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${mandate}`,
          'x-caracal-resource': facts.resource,
          'x-request-id': requestId,
        },
      }),
    token: async (fields, requestId = newId(), stsUrl = installation.urls.sts) =>
      send(`${stsUrl}/oauth/2/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-request-id': requestId },
        body: new URLSearchParams({ ...credentials(facts), ...fields }).toString(),
      }),
    admin: async (method, path, json) =>
      send(`${installation.urls.api}/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${installation.stack.secrets.adminToken}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      }),
    [Symbol.asyncDispose]: async () => parts.disposeAsync(),
  };
}

interface Message {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

function credentials(facts: ZoneFacts): FormFields {
  return {
    grant_type: grantType,
    zone_id: facts.zoneId,
    application_id: facts.applicationId,
    client_secret: facts.clientSecret,
  };
}

function seenOf(requestId: string, status: number, text: string): Seen {
  let body: Record<string, unknown> = {};
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    body = { text };
  }
  if (status >= 200 && status < 300) return { requestId, status, reason: 'served', body };
  const details = body['details'] as Record<string, unknown> | undefined;
  return { requestId, status, reason: String(details?.['reason'] ?? body['error']), body };
}

/** The mandate in an answer of the token endpoint; fails when there is none. */
export function mandateOf(seen: Seen): string {
  const token = seen.body['access_token'];
  if (typeof token === 'string') return token;
  throw new Error(`no mandate but ${seen.status} ${JSON.stringify(seen.body)}`);
}
