// What every SessionGraph promises, run over the one in memory and the one in Postgres.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId, type AgentSessionId, type ApplicationId, type EdgeId, type ZoneId } from '#mesh/ids';
import { createPool, type Database } from '#mesh/postgres';
import { silentLogger } from '#mesh/telemetry';
import { disposableDatabase, type DisposableDatabase } from '#test/database';
import type { AgentSession } from '../../services/coordinator/domain/agent-session.ts';
import type { MandateCaller } from '../../services/coordinator/domain/caller.ts';
import type { DelegationEdge } from '../../services/coordinator/domain/delegation-graph.ts';
import { createMemorySessionGraph } from '../../services/coordinator/outbound/memory/session-graph.ts';
import { createSessionGraph } from '../../services/coordinator/outbound/postgres/session-graph.ts';
import type { SessionGraph } from '../../services/coordinator/ports/session-graph.ts';

const application = newId() as ApplicationId;

function callerOf(zoneId: ZoneId): MandateCaller {
  return {
    kind: 'mandate',
    zoneId,
    clientId: application,
    agentSessionId: undefined,
    scopes: ['read'],
    resources: ['mail'],
    sessionRecordId: newId(),
    rev: 0,
    anchorIds: [application],
    bearer: '',
    shown: { dpop: undefined, path: '/', certificateThumbprint: undefined },
  };
}

function sessionOf(zoneId: ZoneId, parent?: AgentSession): AgentSession {
  const id = newId() as AgentSessionId;
  const nowMs = Date.now();
  return {
    id,
    zoneId,
    applicationId: application,
    parentId: parent?.id,
    rootId: parent?.rootId ?? id,
    kind: 'instance',
    state: 'active',
    depth: parent === undefined ? 0 : parent.depth + 1,
    scopes: ['read'],
    resources: ['mail'],
    clientId: application,
    sessionRecordId: newId(),
    passLifecycle: true,
    labels: { purpose: 'test' },
    startedAtMs: nowMs,
    expiresAtMs: nowMs + 600_000,
    endedAtMs: undefined,
    transitions: 1,
  };
}

function edgeOf(source: AgentSession, target: AgentSession, parent?: DelegationEdge): DelegationEdge {
  const nowMs = Date.now();
  return {
    id: newId() as EdgeId,
    zoneId: source.zoneId,
    sourceSessionId: source.id,
    targetSessionId: target.id,
    issuerApplicationId: application,
    receiverApplicationId: application,
    parentEdgeId: parent?.id,
    scopes: ['read'],
    resources: ['mail'],
    maxHops: 5,
    ttlSeconds: undefined,
    state: 'active',
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 600_000,
  };
}

const context = (zoneId: ZoneId) => ({
  caller: callerOf(zoneId),
  requestId: newId(),
  traceId: undefined,
  traceparent: undefined,
});

const by = (zoneId: ZoneId) => ({ caller: callerOf(zoneId), lock: 'none', requestId: newId() }) as const;

let database: DisposableDatabase;
let pool: Database;

beforeAll(async () => {
  database = await disposableDatabase();
  pool = createPool({ service: 'coordinator', connectionString: database.urls.coordinator, logger: silentLogger });
});

afterAll(async () => {
  await pool[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const kinds: readonly (readonly [string, () => SessionGraph])[] = [
  ['memory', createMemorySessionGraph],
  ['postgres', () => createSessionGraph(pool)],
];

describe.each(kinds)('a session graph in %s', (_kind, create) => {
  async function seed(graph: SessionGraph, zoneId: ZoneId) {
    const root = sessionOf(zoneId);
    const child = sessionOf(zoneId, root);
    const grandchild = sessionOf(zoneId, child);
    await graph.change(by(zoneId), async (tx) => {
      for (const session of [root, child, grandchild]) await tx.insertSession(session, []);
      await tx.recordSessions([{ session: root, transition: 'started', reason: 'test' }], context(zoneId));
    });
    return { root, child, grandchild };
  }

  it('gives back what was stored, in its zone only', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const { root } = await seed(graph, zoneId);
    expect(await graph.find(callerOf(zoneId), root.id)).toEqual(root);
    expect(await graph.find(callerOf(newId() as ZoneId), root.id)).toBeUndefined();
  });

  it('leaves nothing of a change that throws', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const session = sessionOf(zoneId);
    const change = graph.change(by(zoneId), async (tx) => {
      await tx.insertSession(session, []);
      throw new Error('no');
    });
    await expect(change).rejects.toThrow('no');
    expect(await graph.find(callerOf(zoneId), session.id)).toBeUndefined();
  });

  it('finds the open subtree from the top, and ancestors up to the root', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const { root, child, grandchild } = await seed(graph, zoneId);
    const found = await graph.change(by(zoneId), async (tx) => ({
      subtree: (await tx.openSubtree(root.id)).map((session) => session.id),
      ancestors: await tx.ancestorIds(grandchild.id),
    }));
    expect(found).toEqual({ subtree: [root.id, child.id, grandchild.id], ancestors: [child.id, root.id] });
  });

  it('ends sessions and gives back what they counted for', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const session = sessionOf(zoneId);
    const claims = [
      { key: 'zone', limit: 1 },
      { key: `application:${application}`, limit: 1 },
    ];
    await graph.change(by(zoneId), async (tx) => {
      expect(await tx.insertSession(session, claims)).toEqual({ full: undefined });
    });
    const insert = () => graph.change(by(zoneId), (tx) => tx.insertSession(next, claims));
    const next = sessionOf(zoneId);
    expect(await insert()).toEqual({ full: 'zone' });
    expect(await graph.find(callerOf(zoneId), next.id)).toBeUndefined();
    await graph.change(by(zoneId), (tx) =>
      tx.endSessions([session], { state: 'terminated', reason: 'done', atMs: Date.now() }),
    );
    expect(await graph.find(callerOf(zoneId), session.id)).toMatchObject({ state: 'terminated', transitions: 2 });
    expect(await insert()).toEqual({ full: undefined });
    expect(await graph.find(callerOf(zoneId), next.id)).toEqual(next);
  });

  it('remembers what an idempotency key stands for', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const receipt = { resultId: newId(), requestDigest: 'a'.repeat(64) };
    await graph.change(by(zoneId), (tx) => tx.keepReceipt('start', 'key-1', receipt));
    const found = await graph.change(by(zoneId), async (tx) => [
      await tx.receipt('start', 'key-1'),
      await tx.receipt('start', 'key-2'),
      await tx.receipt('other', 'key-1'),
    ]);
    expect(found).toEqual([receipt, undefined, undefined]);
    await graph.change(by(zoneId), (tx) => tx.forgetReceipt('start', 'key-1'));
    expect(await graph.change(by(zoneId), (tx) => tx.receipt('start', 'key-1'))).toBeUndefined();
  });

  it('reaches over any number of edges, and revokes an edge with all derived from it', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const sessions = Array.from({ length: 15 }, () => sessionOf(zoneId));
    const edges: DelegationEdge[] = [];
    await graph.change(by(zoneId), async (tx) => {
      for (const session of sessions) await tx.insertSession(session, []);
      for (let at = 0; at + 1 < sessions.length; at++) {
        const edge = edgeOf(sessions[at] as AgentSession, sessions[at + 1] as AgentSession, edges.at(-1));
        edges.push(edge);
        await tx.insertEdge(edge);
      }
      await tx.recordEdges(edges.slice(0, 1), { kind: 'created', reason: 'test' }, context(zoneId));
    });
    const [first, second] = sessions as [AgentSession, AgentSession];
    const last = sessions.at(-1) as AgentSession;
    const [firstEdge, secondEdge] = edges as [DelegationEdge, DelegationEdge];
    const nowMs = Date.now();
    const seen = await graph.change(by(zoneId), async (tx) => ({
      forwards: await tx.reaches(first.id, last.id, nowMs),
      backwards: await tx.reaches(last.id, first.id, nowMs),
      inbound: [await tx.hasLiveInbound(second.id, nowMs), await tx.hasLiveInbound(first.id, nowMs)],
      below: (await tx.liveEdgesBelow(secondEdge.id)).length,
      touching: (await tx.liveEdgesTouching([second.id])).length,
    }));
    expect(seen).toEqual({ forwards: true, backwards: false, inbound: [true, false], below: 13, touching: 14 });
    await graph.change(by(zoneId), async (tx) => tx.revokeEdges(await tx.liveEdgesBelow(secondEdge.id), nowMs));
    const after = await graph.change(by(zoneId), async (tx) => [
      (await tx.edge(firstEdge.id))?.state,
      (await tx.edge(secondEdge.id))?.state,
      (await tx.liveEdgesBelow(secondEdge.id)).length,
      await tx.reaches(first.id, last.id, nowMs),
    ]);
    expect(after).toEqual(['active', 'revoked', 0, false]);
  });

  it('numbers revocations without holes and epochs by one', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const anchors = [1, 2, 3].map(() => ({ kind: 'agent_session' as const, anchor: newId() }));
    const revoke = () =>
      graph.change(by(zoneId), async (tx) => {
        const epoch = await tx.nextEpoch();
        await tx.invalidate({ epoch, sessionIds: anchors.map((anchor) => anchor.anchor), edgeIds: [] });
        return { epoch, number: await tx.revoke(anchors, 'test') };
      });
    const first = await revoke();
    const second = await revoke();
    expect([second.epoch - first.epoch, second.number - first.number]).toEqual([1, 3]);
  });

  it('pages newest first without skipping sessions of one instant', async () => {
    const graph = create();
    const zoneId = newId() as ZoneId;
    const startedAtMs = Date.now();
    const sessions = Array.from({ length: 7 }, () => ({ ...sessionOf(zoneId), startedAtMs }));
    await graph.change(by(zoneId), async (tx) => {
      for (const session of sessions) await tx.insertSession(session, []);
    });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await graph.list(callerOf(zoneId), {
        applicationId: application,
        states: ['active'],
        limit: 3,
        cursor,
      });
      seen.push(...page.sessions.map((session) => session.id));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen.toSorted()).toEqual(sessions.map((session) => session.id).toSorted());
    expect(new Set(seen).size).toBe(7);
  });
});

describe('a session graph in postgres', () => {
  it('refuses a caller from the moment an anchor of its mandate is committed', async () => {
    const graph = createSessionGraph(pool);
    const zoneId = newId() as ZoneId;
    const caller = callerOf(zoneId);
    const session = sessionOf(zoneId);
    await graph.change({ ...by(zoneId), caller }, (tx) => tx.insertSession(session, []));
    const anchored = { ...caller, anchorIds: [session.id] };
    await graph.find(anchored, session.id);
    const rev = await graph.change({ ...by(zoneId), caller }, (tx) =>
      tx.revoke([{ kind: 'agent_session', anchor: session.id }], 'test'),
    );
    await expect(graph.find(anchored, session.id)).rejects.toMatchObject({ reason: 'token_revoked' });
    await expect(graph.find({ ...anchored, rev }, session.id)).resolves.toBeDefined();
    // Nobody has signed after a revocation that was never written.
    const forged = { ...anchored, rev: Number.MAX_SAFE_INTEGER };
    await expect(graph.find(forged, session.id)).rejects.toMatchObject({ reason: 'token_revoked' });
  });

  it('never counts above a limit, however many start at once', async () => {
    const graph = createSessionGraph(pool);
    const zoneId = newId() as ZoneId;
    const claims = [
      { key: 'zone', limit: 5 },
      { key: `application:${application}`, limit: 9 },
    ];
    const attempts = await Promise.all(
      Array.from({ length: 20 }, () =>
        graph
          .change(by(zoneId), async (tx) => {
            const { full } = await tx.insertSession(sessionOf(zoneId), claims);
            if (full !== undefined) throw new Error(full);
          })
          .then(
            () => 'started',
            (error: unknown) => (error as Error).message,
          ),
      ),
    );
    expect(attempts.filter((outcome) => outcome === 'started')).toHaveLength(5);
    expect(attempts.filter((outcome) => outcome === 'zone')).toHaveLength(15);
  });

  it('lists what is overdue over all zones', async () => {
    const graph = createSessionGraph(pool);
    const zoneId = newId() as ZoneId;
    const session = { ...sessionOf(zoneId), expiresAtMs: Date.now() - 1000 };
    await graph.change(by(zoneId), (tx) => tx.insertSession(session, []));
    expect(await graph.overdue(1000)).toContainEqual({ zoneId, sessionId: session.id });
  });
});
