// The story of a governed agent over STS, Coordinator, Gateway and Audit as processes: session, call, narrowing, revocation,
// evidence.
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outgoing } from '#mesh/rpc';
import { type GovernedWorld, lifecycle, startGovernedWorld } from './governed-world.ts';

let world: GovernedWorld;

beforeAll(async () => {
  world = await startGovernedWorld();
});

afterAll(() => world[Symbol.asyncDispose]());

async function eventually<T>(read: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const value = await read();
    if (isDone(value) || attempt > 300) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('a governed agent', () => {
  let applicationMandate: string;
  let parent: { id: string; mandate: string };
  let child: { id: string; mandate: string };

  it('gets a session with a mandate of its own', async () => {
    applicationMandate = await world.mandate();
    const started = await world.coordinator.startSession(
      { zoneId: world.zone.id, applicationId: world.application.id, mandate: true, passLifecycle: true },
      outgoing({ bearer: applicationMandate }),
    );
    expect(started.session).toMatchObject({ depth: 0, scopes: ['read', 'write'], resources: ['reports'] });
    parent = { id: started.session?.id ?? '', mandate: started.mandate?.token ?? '' };
    expect(started.mandate?.scopes.toSorted()).toEqual([lifecycle, 'read', 'write']);
  });

  it('reaches its upstream, and never with its own mandate', async () => {
    const reply = await world.call(parent.mandate, '/reports');
    expect(reply).toMatchObject({ status: 200, text: '{"ok":true}' });
    expect(world.seen.at(-1)?.headers.authorization).not.toBe(`Bearer ${parent.mandate}`);
    expect(await world.call(parent.mandate, '/reports', { method: 'POST' })).toMatchObject({ status: 200 });
  });

  it('delegates less than it holds, and no more', async () => {
    const zoneId = world.zone.id;
    const started = await world.coordinator.startSession(
      { zoneId, applicationId: world.application.id, parentId: parent.id },
      outgoing({ bearer: parent.mandate }),
    );
    const targetSessionId = started.session?.id ?? '';
    const delegated = await world.coordinator.createDelegation(
      { zoneId, sourceSessionId: parent.id, targetSessionId, scopes: ['read'], ttlSeconds: 60, mandate: true },
      outgoing({ bearer: parent.mandate }),
    );
    child = { id: targetSessionId, mandate: delegated.mandate?.token ?? '' };
    expect(delegated.mandate?.scopes).toEqual(['read']);
    expect(await world.call(child.mandate, '/reports')).toMatchObject({ status: 200 });
    const before = world.seen.length;
    expect(await world.call(child.mandate, '/reports', { method: 'POST' })).toMatchObject({ status: 403 });
    expect(world.seen.length).toBe(before);
  });

  it('is refused with all below it once its end has returned, and its open stream is cut', async () => {
    const open = await request(`${world.sts.installation.urls.gateway}/live`, {
      dispatcher: world.dispatcher,
      headers: { authorization: `Bearer ${child.mandate}`, 'x-caracal-resource': 'reports' },
    });
    expect(open.statusCode).toBe(200);
    const ended = (async () => {
      for await (const _chunk of open.body);
    })().then(
      () => 'ended',
      () => 'cut',
    );
    const end = await world.coordinator.endSession(
      { zoneId: world.zone.id, sessionId: parent.id, reason: 'test', waitApplied: true },
      outgoing({ bearer: applicationMandate }),
    );
    expect(end.barrier).toMatchObject({ applied: true, points: 2 });
    expect(end.endedSessionIds).toEqual([parent.id, child.id]);
    expect(await world.call(child.mandate, '/reports')).toMatchObject({ status: 401 });
    expect(await world.call(parent.mandate, '/reports')).toMatchObject({ status: 401 });
    expect(await ended).toBe('cut');
  });

  it('leaves evidence of every call, once, in a chain that verifies', async () => {
    const expected = [
      'token.exchange',
      'session.started',
      'delegation.created',
      'gateway.decision',
      'gateway.outcome',
      'session.ended',
      'delegation.revoked',
      'revocation.written',
    ];
    const search = () => world.audit.searchEvents({ zoneId: world.zone.id, limit: 1000 });
    const found = await eventually(search, ({ entries }) => {
      const types = new Set(entries.map(({ event }) => event?.eventType));
      return expected.every((type) => types.has(type));
    });
    const types = found.entries.map(({ event }) => event?.eventType);
    expect(types).toEqual(expect.arrayContaining(expected));
    const ids = found.entries.map(({ event }) => event?.id);
    expect(new Set(ids).size).toBe(ids.length);
    const progresses = await Array.fromAsync(world.audit.verifyRange({ zoneId: world.zone.id }));
    const last = progresses.at(-1);
    expect(last).toMatchObject({ done: true, findingCount: 0n });
    expect(Number(last?.checked)).toBeGreaterThanOrEqual(types.length);
  });
});
