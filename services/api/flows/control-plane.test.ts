import { describe, expect, test } from 'vitest';
import { Failure } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import { type ZoneId, knownId } from '#mesh/ids';
import { brokenWord, createMemoryApi } from '../outbound/memory/api-deps.ts';
import type { AdminCall, IdempotencyClaim, ZoneCall } from './admin-call.ts';
import { bindFlows } from './bind-flows.ts';
import { bootstrapAdmin } from './bootstrap-admin.ts';
import { authenticateAdmin } from './authenticate.ts';
import { silentLogger } from '#mesh/telemetry';

const admin = { tokenId: 'admin', name: 'admin', zoneId: undefined, capability: 'all' } as const;
const facts = { requestId: 'request', traceId: undefined, traceparent: undefined };
const call: AdminCall = { admin, facts, idempotency: undefined };
const keyed = (key: string, request: IdempotencyClaim['request'] = {}): IdempotencyClaim => ({
  key,
  route: 'POST /x',
  request,
});

async function setUp() {
  const api = createMemoryApi();
  const flows = bindFlows(api.deps);
  const { entity: zone } = await flows.zones.create(call, { name: 'Zone' });
  const zoneCall: ZoneCall = { ...call, zoneId: zone.id };
  const told = () => api.store.state().told;
  const since = async <T>(work: () => Promise<T>): Promise<string[]> => {
    const before = told().length;
    await work();
    return told()
      .slice(before)
      .map(({ kind }) => kind);
  };
  return { ...api, flows, zone, zoneCall, told, since };
}

async function reasonOf(work: Promise<unknown>): Promise<FailureReason | 'no failure'> {
  try {
    await work;
    return 'no failure';
  } catch (error) {
    if (error instanceof Failure) return error.reason;
    throw error;
  }
}

const resource = { identifier: 'resource://r', upstreamUrl: 'https://r.test', scopes: ['r:read'] };
const any = { kind: 'any' } as const;

describe('making a zone', () => {
  test('commits zone, evidence, notice and key together, the key last', async () => {
    const { told } = await setUp();
    expect(told().map(({ kind }) => kind)).toEqual(['mutation', 'invalidate', 'key']);
  });

  test('leaves nothing when the STS is away', async () => {
    const { world, flows, store } = await setUp();
    const before = structuredClone(store.state());
    world.stsAway = true;
    expect(await reasonOf(flows.zones.create(call, { name: 'Other' }))).toBe('sts_unavailable');
    expect(store.state()).toEqual(before);
  });

  test('numbers a derived slug that is taken and refuses a chosen one', async () => {
    const { flows } = await setUp();
    expect((await flows.zones.create(call, { name: 'zone!' })).entity.slug).toBe('zone-2');
    expect((await flows.zones.create(call, { name: '日本' })).entity.slug).toBe('zone-3');
    expect(await reasonOf(flows.zones.create(call, { name: 'x', slug: 'zone' }))).toBe('conflict');
  });

  test('refuses a time zone nobody knows', async () => {
    const { flows } = await setUp();
    const calendar = { time_zone: 'Mars/Olympus' };
    expect(await reasonOf(flows.zones.create(call, { name: 'x', calendar }))).toBe('invalid_request');
  });
});

describe('an idempotency key', () => {
  test('gives the same thing again, without its secret and without asking anyone', async () => {
    const { flows, zoneCall, asked } = await setUp();
    const withKey = { ...zoneCall, idempotency: keyed('k') };
    const first = await flows.applications.create(withKey, { name: 'app' });
    const again = await flows.applications.create(withKey, { name: 'app' });
    expect(first.once?.['client_secret']).toMatch(/^csk_/);
    expect(again).toEqual({ entity: first.entity, status: 201, replayed: true });
    expect(asked.hashSecret).toBe(1);
  });

  test('is refused for another request', async () => {
    const { flows, zoneCall } = await setUp();
    await flows.resources.create({ ...zoneCall, idempotency: keyed('k', { a: 1 }) }, resource);
    const other = flows.resources.create({ ...zoneCall, idempotency: keyed('k', { a: 2 }) }, resource);
    expect(await reasonOf(other)).toBe('conflict');
  });

  test('creates one thing for calls at the same time', async () => {
    const { flows, zoneCall, store } = await setUp();
    const withKey = { ...zoneCall, idempotency: keyed('k') };
    const created = await Promise.all(
      Array.from({ length: 8 }, () => flows.applications.create(withKey, { name: 'app' })),
    );
    expect(store.state().tables.applications.rows).toHaveLength(1);
    expect(created.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(new Set(created.map(({ entity }) => entity.id)).size).toBe(1);
  });

  test('belongs to one admin: another with the same key creates anew', async () => {
    const { flows, zoneCall, store } = await setUp();
    const own = { ...zoneCall, idempotency: keyed('k') };
    await flows.applications.create(own, { name: 'app' });
    await flows.applications.create({ ...own, admin: { ...admin, tokenId: 'other' } }, { name: 'app' });
    expect(store.state().tables.applications.rows).toHaveLength(2);
  });
});

describe('an application', () => {
  test('has a secret shown once, a hash kept, and nothing when it is public', async () => {
    const { flows, zoneCall, store } = await setUp();
    const { entity, once } = await flows.applications.create(zoneCall, { name: 'app' });
    expect(once?.['client_secret']).toMatch(/^csk_[A-Za-z0-9_-]{54}$/);
    expect(JSON.stringify(store.state().told)).not.toContain(once?.['client_secret']);
    const rotated = await flows.applications.rotateSecret(zoneCall, { id: entity.id, ifMatch: undefined });
    expect(rotated.clientSecret).not.toBe(once?.['client_secret']);
    const open = await flows.applications.create(zoneCall, { name: 'open', credentialType: 'public' });
    expect(open.once).toBeUndefined();
    const rotate = flows.applications.rotateSecret(zoneCall, { id: open.entity.id, ifMatch: undefined });
    expect(await reasonOf(rotate)).toBe('conflict');
  });

  test('that signs assertions has keys and no secret', async () => {
    const { flows, zoneCall, asked } = await setUp();
    const keys = [{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }];
    const signing = { name: 'signs', credentialType: 'public-key', publicKeys: { keys } } as const;
    const { entity, once } = await flows.applications.create(zoneCall, signing);
    expect({ once, hashed: asked.hashSecret, kept: entity.publicKeys }).toEqual({
      once: undefined,
      hashed: 0,
      kept: { keys },
    });
    const refused = async (input: object) => reasonOf(flows.applications.create(zoneCall, { name: 'x', ...input }));
    expect(await refused({ credentialType: 'public-key' })).toBe('invalid_request');
    expect(await refused({ publicKeys: { keys } })).toBe('invalid_request');
    expect(await refused({ ...signing, publicKeys: { keys: [{ ...keys[0], d: 'AA' }] } })).toBe('invalid_request');
    const offCurve = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'A'.repeat(43) };
    expect(await refused({ ...signing, publicKeys: { keys: [offCurve] } })).toBe('invalid_request');
    const rotate = flows.applications.rotateSecret(zoneCall, { id: entity.id, ifMatch: undefined });
    expect(await reasonOf(rotate)).toBe('conflict');
    const without = { id: entity.id, patch: { publicKeys: { keys: [] } }, ifMatch: any };
    expect(await reasonOf(flows.applications.update(zoneCall, without))).toBe('invalid_request');
  });

  test('ends with its anchor as the last word', async () => {
    const { flows, zoneCall, since } = await setUp();
    const { entity } = await flows.applications.create(zoneCall, { name: 'app' });
    const archive = { id: entity.id, ifMatch: undefined, waitMs: undefined };
    expect(await since(() => flows.applications.archive(zoneCall, archive))).toEqual([
      'mutation',
      'invalidate',
      'revoke',
    ]);
    expect(await reasonOf(flows.applications.get(zoneCall, entity.id))).toBe('not_found');
    expect(await reasonOf(flows.applications.archive(zoneCall, archive))).toBe('not_found');
  });

  test('changes only for who has seen its version', async () => {
    const { flows, zoneCall, store } = await setUp();
    const { entity } = await flows.applications.create(zoneCall, { name: 'app' });
    const update = (version: number) =>
      flows.applications.update(zoneCall, {
        id: entity.id,
        patch: { name: `v${version}` },
        ifMatch: { kind: 'versions', versions: [version] },
      });
    const outcomes = await Promise.all([reasonOf(update(1)), reasonOf(update(1)), reasonOf(update(1))]);
    expect(outcomes.toSorted()).toEqual(['no failure', 'version_mismatch', 'version_mismatch']);
    expect(store.state().tables.applications.rows[0]?.['version']).toBe(2);
    const empty = flows.applications.update(zoneCall, { id: entity.id, patch: {}, ifMatch: any });
    expect(await reasonOf(empty)).toBe('invalid_request');
  });
});

describe('a provider', () => {
  const input = { identifier: 'p', kind: 'bearer_token', secrets: { token: 'planted-canary' } } as const;

  test('is never told with its secret, and keeps it when other parts change', async () => {
    const { flows, zoneCall, store } = await setUp();
    const { entity } = await flows.providers.create(zoneCall, input);
    const before = structuredClone(store.state().secrets);
    expect(before.get(entity.id)).toHaveLength(1);
    const update = { id: entity.id, patch: { name: 'P' }, secrets: {}, ifMatch: any, configProblems: () => [] };
    await flows.providers.update(zoneCall, update);
    expect(JSON.stringify([...store.state().told, ...store.state().tables.providers.rows])).not.toContain('canary');
  });

  test('is not made without its secret, nor while the STS is away', async () => {
    const { flows, zoneCall, world, store } = await setUp();
    expect(await reasonOf(flows.providers.create(zoneCall, { ...input, secrets: {} }))).toBe('invalid_request');
    world.stsAway = true;
    expect(await reasonOf(flows.providers.create(zoneCall, input))).toBe('sts_unavailable');
    expect(store.state().tables.providers.rows).toHaveLength(0);
  });

  test('stays while a resource uses it', async () => {
    const { flows, zoneCall } = await setUp();
    const { entity } = await flows.providers.create(zoneCall, input);
    const made = await flows.resources.create(zoneCall, { ...resource, providerId: entity.id });
    const archive = { id: entity.id, ifMatch: undefined };
    expect(await reasonOf(flows.providers.archive(zoneCall, archive))).toBe('conflict');
    await flows.resources.update(zoneCall, { id: made.entity.id, patch: { providerId: null }, ifMatch: any });
    expect(await reasonOf(flows.providers.archive(zoneCall, archive))).toBe('no failure');
  });
});

describe('a resource', () => {
  test('is judged as the whole it becomes', async () => {
    const { flows, zoneCall } = await setUp();
    const operations = [{ method: 'GET', path: '/a', scope: 'r:read' }];
    const { entity } = await flows.resources.create(zoneCall, { ...resource, operations });
    const update = { id: entity.id, patch: { scopes: ['other'] }, ifMatch: any };
    expect(await reasonOf(flows.resources.update(zoneCall, update))).toBe('invalid_request');
  });

  test('names a provider that exists, or none', async () => {
    const { flows, zoneCall } = await setUp();
    expect(await reasonOf(flows.resources.create(zoneCall, { ...resource, providerId: 'gone' }))).toBe('not_found');
  });
});

describe('what a zone enforces', () => {
  async function withSet(contents: readonly string[] = ['package a']) {
    const setting = await setUp();
    const { flows, zoneCall } = setting;
    const policies = [];
    for (const [at, content] of contents.entries())
      policies.push((await flows.policies.create(zoneCall, { name: `p${at}`, content })).entity);
    const set = (await flows.policySets.create(zoneCall, { name: 'set' })).entity;
    const manifest = policies.map(({ version }) => ({ policyVersionId: version.id }));
    const addVersion = async (params = {}) =>
      (await flows.policySets.addVersion(zoneCall, { policySetId: set.id, manifest, params })).entity;
    const activate = (versionId: string) => flows.policySets.activate(zoneCall, { policySetId: set.id, versionId });
    return { ...setting, policies, set, addVersion, activate };
  }

  test('is no policy that does not compile', async () => {
    const { flows, zoneCall, store } = await setUp();
    const create = flows.policies.create(zoneCall, { name: 'p', content: brokenWord });
    await expect(create).rejects.toMatchObject({
      reason: 'policy_invalid',
      details: { problems: [{ line: 2, column: 3, code: 'rego_parse_error', message: 'unexpected token' }] },
    });
    expect(store.state().tables.policies.rows).toHaveLength(0);
  });

  test('has one version for one content', async () => {
    const { flows, zoneCall, policies } = await withSet();
    const policyId = policies[0]!.id;
    const same = await flows.policies.addVersion(zoneCall, { policyId, content: 'package a' });
    expect(same).toMatchObject({ status: 200, entity: { id: policies[0]!.version.id } });
    const next = await flows.policies.addVersion(zoneCall, { policyId, content: 'package b' });
    expect(next).toMatchObject({ status: 201, entity: { version: 2 } });
  });

  test('is one version at a time, told after it was recorded', async () => {
    const { addVersion, activate, since, store } = await withSet();
    const [first, second] = [await addVersion(), await addVersion({ a: 1 })];
    expect(first.digest).not.toBe(second.digest);
    expect(await since(() => activate(first.id))).toEqual(['mutation', 'activation', 'policy']);
    await activate(second.id);
    const active = store.state().tables.policySetVersions.rows.filter((row) => row['active'] === true);
    expect(active.map(({ id }) => id)).toEqual([second.id]);
    expect(await since(() => activate(second.id))).toEqual([]);
  });

  test('goes back to the version before, and nowhere when there was none', async () => {
    const { addVersion, activate, flows, zoneCall, set } = await withSet();
    const [first, second] = [await addVersion(), await addVersion({ a: 1 })];
    const back = () => flows.policySets.rollBack(zoneCall, { policySetId: set.id, versionId: undefined });
    expect(await reasonOf(back())).toBe('not_found');
    await activate(first.id);
    await activate(second.id);
    expect((await back()).id).toBe(first.id);
  });

  test('never includes a policy that was archived', async () => {
    const { addVersion, activate, flows, zoneCall, policies } = await withSet();
    const version = await addVersion();
    await flows.policies.archive(zoneCall, policies[0]!.id);
    expect(await reasonOf(activate(version.id))).toBe('conflict');
    expect(await reasonOf(addVersion())).toBe('invalid_request');
  });

  test('is nothing once its set is deactivated or archived', async () => {
    const { addVersion, activate, flows, zoneCall, set, since } = await withSet();
    const version = await addVersion();
    expect(await reasonOf(flows.policySets.deactivate(zoneCall, { policySetId: set.id }))).toBe('conflict');
    await activate(version.id);
    await flows.policySets.deactivate(zoneCall, { policySetId: set.id });
    await activate(version.id);
    const archive = { id: set.id, ifMatch: undefined };
    expect(await since(() => flows.policySets.archive(zoneCall, archive))).toEqual([
      'mutation',
      'activation',
      'policy',
    ]);
    expect(await reasonOf(activate(version.id))).toBe('not_found');
  });

  test('stays as it was while the STS is away', async () => {
    const { addVersion, activate, world, store } = await withSet();
    const version = await addVersion();
    world.stsAway = true;
    expect(await reasonOf(activate(version.id))).toBe('sts_unavailable');
    expect(store.state().tables.policySetVersions.rows[0]?.['active']).toBe(false);
  });

  test('takes each policy once, of this zone', async () => {
    const { flows, zoneCall, set, policies } = await withSet();
    const policyVersionId = policies[0]!.version.id;
    const add = (ids: readonly string[]) =>
      flows.policySets.addVersion(zoneCall, {
        policySetId: set.id,
        manifest: ids.map((id) => ({ policyVersionId: id })),
      });
    expect(await reasonOf(add([policyVersionId, policyVersionId]))).toBe('invalid_request');
    expect(await reasonOf(add(['nobody']))).toBe('invalid_request');
  });

  test('is reported as arrived when the STS says the same', async () => {
    const { addVersion, activate, flows, zoneCall, set } = await withSet();
    const version = await addVersion();
    expect(await flows.policySets.status(zoneCall, set.id)).toMatchObject({ propagated: true });
    await activate(version.id);
    expect(await flows.policySets.status(zoneCall, set.id)).toMatchObject({
      activeVersionId: version.id,
      propagated: true,
    });
  });
});

describe('revoking', () => {
  const anchors = [{ kind: 'subject', id: 'user:x:y' }] as const;

  test('writes its anchors last and waits only when asked', async () => {
    const { flows, zoneCall, since } = await setUp();
    const revoke = { anchors, reason: 'r', waitMs: undefined };
    expect(await since(() => flows.revocations.create(zoneCall, revoke))).toEqual(['mutation', 'revoke']);
    const waited = await flows.revocations.create(zoneCall, { ...revoke, waitMs: 1000 });
    expect(waited.entity).toMatchObject({ revocationNumber: 2, barrier: { applied: true, points: 2 } });
  });

  test('stands although a point did not answer in time', async () => {
    const { flows, zoneCall, world, told } = await setUp();
    world.barrierBlocked = true;
    const revoke = flows.revocations.create(zoneCall, { anchors, reason: 'r', waitMs: 1 });
    await expect(revoke).rejects.toMatchObject({ reason: 'barrier_timeout', details: { missing: ['gateway/a'] } });
    expect(told().at(-1)).toMatchObject({ kind: 'revoke' });
  });

  test('revokes once under one key', async () => {
    const { flows, zoneCall } = await setUp();
    const withKey = { ...zoneCall, idempotency: keyed('k') };
    const revoke = { anchors, reason: 'r', waitMs: undefined };
    const [first, again] = [
      await flows.revocations.create(withKey, revoke),
      await flows.revocations.create(withKey, revoke),
    ];
    expect(again).toMatchObject({ replayed: true, entity: { revocationNumber: first.entity.revocationNumber } });
  });

  test('names the zone by its own id', async () => {
    const { flows, zoneCall } = await setUp();
    const revoke = { anchors: [{ kind: 'zone' as const, id: 'other' }], reason: 'r', waitMs: undefined };
    expect(await reasonOf(flows.revocations.create(zoneCall, revoke))).toBe('invalid_request');
  });
});

describe('an archived zone', () => {
  test('exists for nobody', async () => {
    const { flows, zoneCall } = await setUp();
    await flows.zones.archive(zoneCall, { ifMatch: undefined, waitMs: undefined });
    const page = { limit: 10, cursor: undefined };
    const attempts = [
      flows.zones.get(zoneCall),
      flows.applications.page(zoneCall, page),
      flows.applications.create(zoneCall, { name: 'x' }),
      flows.resources.create(zoneCall, resource),
      flows.policies.create(zoneCall, { name: 'x', content: 'package x' }),
      flows.revocations.create(zoneCall, { anchors: [], reason: 'r', waitMs: undefined }),
      flows.audit.byRequest(zoneCall, 'known'),
      flows.agentSessions.page(zoneCall, { ...page, states: [] }),
      flows.agentSessions.end(zoneCall, { sessionId: 's', reason: 'r', waitApplied: false }),
    ];
    for (const attempt of attempts) expect(await reasonOf(attempt)).toBe('not_found');
  });
});

describe('reading the ledger', () => {
  test('shows no credential that an event carries', async () => {
    const { flows, zoneCall } = await setUp();
    const search = { sinceMs: undefined, untilMs: undefined, decision: undefined, eventTypes: [], limit: 1 };
    const rest = { requestId: undefined, applicationId: undefined, cursor: undefined };
    const page = await flows.audit.search(zoneCall, { ...search, ...rest });
    expect(page.items).toEqual([{ seq: 1, metadata: { client_secret: '[redacted]' } }]);
    expect(await reasonOf(flows.audit.byRequest(zoneCall, 'unknown'))).toBe('not_found');
  });
});

describe('admin tokens', () => {
  test('open what they are for until they are revoked', async () => {
    const { flows, deps, zone } = await setUp();
    const input = { name: 'ci', capability: 'write', zoneId: zone.id } as const;
    const { entity, once } = await flows.adminTokens.create(call, input);
    const token = once?.['token'] ?? '';
    expect(await authenticateAdmin(deps, token)).toMatchObject({ zoneId: zone.id, capability: 'write' });
    await flows.adminTokens.revoke(call, entity.id);
    expect(await reasonOf(authenticateAdmin(deps, token))).toBe('invalid_admin_token');
    expect(await reasonOf(flows.adminTokens.revoke(call, entity.id))).toBe('not_found');
    const elsewhere = flows.adminTokens.create(call, { ...input, zoneId: knownId<ZoneId>('gone') });
    expect(await reasonOf(elsewhere)).toBe('not_found');
  });

  test('of the environment stand after every start, and end when another takes their place', async () => {
    const { deps } = await setUp();
    const start = (token: string) => bootstrapAdmin(deps, token, silentLogger);
    await start('first');
    await start('first');
    expect(await authenticateAdmin(deps, 'first')).toMatchObject({ capability: 'all' });
    await start('second');
    expect(await reasonOf(authenticateAdmin(deps, 'first'))).toBe('invalid_admin_token');
    expect(await authenticateAdmin(deps, 'second')).toMatchObject({ name: 'bootstrap' });
  });

  test.each([undefined, '', 'x'.repeat(5000), 'Second', 'second '])('are not %j', async (bearer) => {
    const { deps } = await setUp();
    await bootstrapAdmin(deps, 'second', silentLogger);
    expect(await reasonOf(authenticateAdmin(deps, bearer))).toBe('invalid_admin_token');
  });
});
