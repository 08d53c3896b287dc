// An API process among real Postgres, Redis, STS, Coordinator and Audit, and the calls an administrator makes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { Agent, request } from 'undici';
import { startInstallation } from '../../support/installation.ts';
import type { Installation, InstallationOptions } from '../../support/installation.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Members of the JSON answer; empty when it is none. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly token?: string | undefined;
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly rawBody?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiInstallation extends AsyncDisposable {
  readonly installation: Installation;
  /** As the bootstrap administrator unless told otherwise; `token: ''` sends none. */
  call(method: string, path: string, options?: CallOptions): Promise<Reply>;
  sql<R extends object>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Makes a zone and gives its id. */
  zone(name?: string): Promise<string>;
}

/** Allows what is asked; for tests that are about something else. */
export const allowAll = `package caracal.authz

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["allow-all"], "diagnostics": []}
`;

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The text of a member that has to be one. */
export function textOf(reply: Reply, name: string): string {
  const value = reply.body[name];
  if (typeof value !== 'string') throw new Error(`no ${name} in ${reply.status} ${reply.text}`);
  return value;
}

export async function startApi(options: InstallationOptions = {}): Promise<ApiInstallation> {
  const parts = new AsyncDisposableStack();
  const installation = parts.use(await startInstallation({ services: ['sts', 'api'], ...options }));
  const ca = readFileSync(join(installation.tlsFolder, 'ca.pem'));
  const agent = new Agent({ connect: { ca, servername: 'localhost' }, connections: 32 });
  parts.defer(async () => agent.destroy());
  const pool = new pg.Pool({ connectionString: installation.database.administratorUrl, max: 4 });
  parts.defer(async () => pool.end());

  const call: ApiInstallation['call'] = async (method, path, given = {}) => {
    const { token = installation.adminToken, body, rawBody, headers } = given;
    const content = rawBody ?? (body === undefined ? undefined : JSON.stringify(body));
    const answer = await request(`${installation.urls.api}${path}`, {
      method: method as 'GET',
      dispatcher: agent,
      ...(content === undefined ? {} : { body: content }),
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(content === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text, body: parsed(text) };
  };
  return {
    installation,
    call,
    sql: async (text, values) => (await pool.query(text, [...(values ?? [])])).rows,
    zone: async (name = 'zone') => textOf(await call('POST', '/v1/zones', { body: { name } }), 'id'),
    [Symbol.asyncDispose]: async () => parts.disposeAsync(),
  };
}
