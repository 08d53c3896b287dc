// A Gateway on real Postgres and Redis, with the relays that its streams need, an STS that answers as told, and an
// upstream that answers as told.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { request as tlsRequest, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { hmacSha256 } from '#mesh/canonical';
import { newId, type ZoneId } from '#mesh/ids';
import { createRelay, enqueueNumbered } from '#mesh/outbox';
import { createPool, type Database } from '#mesh/postgres';
import { createPublisher, createRedis, createStreamSigner } from '#mesh/redis';
import type { Wired } from '#mesh/runtime';
import { createLogger, silentLogger } from '#mesh/telemetry';
import { createClock } from '#mesh/time';
import { auditStreamFields, buildAuditEvent, signAuditEvent } from '#mesh/trail';
import { loadGatewayConfig } from '../../../services/gateway/config.ts';
import { wire, type Overrides } from '../../../services/gateway/wiring.ts';
import { disposableDatabase, type DisposableDatabase } from '../../support/database.ts';
import { createTestAuthority, trustDomain, type TestAuthority } from '../../support/mesh-service.ts';
import { testEndpoints } from '../../support/stack.ts';
import { startFakeSts, type FakeSts } from './fake-sts.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly trailers: Readonly<Record<string, string | undefined>>;
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: string[];
  readonly body: string;
}

export interface Upstream extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly seen: SeenRequest[];
  handle: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface Bed extends AsyncDisposable {
  readonly zoneId: ZoneId;
  readonly zoneSlug: string;
  readonly sts: FakeSts;
  readonly upstream: Upstream;
  readonly port: number;
  readonly authority: TestAuthority;
  readonly logs: string[];
  readonly wired: Wired;
  /** One call with this mandate to the resource `res`; what is given wins. */
  call(options?: CallOptions): Promise<Answer>;
  open(options?: CallOptions): Promise<{ response: IncomingMessage; destroy(): void }>;
  revoke(anchors: readonly { kind: string; anchor: string }[], zoneId?: ZoneId): Promise<void>;
  policyChanged(policySetVersionId: string): Promise<void>;
  resourceChanged(id: string): Promise<void>;
  addResource(fields?: Partial<ResourceFields>): Promise<string>;
  /** Events of the ledger's stream that say this, oldest first. */
  events(filter: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>[]>;
  sql<R extends object>(text: string, values?: readonly unknown[]): Promise<R[]>;
}

export interface ResourceFields {
  readonly identifier: string;
  readonly slug: string;
  readonly rateLimit: number | null;
  readonly oddPaths: boolean;
  readonly kind: string;
}

export interface CallOptions {
  readonly token?: string | null;
  readonly resource?: string | null;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
}

const hex = (byte: string): string => byte.repeat(64);
const keys = { streams: hex('1'), audit: hex('2'), gatewaySts: hex('3') };

export async function startUpstream(): Promise<Upstream> {
  const seen: SeenRequest[] = [];
  const upstream = {
    handle: (_request: IncomingMessage, response: ServerResponse): void => void response.end('from upstream'),
  };
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    const { method = '', url = '', headers, rawHeaders } = request;
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    const note = (): void =>
      void seen.push({ method, url, headers, rawHeaders, body: Buffer.concat(chunks).toString('latin1') });
    request.once('end', note);
    request.on('error', () => undefined);
    upstream.handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(upstream, {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

export interface BedOptions {
  /** The run's own unless given. */
  readonly redisUrl?: string;
  readonly postgres?: { readonly administratorUrl: string };
  readonly env?: Readonly<Record<string, string>>;
  readonly overrides?: Overrides;
}

export async function startBed(options: BedOptions = {}): Promise<Bed> {
  const stack = new AsyncDisposableStack();
  const endpoints = testEndpoints();
  const database = stack.use(
    await disposableDatabase(
      options.postgres === undefined ? undefined : { ...endpoints.postgres[0], ...options.postgres },
    ),
  );
  const redisUrl = options.redisUrl ?? endpoints.redisUrl;
  const keyPrefix = `gateway-${newId()}:`;
  const authority = stack.use(await createTestAuthority());
  const zoneId = newId() as ZoneId;
  const zoneSlug = `zone-${zoneId.slice(-6)}`;
  const otherZone = newId() as ZoneId;
  const upstream = stack.use(await startUpstream());
  const gatewayStsKey = Buffer.from(keys.gatewaySts, 'hex');
  const stsTls = await authority.service('sts');
  const sts = stack.use(await startFakeSts({ tls: stsTls, key: gatewayStsKey, zones: [zoneId, otherZone] }));
  sts.decide = () => ({ allow: { upstreamUrl: upstream.url } });
  const admin = new pg.Pool({ connectionString: database.administratorUrl, max: 2 });
  admin.on('error', () => undefined);
  stack.defer(async () => await admin.end());
  const sql = async <R extends object>(text: string, values: readonly unknown[] = []): Promise<R[]> =>
    (await admin.query(text, [...values])).rows as R[];
  const addResource = resourceAdder(sql, zoneId);
  await addZone(sql, zoneId, zoneSlug);
  await addResource();
  const owners = startRelays(stack, { database, redisUrl, keyPrefix });
  const files = await authority.service('gateway');
  const journal = await mkdtemp(join(tmpdir(), 'caracal-journal-'));
  stack.defer(async () => await rm(journal, { recursive: true, force: true }));
  const logs: string[] = [];
  const config = loadGatewayConfig({
    CARACAL_MODE: 'dev',
    PORT: '0',
    LISTEN_HOST: '127.0.0.1',
    TLS_CERT_FILE: files.certFile,
    TLS_KEY_FILE: files.keyFile,
    MESH_CA_FILE: files.caFile,
    MESH_TRUST_DOMAIN: trustDomain,
    DATABASE_URL: database.urls.gateway,
    REDIS_URL: redisUrl,
    STREAMS_HMAC_KEY: keys.streams,
    AUDIT_HMAC_KEY: keys.audit,
    GATEWAY_STS_HMAC_KEY: keys.gatewaySts,
    AUDIT_REPLAY_DIR: journal,
    STS_URL: sts.url,
    ISSUER_URL: sts.issuer,
    GATEWAY_PUBLIC_URLS: 'https://gateway.test',
    UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${upstream.port},localhost:${upstream.port},upstream.test`,
    ...options.env,
  });
  const logger = createLogger({ service: 'gateway', level: 'debug', write: (line) => void logs.push(line) });
  const wired = await wire(config, { logger, redisKeyPrefix: keyPrefix, ...options.overrides });
  stack.use(wired);
  await wired.start();
  const { port } = await wired.listener.listen();
  const open = opener({ port, ca: files.ca, mandate: () => sts.mandate(zoneId) });
  return {
    zoneId,
    zoneSlug,
    sts,
    upstream,
    port,
    authority,
    logs,
    wired,
    open,
    call: async (callOptions) => await whole(await open(callOptions)),
    revoke: async (anchors, zone = zoneId) => {
      await owners.sts.inZone(zone, async (tx) => {
        await tx.query('SELECT sts_pub.revoke($1, $2, $3)', [zone, JSON.stringify(anchors), 'test']);
      });
    },
    policyChanged: async (policySetVersionId) => {
      await owners.api.inZone(zoneId, async (tx) => {
        const payload = { zone_id: zoneId, policy_set_id: 'set-1', policy_set_version_id: policySetVersionId };
        await enqueueNumbered(tx, { stream: 'caracal.policy.invalidate', zoneId, payload });
      });
    },
    resourceChanged: async (id) => {
      await owners.api.inZone(zoneId, async (tx) => {
        const payload = { zone_id: zoneId, kind: 'resource', id, version: 2 };
        await enqueueNumbered(tx, { stream: 'caracal.resources.invalidate', zoneId, payload });
      });
    },
    addResource,
    events: eventReader({ redisUrl, keyPrefix, stack }),
    sql,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

type Sql = Bed['sql'];

async function addZone(sql: Sql, id: string, slug: string): Promise<void> {
  const check = hmacSha256(Buffer.from(keys.audit, 'hex'), id);
  await sql('INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, $2, $3, $4)', [
    id,
    slug,
    slug,
    check,
  ]);
}

function resourceAdder(sql: Sql, zoneId: string): Bed['addResource'] {
  return async (fields = {}) => {
    const id = newId();
    const { identifier = 'res', slug = identifier, rateLimit = null, oddPaths = false, kind = 'http' } = fields;
    await sql(
      `INSERT INTO api.resources (id, zone_id, identifier, slug, name, kind, upstream_url, scopes, rate_limit_per_min, allow_odd_paths)
       VALUES ($1, $2, $3, $4, $5, $6, 'http://unused.test', '{read}', $7, $8)`,
      [id, zoneId, identifier, slug, identifier, kind, rateLimit, oddPaths],
    );
    return id;
  };
}

/** What STS and API publish from their outboxes, and their databases to write into. */
function startRelays(
  stack: AsyncDisposableStack,
  { database, redisUrl, keyPrefix }: { database: DisposableDatabase; redisUrl: string; keyPrefix: string },
): Record<'sts' | 'api', Database> {
  const signer = createStreamSigner({ current: Buffer.from(keys.streams, 'hex') });
  const logger = silentLogger;
  const open = (service: 'sts' | 'api' | 'coordinator'): Database => {
    const owner = stack.use(createPool({ service, connectionString: database.urls[service], max: 4, logger }));
    const redis = stack.use(createRedis({ url: redisUrl, db: 0, name: `${service}-relay`, logger, keyPrefix }));
    const relay = stack.use(
      createRelay({
        database: owner,
        service,
        publisher: createPublisher({ redis, signer }),
        ledgerFields: (draft, origin) => {
          const data = buildAuditEvent(draft, origin);
          return auditStreamFields({ id: origin.id, data, sig: signAuditEvent(data, Buffer.from(keys.audit, 'hex')) });
        },
        pollMs: 100,
        batchSize: 32,
        maxAttempts: 10,
        clock: createClock(),
        logger,
      }),
    );
    relay.start();
    return owner;
  };
  open('coordinator');
  return { sts: open('sts'), api: open('api') };
}

function opener({ port, ca, mandate }: { port: number; ca: string; mandate: () => string }): Bed['open'] {
  return async (options = {}) => {
    const { token = mandate(), resource = 'res', method = 'GET', path = '/', headers = {}, body, signal } = options;
    const request: RequestOptions = {
      host: '127.0.0.1',
      servername: 'localhost',
      port,
      ca,
      method,
      path,
      agent: false,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(resource === null ? {} : { 'x-caracal-resource': resource }),
        ...headers,
      },
    };
    return await new Promise((resolve, reject) => {
      const sent = tlsRequest(request, (response) => resolve({ response, destroy: () => void sent.destroy() }));
      sent.on('error', reject);
      sent.end(body);
    });
  };
}

export async function whole({ response }: { response: IncomingMessage }): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString('utf8'),
    trailers: response.trailers,
  };
}

function eventReader(options: { redisUrl: string; keyPrefix: string; stack: AsyncDisposableStack }): Bed['events'] {
  const { redisUrl, keyPrefix, stack } = options;
  const redis = stack.use(createRedis({ url: redisUrl, db: 0, name: 'reader', logger: silentLogger, keyPrefix }));
  return async (filter) => {
    await redis.untilUp(AbortSignal.timeout(5000));
    const reply = (await redis.call('XRANGE', redis.key('caracal.audit.events'), '-', '+')) as [string, string[]][];
    const events = reply.map(([, fields]) => {
      const data = fields[fields.indexOf('data') + 1] ?? '{}';
      const event = JSON.parse(data) as Record<string, unknown>;
      return { ...(event['metadata'] as object), ...event };
    });
    return events.filter((event) =>
      Object.entries(filter).every(([name, value]) => (event as Record<string, unknown>)[name] === value),
    );
  };
}

/** Looks until the condition holds; the ceiling is for a loaded machine. */
export async function until(condition: () => boolean | Promise<boolean>, what = 'the condition'): Promise<void> {
  const endAtMs = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > endAtMs) throw new Error(`${what} did not come to hold`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
