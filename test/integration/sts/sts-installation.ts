// An STS on real Postgres, Redis and OPA with what the API and the Coordinator would have written for it, and the calls a
// client and a peer make.
import { argon2Sync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Client as RpcClient } from '@connectrpc/connect';
import { createClient } from '@connectrpc/connect';
import pg from 'pg';
import { Agent, request } from 'undici';
import { readFileSync } from 'node:fs';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { parseMandate } from '#mesh/mandate';
import type { MandateClaims } from '#mesh/mandate';
import { createPeerTransport } from '#mesh/rpc';
import type { PeerTransport } from '#mesh/rpc';
import type { ServiceName } from '#mesh/topology';
import { startInstallation } from '../../support/installation.ts';
import type { Installation, InstallationOptions } from '../../support/installation.ts';
import { formatSecret } from '../../../services/sts/domain/client-secret.ts';

export const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface TestZone {
  readonly id: string;
  readonly checkKey: Buffer;
}

export interface TestApplication {
  readonly id: string;
  readonly secret: string;
  readonly zone: TestZone;
}

export type FormFields = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface StsInstallation extends AsyncDisposable {
  readonly installation: Installation;
  readonly url: string;
  sql<R extends object>(text: string, values?: readonly unknown[]): Promise<R[]>;
  inZone<R extends object>(zoneId: string, text: string, values?: readonly unknown[]): Promise<R[]>;
  peer(service: ServiceName): { readonly client: RpcClient<typeof StsService>; readonly transport: PeerTransport };
  zone(): Promise<TestZone>;
  application(zone: TestZone, fields?: ApplicationFields): Promise<TestApplication>;
  resource(zone: TestZone, fields: ResourceFields): Promise<string>;
  policy(zone: TestZone, sources: readonly string[], params?: JsonObject): Promise<string>;
  /** Numbers a change as the API's transaction would, so that the STS learns that it must read anew. */
  changed(
    stream: 'caracal.resources.invalidate' | 'caracal.policy.invalidate',
    zoneId: string,
    payload: JsonObject,
  ): Promise<void>;
  /** What the token endpoint answers to this application and these further fields. */
  token(application: TestApplication, fields?: FormFields): Promise<Reply>;
  post(path: string, body: string, headers?: Readonly<Record<string, string>>): Promise<Reply>;
  get(path: string): Promise<Reply>;
}

export interface ApplicationFields {
  /** Makes it authenticate with assertions these keys sign; it has no secret then. */
  readonly publicKeys?: readonly JsonObject[];
  readonly mayAct?: readonly string[];
  readonly serves?: readonly string[];
  readonly senderConstraint?: 'off' | 'allowed' | 'required';
}

export interface ResourceFields {
  readonly identifier: string;
  readonly scopes: readonly string[];
  readonly upstreamUrl?: string;
  readonly operations?: readonly { method: string; path: string; scope: string }[];
  readonly operationEnforcement?: boolean;
  readonly providerId?: string;
}

/** Allows every question; for tests that are about something else. */
export const allowAll = `package caracal.authz

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["allow-all"], "diagnostics": []}
`;

export function claimsOf(reply: Reply): MandateClaims {
  const parsed = parseMandate(String(reply.body['access_token']));
  if (!parsed) throw new Error(`no mandate in ${JSON.stringify(reply.body)}`);
  return parsed.claims;
}

export function form(fields: FormFields): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of value === undefined ? [] : [value].flat()) params.append(name, String(one));
  }
  return params.toString();
}

export function storedHash(secret: string): string {
  const nonce = randomBytes(16);
  const hash = argon2Sync('argon2id', {
    message: secret,
    nonce,
    parallelism: 2,
    tagLength: 32,
    memory: 65_536,
    passes: 3,
  });
  const plain = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');
  return `argon2id$${plain(nonce)}$${plain(hash)}`;
}

async function readReply(response: Awaited<ReturnType<typeof request>>): Promise<Reply> {
  const text = await response.body.text();
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(text) as Record<string, unknown>;
  } catch {
    body = { text };
  }
  return { status: response.statusCode, headers: response.headers, body };
}

/** Starts it; only the STS runs. */
export async function startSts(options: InstallationOptions = {}): Promise<StsInstallation> {
  const parts = new AsyncDisposableStack();
  const installation = parts.use(await startInstallation({ services: ['sts'], ...options }));
  const { tlsFolder, database } = installation;
  const pool = new pg.Pool({ connectionString: database.administratorUrl, max: 4 });
  parts.defer(async () => pool.end());
  const file = (name: string): string => join(tlsFolder, name);
  const agent = new Agent({ connect: { ca: readFileSync(file('ca.pem')), servername: 'localhost' } });
  parts.defer(async () => agent.destroy());
  const url = installation.urls.sts;
  const sql: StsInstallation['sql'] = async (text, values) => (await pool.query(text, [...(values ?? [])])).rows;
  const inZone: StsInstallation['inZone'] = async (zoneId, text, values) => {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query("SELECT set_config('caracal.zone_id', $1, true)", [zoneId]);
      const { rows } = await client.query(text, [...(values ?? [])]);
      await client.query('COMMIT');
      return rows;
    } finally {
      client.release();
    }
  };
  const post: StsInstallation['post'] = async (path, body, headers = {}) =>
    readReply(
      await request(`${url}${path}`, {
        method: 'POST',
        dispatcher: agent,
        body,
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
      }),
    );
  const peer: StsInstallation['peer'] = (service) => {
    const tls = { certFile: file(`${service}.pem`), keyFile: file(`${service}-key.pem`), caFile: file('ca.pem') };
    const transport = parts.use(createPeerTransport({ url, expectService: 'sts', trustDomain: 'caracal.dev', tls }));
    return { client: createClient(StsService, transport), transport };
  };
  const api = peer('api').client;

  const started: StsInstallation = {
    installation,
    url,
    sql,
    inZone,
    peer,
    post,
    async get(path) {
      return readReply(await request(`${url}${path}`, { dispatcher: agent }));
    },
    async zone() {
      const zone = { id: newId(), checkKey: randomBytes(32) };
      await sql('INSERT INTO api.zones (id, name, slug, secret_check_key) VALUES ($1, $2, $3, $4)', [
        zone.id,
        'zone',
        `z-${zone.id}`,
        zone.checkKey,
      ]);
      const keyId = newId();
      const made = await api.makeZoneKey({ zoneId: zone.id, keyId });
      await inZone(zone.id, 'SELECT sts_pub.install_zone_key($1, $2, $3, $4)', [
        zone.id,
        keyId,
        made.publicJwk,
        Buffer.from(made.envelope),
      ]);
      return zone;
    },
    async application(zone, fields = {}) {
      const id = newId();
      const { publicKeys, mayAct = [], serves = [], senderConstraint = 'off' } = fields;
      const secret = publicKeys ? '' : formatSecret(zone.checkKey, randomBytes(32), id);
      await sql(
        `INSERT INTO api.applications (id, zone_id, name, registration_method, credential_type, secret_hash, public_keys,
                                       may_act, serves, sender_constraint)
         VALUES ($1, $2, 'app', 'managed', $3, $4, $5, $6, $7, $8)`,
        [
          id,
          zone.id,
          publicKeys ? 'public-key' : 'token',
          publicKeys ? null : storedHash(secret),
          publicKeys ? JSON.stringify({ keys: publicKeys }) : null,
          JSON.stringify(mayAct),
          serves,
          senderConstraint,
        ],
      );
      return { id, secret, zone };
    },
    async resource(zone, fields) {
      const id = newId();
      await sql(
        `INSERT INTO api.resources (id, zone_id, identifier, slug, name, kind, upstream_url, scopes, operations,
                                    operation_enforcement, provider_id)
         VALUES ($1, $2, $3, $4, 'r', 'http', $5, $6, $7, $8, $9)`,
        [
          id,
          zone.id,
          fields.identifier,
          `r-${id}`,
          fields.upstreamUrl ?? 'http://upstream.test',
          fields.scopes,
          JSON.stringify(fields.operations ?? []),
          fields.operationEnforcement ?? false,
          fields.providerId ?? null,
        ],
      );
      return id;
    },
    async policy(zone, sources, params = {}) {
      const setId = newId();
      const versionId = newId();
      const members = sources.map((content) => ({ id: newId(), content, sha: sha256Hex(content) }));
      for (const { id, content, sha } of members) {
        const policyId = newId();
        await sql('INSERT INTO api.policies (id, zone_id, name) VALUES ($1, $2, $3)', [
          policyId,
          zone.id,
          `p-${policyId}`,
        ]);
        await sql(
          `INSERT INTO api.policy_versions (id, zone_id, policy_id, version, content, content_sha256, schema_version)
           VALUES ($1, $2, $3, 1, $4, $5, '2026-11-01')`,
          [id, zone.id, policyId, content, sha],
        );
      }
      const digest = sha256Hex(
        canonicalJson({ policies: members.map(({ id, sha }) => ({ id, content_sha256: sha })), params }),
      );
      await sql('INSERT INTO api.policy_sets (id, zone_id, name) VALUES ($1, $2, $3)', [setId, zone.id, `s-${setId}`]);
      await sql('UPDATE api.policy_set_versions SET active = false WHERE zone_id = $1 AND active', [zone.id]);
      await sql(
        `INSERT INTO api.policy_set_versions (id, zone_id, policy_set_id, version, manifest, params, digest, active, activated_at)
         VALUES ($1, $2, $3, 1, $4, $5, $6, true, now())`,
        [
          versionId,
          zone.id,
          setId,
          JSON.stringify(members.map(({ id }) => ({ policy_version_id: id }))),
          JSON.stringify(params),
          digest,
        ],
      );
      return versionId;
    },
    async changed(stream, zoneId, payload) {
      await sql(
        `WITH head AS (UPDATE api.stream_heads SET head = head + 1 WHERE stream = $1::text RETURNING head)
         INSERT INTO api.outbox (id, zone_id, stream, order_key, dedupe_key, number, payload)
         SELECT $2::text, $3::text, $1::text, $3::text, 'test:' || $2::text, head, $4::jsonb FROM head`,
        [stream, newId(), zoneId, JSON.stringify({ zoneId, ...payload })],
      );
    },
    async token(application, fields = {}) {
      const own = {
        grant_type: grantType,
        zone_id: application.zone.id,
        application_id: application.id,
        client_secret: application.secret,
      };
      return post('/oauth/2/token', form({ ...own, ...fields }));
    },
    [Symbol.asyncDispose]: async () => parts.disposeAsync(),
  };
  return started;
}
