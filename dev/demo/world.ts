/** The zone of the story, made over the API the way any platform engineer would: provider, resource, policy, application. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client, Reply } from './client.ts';
import { insist } from './telling.ts';

export interface World {
  zoneId: string;
  zoneSlug: string;
  resource: string;
  resourceSlug: string;
  applicationId: string;
  clientSecret: string;
}

export interface Places {
  api: string;
  sts: string;
  gateway: string;
  coordinator: string;
}

interface Administrator {
  client: Client;
  places: Places;
  adminToken: string;
}

export const scopes = ['reports:read', 'reports:write', 'reports:delete'];

async function create(administrator: Administrator, path: string, json: unknown): Promise<Record<string, unknown>> {
  const { client, places, adminToken } = administrator;
  const reply = await client.send(`${places.api}/v1${path}`, { bearer: adminToken, json });
  return created(reply, path);
}

function created(reply: Reply, path: string): Record<string, unknown> {
  insist(reply.status >= 200 && reply.status < 300, `POST ${path} to succeed`, reply);
  return reply.body as Record<string, unknown>;
}

const text = (value: unknown): string => String(value);

/** A zone with nothing in it but what the story needs. */
export async function createWorld(
  administrator: Administrator,
  upstream: { url: string; apiKey: string },
): Promise<World> {
  const zone = await create(administrator, '/zones', { name: 'Demo' });
  const zonePath = `/zones/${text(zone.id)}`;
  const application = await create(administrator, `${zonePath}/applications`, {
    name: 'report-agent',
    registration_method: 'managed',
    credential_type: 'token',
  });
  const provider = await create(administrator, `${zonePath}/providers`, {
    identifier: 'reports-key',
    name: 'Key of the report server',
    kind: 'api_key',
    config: { header_name: 'x-api-key' },
    secrets: { api_key: upstream.apiKey },
  });
  const resource = await create(administrator, `${zonePath}/resources`, {
    identifier: 'reports',
    name: 'Reports',
    upstream_url: upstream.url,
    scopes,
    operations: [
      { method: 'GET', path: '/reports/**', scope: 'reports:read' },
      { method: 'GET', path: '/reports', scope: 'reports:read' },
      { method: 'POST', path: '/reports', scope: 'reports:write' },
      { method: 'DELETE', path: '/reports/*', scope: 'reports:delete' },
    ],
    operation_enforcement: true,
    provider_id: provider.id,
  });
  await activatePolicy(administrator, zonePath, text(application.id));
  return {
    zoneId: text(zone.id),
    zoneSlug: text(zone.slug),
    resource: 'reports',
    resourceSlug: text(resource.slug),
    applicationId: text(application.id),
    clientSecret: text(application.client_secret),
  };
}

async function activatePolicy(administrator: Administrator, zonePath: string, application: string): Promise<void> {
  const content = readFileSync(join(import.meta.dirname, 'policy.rego'), 'utf8');
  const policy = await create(administrator, `${zonePath}/policies`, { name: 'reports', content });
  const version = policy.version as Record<string, unknown>;
  const set = await create(administrator, `${zonePath}/policy-sets`, { name: 'demo' });
  const setPath = `${zonePath}/policy-sets/${text(set.id)}`;
  const setVersion = await create(administrator, `${setPath}/versions`, {
    manifest: [{ policy_version_id: version.id }],
    params: { application },
  });
  await create(administrator, `${setPath}/activate`, { version_id: setVersion.id });
}
