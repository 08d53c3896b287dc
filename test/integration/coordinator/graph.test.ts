// Trees and edges under load and in every order: cascades, ends beside starts, narrowing over hops, loops, dense graphs.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMandate } from '#mesh/mandate';
import { type CoordinatorWorld, type Holder, startCoordinatorWorld } from './coordinator-world.ts';

let world: CoordinatorWorld;
let token: string;

beforeAll(async () => {
  world = await startCoordinatorWorld();
  token = await world.mandate();
}, 120_000);

afterAll(() => world?.[Symbol.asyncDispose]());

const end = (sessionId: string, by = token) =>
  world.rpc('EndSession', { zoneId: world.zone.id, sessionId }, { token: by });

const startBelow = (parent: Holder) =>
  world.rpc(
    'StartSession',
    { zoneId: world.zone.id, applicationId: world.application.id, parentId: parent.id },
    { token: parent.token },
  );

/** Open sessions whose parent has ended. */
async function orphans(): Promise<number> {
  const [row] = await world.sts.inZone<{ found: string }>(
    world.zone.id,
    `SELECT count(*) AS found FROM coordinator.agent_sessions c JOIN coordinator.agent_sessions p ON p.id = c.parent_id
     WHERE c.state = 'active' AND p.state <> 'active'`,
  );
  return Number(row?.found);
}

async function anchors(ids: readonly string[]): Promise<string[]> {
  const rows = await world.sts.inZone<{ anchor: string }>(
    world.zone.id,
    'SELECT anchor FROM sts.revocations WHERE anchor = ANY ($1) ORDER BY anchor',
    [ids],
  );
  return rows.map(({ anchor }) => anchor);
}

describe('an end', () => {
  it('takes a deep chain and a wide level with it, each anchored once', async () => {
    const root = await world.start(token);
    const chain = [root];
    for (let depth = 1; depth <= 20; depth += 1) {
      const parent = chain.at(-1) ?? root;
      chain.push(await world.start(parent.token, { parentId: parent.id }));
    }
    const wide = await Promise.all(Array.from({ length: 60 }, () => startBelow(root)));
    const level = wide.map(({ body }) => (body['session'] as { id: string }).id);
    const edges = await Promise.all(
      level
        .slice(0, 10)
        .map((target) => world.delegate(root.token, { sourceSessionId: root.id, targetSessionId: target })),
    );
    const ended = await end(root.id);
    const ids = [...chain.map(({ id }) => id), ...level];
    expect((ended.body['endedSessionIds'] as string[]).toSorted()).toEqual(ids.toSorted());
    expect((ended.body['endedSessionIds'] as string[])[0]).toBe(root.id);
    const edgeIds = edges.map(({ edgeId }) => edgeId);
    expect((ended.body['revokedEdgeIds'] as string[]).toSorted()).toEqual(edgeIds.toSorted());
    expect(await anchors([...ids, ...edgeIds])).toEqual([...ids, ...edgeIds].toSorted());
  });

  it('beside starts below it leaves no orphan, whichever comes first', async () => {
    let lost = 0;
    for (let round = 0; round < 40; round += 1) {
      const root = await world.start(token);
      const child = await world.start(root.token, { parentId: root.id });
      const [ended, ...starts] = await Promise.all([
        end(root.id),
        ...[root, child, root, child, child].map((parent) => startBelow(parent)),
      ]);
      expect(ended.status).toBe(200);
      for (const start of starts) {
        if (start.status === 200) continue;
        lost += 1;
        expect(['token_revoked', 'session_not_live']).toContain(start.reason);
      }
    }
    expect(await orphans()).toBe(0);
    expect(lost).toBeGreaterThan(0);
  });

  it('beside ends of the same tree ends every session once', async () => {
    for (let round = 0; round < 10; round += 1) {
      const root = await world.start(token);
      const children = await Promise.all([1, 2, 3].map(() => world.start(root.token, { parentId: root.id })));
      const ids = [root, ...children].map(({ id }) => id);
      const answers = await Promise.all([...ids, ...ids].map((id) => end(id)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      const ended = answers.flatMap(({ body }) => (body['endedSessionIds'] ?? []) as string[]);
      expect(ended.toSorted()).toEqual(ids.toSorted());
      expect(await anchors(ids)).toEqual(ids.toSorted());
    }
  });

  it('beside delegations into and out of it leaves no live edge', async () => {
    for (let round = 0; round < 15; round += 1) {
      const root = await world.start(token);
      const [one, two] = await Promise.all([1, 2].map(() => world.start(root.token, { parentId: root.id })));
      const delegate = (from: Holder | undefined, to: Holder | undefined) =>
        world.delegate(root.token, { sourceSessionId: from?.id ?? '', targetSessionId: to?.id ?? '' });
      await Promise.all([delegate(root, one), delegate(one, two), end(one?.id ?? ''), delegate(root, two)]);
    }
    const live = await world.sts.inZone(
      world.zone.id,
      `SELECT e.id FROM coordinator.delegation_edges e JOIN coordinator.agent_sessions s
         ON s.id IN (e.source_session_id, e.target_session_id)
       WHERE e.state = 'active' AND s.state <> 'active'`,
    );
    expect(live).toEqual([]);
  });
});

describe('a delegation', () => {
  it('narrows at every hop over three sessions, in every respect', async () => {
    const root = await world.start(token);
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => world.start(root.token, { parentId: root.id })));
    if (!a || !b || !c) throw new Error('not started');
    const first = await world.delegate(root.token, {
      sourceSessionId: a.id,
      targetSessionId: b.id,
      scopes: ['read', 'write'],
      ttlSeconds: 200,
      constraints: { resources: ['calendar'], maxHops: 2, ttlSeconds: 100 },
    });
    expect(first.status).toBe(200);
    const onward = {
      sourceSessionId: b.id,
      targetSessionId: c.id,
      parentEdgeId: first.edgeId,
      ttlSeconds: 100,
      constraints: { maxHops: 1, ttlSeconds: 50 },
    };
    const wider: readonly object[] = [
      { scopes: ['read', 'admin'] },
      { constraints: { ...onward.constraints, resources: ['mail'] } },
      { constraints: { ...onward.constraints, maxHops: 2 } },
      { constraints: { maxHops: 1 } },
      { constraints: { maxHops: 1, ttlSeconds: 101 } },
      { ttlSeconds: 250 },
    ];
    for (const wish of wider) {
      const refused = await world.delegate(root.token, { ...onward, ...wish });
      expect(refused, JSON.stringify(wish)).toMatchObject({ status: 403, reason: 'delegation_exceeds_authority' });
    }
    const unnamed = await world.delegate(root.token, { ...onward, parentEdgeId: '' });
    expect(unnamed).toMatchObject({ status: 400, reason: 'invalid_request' });
    const second = await world.delegate(root.token, { ...onward, mandate: true });
    expect(second.body).toMatchObject({ edge: { scopes: ['read'], constraints: { resources: ['calendar'] } } });
    expect(parseMandate(second.token)?.claims).toMatchObject({
      scope: 'agent:lifecycle read',
      target: ['calendar'],
      delegation_path: [first.edgeId, second.edgeId],
      hop_count: 2,
    });
    const further = { sourceSessionId: c.id, targetSessionId: root.id, parentEdgeId: second.edgeId };
    expect((await world.delegate(root.token, further)).reason).toBe('delegation_exceeds_authority');
    const foreignParent = await world.delegate(root.token, { ...onward, sourceSessionId: root.id });
    expect(foreignParent.reason).toBe('delegation_not_active');
    const revoke = { zoneId: world.zone.id, edgeId: first.edgeId };
    const revoked = await world.rpc('RevokeDelegation', revoke, { token: root.token });
    expect(revoked.body).toMatchObject({ revokedEdgeIds: [first.edgeId, second.edgeId] });
    expect((await world.delegate(root.token, onward)).reason).toBe('delegation_not_active');
  });

  it('closes no loop, however many hops away', async () => {
    const root = await world.start(token);
    const ring = await Promise.all(Array.from({ length: 14 }, () => world.start(root.token, { parentId: root.id })));
    const at = (index: number): string => ring[index]?.id ?? '';
    // Backwards, so that no source has an inbound edge yet and the chain may be longer than max_hops allows.
    for (let index = 12; index >= 0; index -= 1) {
      const edge = { sourceSessionId: at(index), targetSessionId: at(index + 1) };
      expect((await world.delegate(root.token, edge)).status).toBe(200);
    }
    for (const from of [1, 5, 13]) {
      const edge = { sourceSessionId: at(from), targetSessionId: at(0) };
      expect((await world.delegate(root.token, edge)).reason).toBe('delegation_cycle');
    }
    const self = { sourceSessionId: at(0), targetSessionId: at(0) };
    expect((await world.delegate(root.token, self)).reason).toBe('delegation_cycle');
  });

  it('of two that close a loop together only one comes through', async () => {
    for (let round = 0; round < 10; round += 1) {
      const root = await world.start(token);
      const [a, b] = await Promise.all([1, 2].map(() => world.start(root.token, { parentId: root.id })));
      const pairs = [
        [a, b],
        [b, a],
      ] as const;
      const answers = await Promise.all(
        pairs.map(([from, to]) =>
          world.delegate(root.token, { sourceSessionId: from?.id ?? '', targetSessionId: to?.id ?? '' }),
        ),
      );
      expect(answers.map(({ reason }) => reason ?? 'created').toSorted()).toEqual(['created', 'delegation_cycle']);
    }
  });

  it('to another application waits for its consent and mints nothing before', async () => {
    const other = await world.sts.application(world.zone);
    const theirs = await world.start(await world.mandate({}, other), { applicationId: other.id });
    const own = await world.start(token);
    const edge = { sourceSessionId: own.id, targetSessionId: theirs.id };
    expect((await world.delegate(token, { ...edge, mandate: true })).reason).toBe('permission_denied');
    const pending = await world.delegate(token, edge);
    expect(pending.body).toMatchObject({ edge: { state: 'DELEGATION_STATE_PENDING' } });
  });

  it('costs nodes and never paths: a complete graph of 50 sessions is built, asked and torn down in bounded time', async () => {
    const root = await world.start(token);
    const nodes = await Promise.all(Array.from({ length: 50 }, () => world.start(root.token, { parentId: root.id })));
    const ids = nodes.map(({ id }) => id);
    // 1,225 edges, of which every pair of sessions has up to 2^48 paths between them.
    await world.sts.inZone(
      world.zone.id,
      `INSERT INTO coordinator.delegation_edges (id, zone_id, source_session_id, target_session_id,
         issuer_application_id, receiver_application_id, scopes, resources, max_hops, state, expires_at)
       SELECT '01900000-0000-7000-8000-' || lpad((s.at * 100 + t.at)::text, 12, '0'), $1, s.id, t.id, $3, $3, '{read}',
         '{calendar}', 10, 'active', now() + interval '5 min'
       FROM unnest($2::text[]) WITH ORDINALITY AS s (id, at) JOIN unnest($2::text[]) WITH ORDINALITY AS t (id, at)
         ON s.at < t.at`,
      [world.zone.id, ids, world.application.id],
    );
    const loop = { sourceSessionId: ids.at(-1) ?? '', targetSessionId: ids[0] ?? '' };
    const startedMs = performance.now();
    expect((await world.delegate(root.token, loop)).reason).toBe('delegation_cycle');
    const revoked = await world.rpc(
      'RevokeDelegation',
      { zoneId: world.zone.id, edgeId: '01900000-0000-7000-8000-000000000102' },
      { token: root.token },
    );
    expect(revoked.body).toMatchObject({ revokedEdgeIds: ['01900000-0000-7000-8000-000000000102'] });
    const ended = await end(root.id);
    expect([
      (ended.body['endedSessionIds'] as unknown[]).length,
      (ended.body['revokedEdgeIds'] as unknown[]).length,
    ]).toEqual([51, 1224]);
    // The statement timeout is 10 s; paths instead of nodes would take longer than the universe has lasted.
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});
