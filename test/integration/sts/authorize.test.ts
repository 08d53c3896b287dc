import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Reason } from '#gen/caracal/failure/v1/failure_pb';
import { sha256 } from '#mesh/canonical';
import { newId } from '#mesh/ids';
import { parseMandate } from '#mesh/mandate';
import { openAuthorize } from './authorize-client.ts';
import type { Asked, AuthorizeClient, Outcome } from './authorize-client.ts';
import { allowAll, claimsOf, startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

let sts: StsInstallation;
let zone: TestZone;
let app: TestApplication;
let gateway: AuthorizeClient;
const calendar = 'resource://calendar';
const bearerApi = 'resource://bearer';
const keyApi = 'resource://keyed';
const own = 'resource://own';
const strict = 'resource://strict';

async function provider(kind: string, config: object, secret?: string): Promise<string> {
  const id = newId();
  await sts.sql(
    "INSERT INTO api.providers (id, zone_id, identifier, name, kind, config) VALUES ($1, $2, $3, 'provider', $4, $5)",
    [id, zone.id, `provider-${id}`, kind, JSON.stringify(config)],
  );
  if (secret === undefined) return id;
  const rowId = newId();
  const location = { table: 'api.provider_secrets', column: 'envelope', rowId };
  const { envelope } = await sts
    .peer('api')
    .client.sealSecret({ zoneId: zone.id, ...location, secret: Buffer.from(secret) });
  await sts.sql(
    'INSERT INTO api.provider_secrets (provider_id, zone_id, name, envelope, row_id) VALUES ($1, $2, $3, $4, $5)',
    [id, zone.id, 'token', Buffer.from(envelope), rowId],
  );
  return id;
}

beforeAll(async () => {
  sts = await startSts();
  zone = await sts.zone();
  app = await sts.application(zone);
  await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
  const bearer = await provider('bearer_token', { allowed_hosts: ['upstream.test'] }, 'upstream-canary');
  await sts.resource(zone, { identifier: bearerApi, scopes: ['x'], providerId: bearer });
  const keyed = await provider('api_key', { header_name: 'X-Upstream-Key' }, 'key-canary');
  await sts.resource(zone, { identifier: keyApi, scopes: ['x'], providerId: keyed });
  const mandate = await provider('caracal_mandate', {});
  await sts.resource(zone, { identifier: own, scopes: ['own:read', 'own:write'], providerId: mandate });
  await sts.resource(zone, {
    identifier: strict,
    scopes: ['s:read', 's:write'],
    operationEnforcement: true,
    operations: [
      { method: 'GET', path: '/items/*', scope: 's:read' },
      { method: 'POST', path: '/items/**', scope: 's:write' },
    ],
  });
  await sts.policy(zone, [allowAll]);
  gateway = await openAuthorize(sts);
}, 120_000);
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await sts?.[Symbol.asyncDispose]();
});

const ambient = async (resource: string, scope?: string): Promise<string> =>
  String((await sts.token(app, { resource, scope })).body['access_token']);
const ask = async (asked: Partial<Asked> & { resource: string }): Promise<Outcome> =>
  gateway.ask({ zoneId: zone.id, ...asked });

function expectRefused(outcome: Outcome, reason: Reason): void {
  expect(outcome.kind).toBe('refused');
  expect(outcome.value).toMatchObject({ reason, eventId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
}

describe('a governed call', () => {
  it('is allowed with everything the Gateway needs, and answers by digest too', async () => {
    const mandate = await ambient(calendar, 'calendar:read');
    const outcome = await ask({ mandate, resource: calendar });
    expect(outcome.kind).toBe('allowed');
    expect(outcome.value).toMatchObject({
      scopes: ['calendar:read'],
      upstreamUrl: 'http://upstream.test',
      reusable: true,
      injection: { headerName: '', headerValue: '' },
      resourceVersion: 1n,
      policyDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
      inputDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
      eventId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const again = await ask({ mandateDigest: sha256(mandate), resource: calendar });
    expect(again.kind).toBe('allowed');
    const unknown = await ask({ mandateDigest: sha256('never sent'), resource: calendar });
    expect(unknown.value).toMatchObject({ reason: Reason.INVALID_REQUEST, description: 'unknown mandate digest' });
  });

  it('takes a per_call mandate for its own audience, and never reuses its verdict', async () => {
    const subject_token = await ambient(calendar);
    const reply = await sts.token(app, { subject_token, resource: calendar, scope: 'calendar:read' });
    const outcome = await ask({ mandate: String(reply.body['access_token']), resource: calendar });
    expect(outcome).toMatchObject({ kind: 'allowed', value: { reusable: false, scopes: ['calendar:read'] } });
    expectRefused(await ask({ mandate: String(reply.body['access_token']), resource: own }), Reason.INVALID_TOKEN);
  });

  it('is refused for another resource, another zone, a broken and a missing token', async () => {
    const mandate = await ambient(calendar);
    expectRefused(await ask({ mandate, resource: own }), Reason.INVALID_TOKEN);
    expectRefused(await ask({ mandate, resource: calendar, zoneId: (await sts.zone()).id }), Reason.INVALID_TOKEN);
    expectRefused(await ask({ mandate: `${mandate}x`, resource: calendar }), Reason.INVALID_TOKEN);
    expectRefused(await ask({ mandate: '', resource: calendar }), Reason.INVALID_TOKEN);
    expectRefused(await ask({ mandate, resource: calendar, method: 'get' }), Reason.INVALID_REQUEST);
    expectRefused(await ask({ mandate, resource: calendar, path: 'no-slash' }), Reason.INVALID_REQUEST);
    expectRefused(await ask({ mandate, resource: calendar, deadlineMs: 0 }), Reason.INVALID_REQUEST);
  });

  it('needs the scope of its operation, and an operation where the resource insists', async () => {
    const reader = await ambient(strict, 's:read');
    const read = await ask({ mandate: reader, resource: strict, path: '/items/7' });
    expect(read).toMatchObject({ kind: 'allowed', value: { scopes: ['s:read'] } });
    const write = await ask({ mandate: reader, resource: strict, method: 'POST', path: '/items/7/x' });
    expectRefused(write, Reason.INSUFFICIENT_SCOPE);
    expect(write.value).toMatchObject({ requiredScopes: ['s:write'] });
    expectRefused(await ask({ mandate: reader, resource: strict, path: '/other' }), Reason.ACCESS_DENIED);
    expectRefused(await ask({ mandate: reader, resource: strict, path: '/items/' }), Reason.ACCESS_DENIED);
  });

  it('is refused once an anchor is applied, in the very next question', async () => {
    const reply = await sts.token(app, { resource: calendar });
    const mandate = String(reply.body['access_token']);
    expect((await ask({ mandate, resource: calendar })).kind).toBe('allowed');
    const anchors = JSON.stringify([{ kind: 'session', anchor: claimsOf(reply).sid }]);
    await sts.inZone(zone.id, 'SELECT sts_pub.revoke($1, $2, $3)', [zone.id, anchors, 'test']);
    await expect.poll(async () => (await ask({ mandate, resource: calendar })).kind).toBe('refused');
    expectRefused(await ask({ mandate, resource: calendar }), Reason.TOKEN_REVOKED);
  });
});

describe('what goes upstream', () => {
  it('is the sealed credential in the header its provider names', async () => {
    const bearer = await ask({ mandate: await ambient(bearerApi), resource: bearerApi });
    expect(bearer.value).toMatchObject({
      injection: { headerName: 'authorization', headerValue: 'Bearer upstream-canary' },
      allowedHosts: ['upstream.test'],
    });
    const keyed = await ask({ mandate: await ambient(keyApi), resource: keyApi });
    expect(keyed.value).toMatchObject({ injection: { headerName: 'x-upstream-key', headerValue: 'key-canary' } });
    const log = sts.installation.process('sts').log();
    expect(log).not.toMatch(/canary/);
  });

  it('is never the presented mandate but a 60-second one for this resource and operation', async () => {
    const mandate = await ambient(own, 'own:read');
    const outcome = await ask({ mandate, resource: own });
    expect(outcome.kind).toBe('allowed');
    const value = outcome.kind === 'allowed' ? (outcome.value.injection?.headerValue ?? '') : '';
    expect(value).toMatch(/^Bearer /);
    const minted = parseMandate(value.slice('Bearer '.length));
    expect(minted?.claims).toMatchObject({
      use: 'per_call',
      via: 'gateway',
      aud: [own],
      target: [own],
      scope: 'own:read',
    });
    expect((minted?.claims.exp ?? 0) - (minted?.claims.iat ?? 0)).toBeLessThanOrEqual(60);
    expectRefused(await ask({ mandate: value.slice('Bearer '.length), resource: own }), Reason.INVALID_TOKEN);
    const reused = await sts.token(app, { subject_token: value.slice('Bearer '.length), resource: own });
    expect(reused.status).toBe(401);
  });

  it('is nothing when an envelope was moved to another row', async () => {
    const id = await provider('bearer_token', {}, 'moved');
    await sts.sql('UPDATE api.provider_secrets SET row_id = $2 WHERE provider_id = $1', [id, newId()]);
    const identifier = 'resource://moved';
    await sts.resource(zone, { identifier, scopes: ['x'], providerId: id });
    const outcome = await ask({ mandate: await ambient(identifier), resource: identifier });
    expect(outcome.kind).toBe('refused');
  });
});

describe('the stream', () => {
  it('opens only for a Gateway that proves the shared key on this connection', async () => {
    await expect(openAuthorize(sts, { key: Buffer.alloc(32, 7) })).rejects.toThrow();
    await expect(openAuthorize(sts, { exporter: Buffer.alloc(32) })).rejects.toThrow();
    await expect(openAuthorize(sts, { spiffeId: 'spiffe://caracal.dev/caracal/api' })).rejects.toThrow();
    await expect(openAuthorize(sts, { service: 'api' })).rejects.toThrow();
  });

  it('answers many questions at once, in any order, each with its own event', async () => {
    const mandate = await ambient(calendar);
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => ask({ mandate, resource: calendar, path: `/${n % 20}` })),
    );
    const ids = new Set(outcomes.map(({ value }) => value.eventId));
    expect(outcomes.every(({ kind }) => kind === 'allowed')).toBe(true);
    expect(ids.size).toBe(200);
  });

  it('ends when a question takes an id that was used, and when a second hello comes', async () => {
    const repeated = await openAuthorize(sts);
    const value = { id: 1n, deadlineMs: 1000, zoneId: zone.id, resource: calendar, method: 'GET', path: '/' };
    repeated.send({ case: 'question', value });
    repeated.send({ case: 'question', value });
    await expect(repeated.ended).rejects.toThrow();
    const second = await openAuthorize(sts);
    second.send({ case: 'hello', value: {} });
    await expect(second.ended).rejects.toThrow();
  });
});
