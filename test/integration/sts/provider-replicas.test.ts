// Two STS processes and one provider: a token is asked for once whichever of them is asked, and a replica that dies while it
// asks is in nobody's way for longer than its lease.
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StsService } from '#gen/caracal/sts/v1/sts_pb';
import { newId } from '#mesh/ids';
import { createPeerTransport } from '#mesh/rpc';
import { startAuthorizationServer, type AuthorizationServer } from '#test/authorization-server';
import type { RunningReplica } from '../../support/installation.ts';
import { openAuthorize, type AuthorizeClient, type Outcome } from './authorize-client.ts';
import { allowAll, startSts, type StsInstallation, type TestApplication, type TestZone } from './sts-installation.ts';

const parts = new AsyncDisposableStack();
let server: AuthorizationServer;
let sts: StsInstallation;
let zone: TestZone;
let application: TestApplication;
let other: RunningReplica;
let first: AuthorizeClient;
let second: AuthorizeClient;

beforeAll(async () => {
  server = parts.use(await startAuthorizationServer());
  const reachable = { UPSTREAM_DEV_LOOPBACK_HOSTS: `127.0.0.1:${server.port}` };
  sts = parts.use(await startSts({ overrides: { sts: reachable } }));
  zone = await sts.zone();
  application = await sts.application(zone);
  await sts.policy(zone, [allowAll]);
  other = await sts.installation.startReplica('sts');
  first = parts.use(await openAuthorize(sts));
  const file = (name: string): string => join(sts.installation.tlsFolder, name);
  const tls = { certFile: file('gateway.pem'), keyFile: file('gateway-key.pem'), caFile: file('ca.pem') };
  const transport = parts.use(
    createPeerTransport({ url: other.url, expectService: 'sts', trustDomain: 'caracal.dev', tls }),
  );
  second = await openAuthorize({ ...sts, peer: () => ({ client: createClient(StsService, transport), transport }) });
});
afterAll(() => parts.disposeAsync());

/** A resource whose provider is this server, and a mandate for it. */
async function governed(): Promise<{ resource: string; mandate: string }> {
  const id = newId();
  const config = { token_url: `${server.url}/token`, client_id: server.clientId };
  await sts.sql(
    "INSERT INTO api.providers (id, zone_id, identifier, name, kind, config) VALUES ($1, $2, $3, 'p', 'oauth2_client_credentials', $4)",
    [id, zone.id, `provider-${id}`, JSON.stringify(config)],
  );
  const rowId = newId();
  const location = { table: 'api.provider_secrets', column: 'envelope', rowId };
  const secret = Buffer.from(server.clientSecret);
  const { envelope } = await sts.peer('api').client.sealSecret({ zoneId: zone.id, ...location, secret });
  await sts.sql(
    "INSERT INTO api.provider_secrets (provider_id, zone_id, name, envelope, row_id) VALUES ($1, $2, 'client_secret', $3, $4)",
    [id, zone.id, Buffer.from(envelope), rowId],
  );
  const resource = `resource://${id}`;
  await sts.resource(zone, { identifier: resource, scopes: ['read'], providerId: id });
  const reply = await sts.token(application, { resource });
  return { resource, mandate: String(reply.body['access_token']) };
}

const ask = async (client: AuthorizeClient, about: { resource: string; mandate: string }): Promise<Outcome> =>
  client.ask({ zoneId: zone.id, ...about, deadlineMs: 30_000 });

test('one token is asked for by two replicas that are asked a hundred times', async () => {
  server.delayMs = 300;
  const about = await governed();
  const asked = server.count('client_credentials');
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, async (_, at) => ask(at % 2 === 0 ? first : second, about)),
  );
  const values = outcomes.map((outcome) => (outcome.kind === 'allowed' ? outcome.value.injection?.headerValue : ''));
  expect(new Set(values).size).toBe(1);
  expect(values[0]).toMatch(/^Bearer at-canary/);
  expect(server.count('client_credentials')).toBe(asked + 1);
});

test('a verdict is good for no longer than its credential', async () => {
  server.delayMs = 0;
  server.expiresInSeconds = 4;
  const outcome = await ask(first, await governed());
  server.expiresInSeconds = 3600;
  if (outcome.kind !== 'allowed') throw new Error('refused');
  const { validUntilMs, injection } = outcome.value;
  expect(injection?.expiresAtMs).toBeGreaterThan(0n);
  expect(validUntilMs).toBeLessThanOrEqual(injection?.expiresAtMs ?? 0n);
});

test('a replica that is killed while it asks is waited for as long as its lease and no longer', async () => {
  const about = await governed();
  const asked = server.count('client_credentials');
  server.delayMs = 60_000;
  void ask(second, about).catch(() => undefined);
  await expect.poll(() => server.count('client_credentials')).toBe(asked + 1);
  other.process.signal('SIGKILL');
  server.delayMs = 0;
  await expect.poll(async () => (await ask(first, about)).kind, { timeout: 60_000, interval: 500 }).toBe('allowed');
  expect(server.count('client_credentials')).toBe(asked + 2);
}, 90_000);
