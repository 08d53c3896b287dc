import { beforeEach, describe, expect, it } from 'vitest';
import { fail } from '#mesh/failure';
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import { ManualClock } from '#mesh/time';
import type { ControlPlaneCaller, MandateCaller } from '../domain/caller.ts';
import { createMemorySessionGraph, type MemorySessionGraph } from '../outbound/memory/session-graph.ts';
import type { CoordinatorDeps } from '../ports/deps.ts';
import type { SessionMandateWish } from '../ports/session-minter.ts';
import { createDelegation } from './create-delegation.ts';
import { endSession } from './end-session.ts';
import { getSession } from './read-sessions.ts';
import { renewSessionMandate } from './renew-session-mandate.ts';
import { revokeDelegation } from './revoke-delegation.ts';
import { type StartSession, startSession } from './start-session.ts';

const zoneId = 'zone' as ZoneId;
const application = 'app' as ApplicationId;
const facts = { requestId: 'request', traceId: undefined, traceparent: undefined };
const controlPlane: ControlPlaneCaller = { kind: 'control-plane', zoneId };

let graph: MemorySessionGraph;
let deps: CoordinatorDeps;
let minted: SessionMandateWish[];
let mintFails: boolean;

const caller = (overrides: Partial<MandateCaller> = {}): MandateCaller => ({
  kind: 'mandate',
  zoneId,
  clientId: application,
  agentSessionId: undefined,
  scopes: ['agent:lifecycle', 'read', 'write'],
  resources: ['calendar'],
  sessionRecordId: 'sid-1',
  rev: 0,
  anchorIds: ['sid-1', application],
  bearer: 'token',
  shown: { dpop: undefined, path: '/', certificateThumbprint: undefined },
  ...overrides,
});

const start = (overrides: Partial<StartSession> = {}, by = caller({ agentSessionId: overrides.parentId })) =>
  startSession(
    deps,
    {
      caller: by,
      start: {
        zoneId,
        applicationId: application,
        parentId: undefined,
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
        maxHops: 2,
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

const end = (sessionId: AgentSessionId, by: MandateCaller | ControlPlaneCaller = caller()) =>
  endSession(deps, { caller: by, end: { sessionId, reason: 'done', waitApplied: false, deadlineMs: 0 } }, facts);

beforeEach(() => {
  graph = createMemorySessionGraph();
  minted = [];
  mintFails = false;
  let ids = 0;
  deps = {
    graph,
    minter: {
      mint: async (_caller, wish) => {
        if (mintFails) throw fail('policy_denied');
        minted.push(wish);
        return { token: 'minted', expiresInSeconds: 900, scopes: [], resources: [] };
      },
    },
    barrier: {
      wait: async () => ({ applied: true, points: 1, gone: 0, elapsedMs: 1 }),
      waitForAll: async () => ({ applied: true, points: 2, gone: 0, elapsedMs: 1 }),
    },
    clock: new ManualClock(1_800_000_000_000),
    newId: () => `id-${++ids}`,
    limits: { maxDepth: 3, maxChildren: 2, maxPerZone: 4, maxPerApplication: 3, defaultTtlSeconds: 3600 },
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: () => undefined,
      child: () => deps.logger,
    },
  };
});

describe('starting', () => {
  it('answers a repeated key with the same session and mints once', async () => {
    const first = await start({ idempotencyKey: 'once', mandate: true });
    const second = await start({ idempotencyKey: 'once', mandate: true });
    expect(second.session.id).toBe(first.session.id);
    expect([first.mandate?.token, second.mandate, minted.length]).toEqual(['minted', undefined, 1]);
  });

  it('refuses a key that was used for another request', async () => {
    await start({ idempotencyKey: 'once' });
    await expect(start({ idempotencyKey: 'once', ttlSeconds: 5 })).rejects.toMatchObject({ reason: 'conflict' });
  });

  it('names the limit that is full, and gives the place back when a session ends', async () => {
    const root = await start();
    await start({ parentId: root.session.id });
    const second = await start({ parentId: root.session.id });
    await expect(start({ parentId: root.session.id })).rejects.toMatchObject({ reason: 'application_session_limit' });
    await end(second.session.id);
    await start();
    await expect(start()).rejects.toMatchObject({ reason: 'application_session_limit' });
  });

  it('counts children of a parent', async () => {
    deps = { ...deps, limits: { ...deps.limits, maxPerApplication: 10 } };
    const root = await start();
    await start({ parentId: root.session.id });
    await start({ parentId: root.session.id });
    await expect(start({ parentId: root.session.id })).rejects.toMatchObject({ reason: 'child_session_limit' });
    await start();
    await expect(start()).rejects.toMatchObject({ reason: 'zone_session_limit' });
  });

  it('leaves no open session behind when the STS refuses its mandate', async () => {
    mintFails = true;
    await expect(start({ mandate: true })).rejects.toMatchObject({ reason: 'policy_denied' });
    const page = await graph.list(controlPlane, {
      applicationId: undefined,
      states: ['active'],
      limit: 10,
      cursor: undefined,
    });
    expect(page.sessions).toEqual([]);
  });

  it('refuses a caller whose mandate is revoked before anything happens', async () => {
    graph.refuse('sid-1');
    await expect(start()).rejects.toMatchObject({ reason: 'token_revoked' });
    expect(graph.told().sessions).toEqual([]);
  });
});

describe('ending', () => {
  it('takes down all that stands below, edges included, and writes their anchors', async () => {
    const root = await start();
    const child = await start({ parentId: root.session.id });
    const grandchild = await start({ parentId: child.session.id });
    const { edge } = await delegate(root.session.id, child.session.id);
    const ended = await end(root.session.id);
    expect(ended.sessionIds).toEqual([root.session.id, child.session.id, grandchild.session.id]);
    expect(ended.edgeIds).toEqual([edge.id]);
    expect(graph.told().anchors.map((anchor) => anchor.anchor)).toEqual([...ended.sessionIds, edge.id]);
  });

  it('leaves siblings alone', async () => {
    const root = await start();
    const one = await start({ parentId: root.session.id });
    const other = await start({ parentId: root.session.id });
    await end(one.session.id);
    await expect(getSession(deps, caller(), other.session.id)).resolves.toMatchObject({ state: 'active' });
  });

  it('changes nothing the second time', async () => {
    const root = await start();
    await end(root.session.id);
    expect(await end(root.session.id)).toMatchObject({ sessionIds: [], revocationNumber: 0 });
  });

  it('is for the session itself, its ancestors, its application and the control plane', async () => {
    const root = await start();
    const child = await start({ parentId: root.session.id });
    const sibling = await start({ parentId: root.session.id });
    const bound = (id: AgentSessionId) => caller({ agentSessionId: id });
    await expect(end(child.session.id, bound(sibling.session.id))).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    await expect(end(root.session.id, bound(child.session.id))).rejects.toMatchObject({ reason: 'permission_denied' });
    await expect(end(root.session.id, caller({ clientId: 'other' as ApplicationId }))).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    await expect(end(sibling.session.id, bound(sibling.session.id))).resolves.toMatchObject({
      sessionIds: [sibling.session.id],
    });
    await expect(end(child.session.id, bound(root.session.id))).resolves.toMatchObject({
      sessionIds: [child.session.id],
    });
    await expect(end(root.session.id, controlPlane)).resolves.toMatchObject({ sessionIds: [root.session.id] });
  });
});

describe('delegating', () => {
  it('mints for the target on the new edge and tells the STS which epoch to have seen', async () => {
    const root = await start();
    const child = await start({ parentId: root.session.id });
    const created = await delegate(root.session.id, child.session.id, { mandate: true });
    expect(created.mandate?.token).toBe('minted');
    expect(minted).toMatchObject([
      { sessionId: child.session.id, edgeId: created.edge.id, minDelegationEpoch: created.epoch },
    ]);
  });

  it('refuses a loop however long it is', async () => {
    deps = { ...deps, limits: { ...deps.limits, maxPerZone: 20, maxPerApplication: 20 } };
    const ids: AgentSessionId[] = [];
    for (let count = 0; count < 13; count++) ids.push((await start()).session.id);
    let parentEdgeId: EdgeId | undefined;
    for (let at = 0; at < 10; at++) {
      const [from, to] = [ids[at], ids[at + 1]] as [AgentSessionId, AgentSessionId];
      parentEdgeId = (await delegate(from, to, { parentEdgeId, maxHops: 10 - at })).edge.id;
    }
    const [first, last] = [ids[0], ids[10]] as [AgentSessionId, AgentSessionId];
    await expect(delegate(last, first, { parentEdgeId, maxHops: 1 })).rejects.toMatchObject({
      reason: 'delegation_cycle',
    });
  });

  it('revokes an edge with all derived from it, and only once; who asks again waits for what was revoked before', async () => {
    const a = (await start()).session.id;
    const b = (await start({ parentId: a })).session.id;
    const c = (await start({ parentId: a })).session.id;
    const first = (await delegate(a, b)).edge;
    const second = (await delegate(b, c, { parentEdgeId: first.id, maxHops: 1 })).edge;
    const revoke = { edgeId: first.id, reason: 'no longer', waitApplied: true, deadlineMs: 100 };
    const revoked = await revokeDelegation(deps, { caller: caller(), revoke }, facts);
    expect(revoked).toMatchObject({ edgeIds: [first.id, second.id], barrier: { applied: true } });
    expect(await revokeDelegation(deps, { caller: caller(), revoke }, facts)).toMatchObject({
      edgeIds: [],
      barrier: { applied: true, points: 2 },
    });
  });

  it('mints for the target only on its parent’s mandate', async () => {
    const root = await start();
    const other = await start();
    const delegated = delegate(root.session.id, other.session.id, { mandate: true });
    await expect(delegated).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(graph.told().edges).toEqual([]);
  });

  it('is for whoever governs the source', async () => {
    const root = await start();
    const child = await start({ parentId: root.session.id });
    const create = {
      zoneId,
      sourceSessionId: root.session.id,
      targetSessionId: child.session.id,
      parentEdgeId: undefined,
      scopes: ['read'],
      resources: [],
      maxHops: 1,
      mandateTtlSeconds: undefined,
      ttlSeconds: 60,
      mandate: false,
      idempotencyKey: undefined,
      dpopJkt: undefined,
    };
    const by = caller({ agentSessionId: child.session.id });
    await expect(createDelegation(deps, { caller: by, create }, facts)).rejects.toMatchObject({
      reason: 'permission_denied',
    });
  });
});

describe('renewing', () => {
  const renew = (sessionId: AgentSessionId, by: MandateCaller) =>
    renewSessionMandate(
      deps,
      {
        caller: by,
        renew: { sessionId, edgeId: undefined, scopes: [], resources: [], ttlSeconds: 0, dpopJkt: undefined },
      },
      facts,
    );

  it('is for the parent or the application, never for the session itself', async () => {
    const root = await start();
    const child = await start({ parentId: root.session.id });
    const bound = (id: AgentSessionId) => caller({ agentSessionId: id });
    await expect(renew(child.session.id, bound(child.session.id))).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    await expect(renew(root.session.id, bound(root.session.id))).rejects.toMatchObject({ reason: 'permission_denied' });
    await expect(renew(child.session.id, caller())).rejects.toMatchObject({ reason: 'permission_denied' });
    await expect(renew(child.session.id, bound(root.session.id))).resolves.toMatchObject({ token: 'minted' });
    await expect(renew(root.session.id, caller())).resolves.toMatchObject({ token: 'minted' });
  });

  it('refuses a session that has ended', async () => {
    const root = await start();
    await end(root.session.id);
    await expect(renew(root.session.id, caller())).rejects.toMatchObject({ reason: 'session_not_live' });
  });
});
