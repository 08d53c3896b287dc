import { tokenRequest } from '#test/exchange-world';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import type { FailureReason } from '#mesh/failure';
import { parseMandate } from '#mesh/mandate';
import type { AgentSession } from '../../domain/agent-session.ts';
import { formatSecret } from '../../domain/client-secret.ts';
import type { MemoryWorld } from '../../outbound/memory/directory-memory.ts';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import type { MemoryOptions } from '../../outbound/memory/ports-memory.ts';
import { exchangeToken } from './exchange-token.ts';
import type { TokenGrant, TokenRequest } from './token-request.ts';

function setUp(options: MemoryOptions = {}) {
  const memory = createMemoryPorts(options);
  const { application, secret } = memory.addApplication();
  memory.addResource('a', ['read', 'write']);
  memory.addResource('b', ['read', 'admin']);
  const client = { id: application.id, secret };
  const exchange = async (fields: Partial<TokenRequest> = {}): Promise<TokenGrant> =>
    exchangeToken(memory.ports, tokenRequest(memory, client, fields));
  return { ...memory, application, exchange };
}

async function reasonOf(work: Promise<unknown>): Promise<FailureReason> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error.reason;
  throw new Error('nothing was refused', { cause: error });
}

function session(applicationId: string, zoneId: string): AgentSession {
  const id = '01900000-0000-7000-8000-00000000aaaa';
  const fields = { parentId: undefined, kind: 'instance', state: 'active', depth: 0, passLifecycle: false };
  return {
    id,
    zoneId,
    applicationId,
    scopes: ['read'],
    resources: ['a'],
    sid: 's',
    expiresAtMs: Date.UTC(2027, 0, 1),
    ...fields,
  };
}

/** Sessions of these names and owners, and an edge from each to the next: e1, e2… */
function pathThrough(world: MemoryWorld, names: readonly string[], owners: readonly string[]): void {
  const at = (list: readonly string[], index: number): string => list[index] ?? '';
  const zoneId = [...world.zones.keys()][0] ?? '';
  for (const [index, id] of names.entries()) world.sessions.set(id, { ...session(at(owners, index), zoneId), id });
  for (let index = 0; index + 1 < names.length; index += 1) {
    world.edges.set(`e${index + 1}`, {
      id: `e${index + 1}`,
      parentEdgeId: index === 0 ? undefined : `e${index}`,
      sourceSessionId: at(names, index),
      targetSessionId: at(names, index + 1),
      issuerApplicationId: at(owners, index),
      receiverApplicationId: at(owners, index + 1),
      scopes: ['read'],
      resources: ['a'],
      maxHops: 3 - index,
      expiresAtMs: Date.UTC(2027, 0, 1),
      state: 'active',
    });
  }
}

describe('an exchange', () => {
  it('refuses what ends while policy is being asked', async () => {
    const ends = ['agent_session', 'application', 'zone', 'zone_key', 'subject'] as const;
    for (const kind of ends) {
      const hooks: { before?: () => void } = {};
      const world = setUp({
        judge: () => {
          hooks.before?.();
          return policyAnswer('allow');
        },
      });
      const bound = session(world.application.id, world.zone.id);
      world.world.sessions.set(bound.id, bound);
      const ids = {
        agent_session: bound.id,
        application: world.application.id,
        zone: world.zone.id,
        zone_key: 'key-1',
      };
      const id = kind === 'subject' ? world.application.id : ids[kind];
      hooks.before = () => world.ports.revocations.revoke(world.zone.id, { kind, id });
      expect(await reasonOf(world.exchange({ agentSessionId: bound.id }))).toBe('token_revoked');
      delete hooks.before;
      expect((await world.exchange({ agentSessionId: bound.id })).scopes).toEqual(['read']);
    }
  });

  it('signs the number it had applied, so that anchors before it say nothing', async () => {
    const world = setUp();
    world.ports.revocations.revoke(world.zone.id, { kind: 'application', id: world.application.id });
    const grant = await world.exchange();
    expect(parseMandate(grant.accessToken)?.claims.rev).toBe(1);
  });

  it('gives nothing along a path on which any session or application has ended', async () => {
    const world = setUp();
    const [first, second] = [world.addApplication().application, world.addApplication().application];
    const names = ['root', 'middle', 'leaf'] as const;
    const owners = [first.id, second.id, world.application.id];
    pathThrough(world.world, names, owners);
    const mint = async (): Promise<TokenGrant> => world.exchange({ agentSessionId: 'leaf', delegationEdgeId: 'e2' });
    expect((await mint()).scopes).toEqual(['read']);
    const now = world.ports.clock.now();
    for (const id of ['root', 'middle']) {
      const live = world.world.sessions.get(id);
      if (!live) throw new Error('no such session');
      for (const ended of [{ state: 'suspended' }, { expiresAtMs: now }]) {
        world.world.sessions.set(id, { ...live, ...ended });
        expect(await reasonOf(mint())).toBe('access_denied');
      }
      world.world.sessions.set(id, live);
    }
    for (const application of [first, second]) {
      world.world.applications.set(application.id, { ...application, expiresAtMs: now });
      expect(await reasonOf(mint())).toBe('access_denied');
      world.world.applications.delete(application.id);
      expect(await reasonOf(mint())).toBe('access_denied');
      world.world.applications.set(application.id, { ...application, expiresAtMs: now + 60_000 });
      expect((await mint()).expiresInSeconds).toBe(60);
      world.world.applications.set(application.id, application);
    }
    expect((await mint()).scopes).toEqual(['read']);
  });

  it('does nothing while revocation is stale', async () => {
    const world = setUp();
    world.ports.revocations.usable = false;
    expect(await reasonOf(world.exchange())).toBe('revocation_stale');
    expect(world.ports.secretVerifier.asked).toBe(0);
  });

  it('releases nothing that has no evidence', async () => {
    const world = setUp();
    world.ports.evidence.usable = false;
    expect(await reasonOf(world.exchange())).toBe('audit_unavailable');
    expect(await reasonOf(world.exchange({ credential: { kind: 'secret', secret: 'junk' } }))).toBe(
      'audit_unavailable',
    );
  });

  it('costs one derivation for a plausible secret of an application that does not exist, none for junk', async () => {
    const world = setUp();
    const unknown = '01900000-0000-7000-8000-00000000ffff';
    const plausible = formatSecret(world.zone.secretCheckKey, Buffer.alloc(32), unknown);
    expect(
      await reasonOf(world.exchange({ applicationId: unknown, credential: { kind: 'secret', secret: plausible } })),
    ).toBe('invalid_client');
    expect(world.ports.secretVerifier.asked).toBe(1);
    expect(
      await reasonOf(world.exchange({ applicationId: unknown, credential: { kind: 'secret', secret: 'junk' } })),
    ).toBe('invalid_client');
    expect(await reasonOf(world.exchange({ credential: { kind: 'secret', secret: 'junk' } }))).toBe('invalid_client');
    expect(world.ports.secretVerifier.asked).toBe(1);
  });

  it('refuses a mandate that no verifier would read, for what it is', async () => {
    const world = setUp();
    const scopes = Array.from({ length: 60 }, (_, at) => `${'s'.repeat(100)}:${at}`);
    world.addResource('wide', scopes);
    expect(await reasonOf(world.exchange({ resources: ['wide'] }))).toBe('invalid_request');
    expect((await world.exchange({ resources: ['wide'], scopes: scopes.slice(0, 30).toSorted() })).targets).toEqual([
      'wide',
    ]);
    const many = Array.from({ length: 40 }, (_, at) => `resource://${'r'.repeat(200)}/${at}`);
    for (const identifier of many) world.addResource(identifier, ['read']);
    expect(await reasonOf(world.exchange({ resources: many }))).toBe('invalid_request');
  });

  it('counts mints that name no resource, too', async () => {
    const world = setUp({ mintLimit: 1 });
    const lifecycle = { resources: [], scopes: ['agent:lifecycle'] };
    await world.exchange(lifecycle);
    expect(await reasonOf(world.exchange(lifecycle))).toBe('rate_limited');
  });

  it('answers 429 when nothing is granted but for the rate', async () => {
    const world = setUp({ mintLimit: 1 });
    await world.exchange();
    expect(await reasonOf(world.exchange())).toBe('rate_limited');
    const mixed = await world.exchange({ resources: ['a', 'b'] });
    expect(mixed.targets).toEqual(['b']);
    expect(mixed.denied).toMatchObject([{ resource: 'a', error: 'rate_limited' }]);
  });

  it('grants no pair of target and scope that policy did not allow, along any chain', async () => {
    const names = ['read', 'write', 'admin', 'other'];
    const step = fc.record({
      resources: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      scopes: fc.option(fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(step, step, fc.uniqueArray(fc.constantFrom('a', 'b')), async (first, second, denied) => {
        const allowed = new Set<string>();
        const world = setUp({
          judge: (input) => {
            const { identifier } = input['resource'] as { identifier: string };
            const { requested_scopes: scopes } = input['context'] as { requested_scopes: string[] };
            if (denied.some((name) => name === identifier)) return policyAnswer('deny');
            for (const scope of scopes) allowed.add(`${identifier} ${scope}`);
            return policyAnswer('allow');
          },
        });
        const grants: TokenGrant[] = [];
        const attempt = async (fields: Partial<TokenRequest>): Promise<void> => {
          const grant = await world.exchange(fields).catch((error: unknown) => {
            if (error instanceof Failure && error.entry.httpStatus < 500) return undefined;
            throw error;
          });
          if (grant) grants.push(grant);
        };
        await attempt(first);
        const [ambient] = grants;
        if (ambient) await attempt({ ...second, subject: { token: ambient.accessToken, type: 'access_token' } });
        for (const grant of grants) {
          for (const target of grant.targets) {
            for (const scope of grant.scopes) expect(allowed).toContain(`${target} ${scope}`);
          }
        }
        const [outer, inner] = grants;
        if (outer && inner) {
          for (const target of inner.targets) expect(outer.targets).toContain(target);
          for (const scope of inner.scopes) expect(outer.scopes).toContain(scope);
        }
      }),
      { numRuns: 200 },
    );
  });
});
