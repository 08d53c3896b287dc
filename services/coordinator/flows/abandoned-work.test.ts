import { beforeEach, describe, expect, it } from 'vitest';
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import { silentLogger } from '#mesh/telemetry';
import { ManualClock } from '#mesh/time';
import type { MandateCaller } from '../domain/caller.ts';
import { createMemorySessionGraph, type MemorySessionGraph } from '../outbound/memory/session-graph.ts';
import type { CoordinatorDeps } from '../ports/deps.ts';
import type { SessionGraph } from '../ports/session-graph.ts';
import { createDelegation } from './create-delegation.ts';
import { expireSessions } from './expire-sessions.ts';
import { startSession } from './start-session.ts';

const zoneId = 'zone' as ZoneId;
const application = 'app' as ApplicationId;
const facts = { requestId: 'request', traceId: undefined, traceparent: undefined };
const nobody = { kind: 'control-plane', zoneId } as const;

let graph: MemorySessionGraph;
let onMint: () => void;

const caller = (overrides: Partial<MandateCaller> = {}): MandateCaller => ({
  kind: 'mandate',
  zoneId,
  clientId: application,
  agentSessionId: undefined,
  scopes: ['agent:lifecycle', 'read'],
  resources: ['calendar'],
  sessionRecordId: 'sid-1',
  rev: 0,
  anchorIds: ['sid-1', application],
  bearer: 'token',
  shown: { dpop: undefined, path: '/', certificateThumbprint: undefined },
  ...overrides,
});

function depsOn(store: SessionGraph): CoordinatorDeps {
  let ids = 0;
  return {
    graph: store,
    minter: {
      mint: async () => {
        onMint();
        return { token: 'minted', expiresInSeconds: 900, scopes: [], resources: [] };
      },
    },
    barrier: {
      wait: async () => ({ applied: true, points: 1, gone: 0, elapsedMs: 1 }),
      waitForAll: async () => ({ applied: true, points: 1, gone: 0, elapsedMs: 1 }),
    },
    clock: new ManualClock(1_800_000_000_000),
    newId: () => `id-${++ids}`,
    limits: { maxDepth: 3, maxChildren: 500, maxPerZone: 500, maxPerApplication: 500, defaultTtlSeconds: 3600 },
    logger: silentLogger,
  };
}

let deps: CoordinatorDeps;

const start = (overrides: object = {}, by = caller()) =>
  startSession(
    deps,
    {
      caller: by,
      start: {
        zoneId,
        applicationId: by.clientId,
        parentId: by.agentSessionId,
        ttlSeconds: 0,
        scopes: [],
        resources: [],
        passLifecycle: false,
        mandate: false,
        idempotencyKey: undefined,
        dpopJkt: undefined,
        labels: {},
        ...overrides,
      },
    },
    facts,
  );

const delegate = (from: AgentSessionId, to: AgentSessionId, overrides: object = {}) =>
  createDelegation(
    deps,
    {
      caller: caller({ agentSessionId: from }),
      create: {
        zoneId,
        sourceSessionId: from,
        targetSessionId: to,
        parentEdgeId: undefined,
        scopes: ['read'],
        resources: [],
        maxHops: 1,
        mandateTtlSeconds: undefined,
        ttlSeconds: 60,
        mandate: false,
        idempotencyKey: undefined,
        dpopJkt: undefined,
        ...overrides,
      },
    },
    facts,
  );

const openSessions = async (): Promise<number> =>
  (await graph.list(nobody, { applicationId: undefined, states: ['active'], limit: 1000, cursor: undefined })).sessions
    .length;

beforeEach(() => {
  graph = createMemorySessionGraph();
  deps = depsOn(graph);
  onMint = () => undefined;
});

describe('a mandate that is refused', () => {
  it('takes its session with it, also when its caller was revoked meanwhile', async () => {
    onMint = () => {
      graph.refuse('sid-1');
      throw fail('token_revoked');
    };
    await expect(start({ mandate: true })).rejects.toMatchObject({ reason: 'token_revoked' });
    expect(await openSessions()).toBe(0);
    expect(graph.told().anchors).toHaveLength(1);
  });

  it('takes its edge with it', async () => {
    const root = (await start()).session;
    const child = (await start({}, caller({ agentSessionId: root.id }))).session;
    onMint = () => {
      throw fail('policy_denied');
    };
    await expect(delegate(root.id, child.id, { mandate: true })).rejects.toMatchObject({ reason: 'policy_denied' });
    const { edges } = await graph.listEdges(nobody, {
      sessionId: root.id,
      direction: 'outbound',
      limit: 10,
      cursor: undefined,
    });
    expect(edges.map(({ state }) => state)).toEqual(['revoked']);
  });

  it('frees its idempotency key', async () => {
    onMint = () => {
      throw fail('sts_unavailable');
    };
    const wish = { mandate: true, idempotencyKey: 'once' };
    await expect(start(wish)).rejects.toMatchObject({ reason: 'sts_unavailable' });
    onMint = () => undefined;
    expect(await start(wish)).toMatchObject({ replayed: false, mandate: { token: 'minted' } });
    expect(await start(wish)).toMatchObject({ replayed: true, mandate: undefined });
  });
});

describe('an idempotency key', () => {
  it('of one application says nothing to another', async () => {
    const first = await start({ idempotencyKey: 'once' });
    const other = caller({ clientId: 'other' as ApplicationId, anchorIds: ['other'] });
    const second = await start({ idempotencyKey: 'once' }, other);
    expect(second.session.id).not.toBe(first.session.id);
    await expect(start({ idempotencyKey: 'once', applicationId: application }, other)).rejects.toMatchObject({
      reason: 'conflict',
    });
    const third = caller({ clientId: 'third' as ApplicationId, anchorIds: ['third'] });
    await expect(start({ idempotencyKey: 'once', applicationId: application }, third)).rejects.toMatchObject({
      reason: 'permission_denied',
    });
  });
});

describe('a session', () => {
  it('delegates to so many others and no more', async () => {
    const root = (await start()).session;
    const child = (await start({}, caller({ agentSessionId: root.id }))).session;
    for (let count = 0; count < 256; count += 1) await delegate(root.id, child.id);
    await expect(delegate(root.id, child.id)).rejects.toMatchObject({ reason: 'delegation_limit' });
  });
});

describe('the expiry of sessions', () => {
  it('goes on past a zone that fails, and stops when there is nobody to ask', async () => {
    const [broken, sound] = [await start({ ttlSeconds: 1 }), await start({ ttlSeconds: 1 })];
    const overdue = [broken, sound].map(({ session }, at) => ({
      zoneId: (at === 0 ? 'broken' : zoneId) as ZoneId,
      sessionId: session.id,
    }));
    let reason: 'internal_error' | 'store_unavailable' = 'internal_error';
    const failing: SessionGraph = {
      ...graph,
      overdue: async () => overdue,
      change: async (change, work) => {
        if (change.caller.zoneId === 'broken') throw fail(reason);
        return graph.change(change, work);
      },
    };
    deps = depsOn(failing);
    expect(await expireSessions(deps)).toBe(1);
    expect(await openSessions()).toBe(1);
    reason = 'store_unavailable';
    await expect(expireSessions(deps)).rejects.toMatchObject({ reason: 'store_unavailable' });
  });
});
