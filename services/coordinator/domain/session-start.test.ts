import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentSessionId, ApplicationId, ZoneId } from '#mesh/ids';
import type { AgentSession } from './agent-session.ts';
import { decideStart, type StartingCaller, type StartWish } from './session-start.ts';

const nowMs = 1_800_000_000_000;
const application = 'app-1' as ApplicationId;

function session(overrides: Partial<AgentSession> = {}): AgentSession {
  return {
    id: 'parent' as AgentSessionId,
    zoneId: 'zone' as ZoneId,
    applicationId: application,
    parentId: undefined,
    rootId: 'parent' as AgentSessionId,
    kind: 'instance',
    state: 'active',
    depth: 0,
    scopes: ['read', 'write'],
    resources: ['calendar', 'mail'],
    clientId: application,
    sessionRecordId: 'sid',
    passLifecycle: false,
    labels: {},
    startedAtMs: nowMs - 1000,
    expiresAtMs: nowMs + 60_000,
    endedAtMs: undefined,
    transitions: 1,
    ...overrides,
  };
}

function caller(overrides: Partial<StartingCaller> = {}): StartingCaller {
  return {
    clientId: application,
    agentSessionId: undefined,
    scopes: ['agent:lifecycle', 'read', 'write'],
    resources: ['calendar', 'mail'],
    ...overrides,
  };
}

function wish(overrides: Partial<StartWish> = {}): StartWish {
  return {
    applicationId: application,
    parentId: undefined,
    scopes: undefined,
    resources: undefined,
    ttlSeconds: 3600,
    passLifecycle: false,
    ...overrides,
  };
}

const limits = { maxDepth: 10 };
const start = (input: { caller?: StartingCaller; wish?: StartWish; parent?: AgentSession }) => {
  const wanted = input.wish ?? wish();
  const by = input.caller ?? caller({ agentSessionId: wanted.parentId });
  return decideStart({ caller: by, wish: wanted, parent: input.parent }, limits, nowMs);
};

describe('a start', () => {
  it('holds what the caller holds, without the lifecycle scope', () => {
    expect(start({})).toMatchObject({
      kind: 'granted',
      scopes: ['read', 'write'],
      resources: ['calendar', 'mail'],
      depth: 0,
    });
  });

  it('refuses a scope that the caller does not hold', () => {
    expect(start({ wish: wish({ scopes: ['admin'] }) })).toMatchObject({ kind: 'refused', reason: 'invalid_scope' });
  });

  it('refuses a resource that the parent does not hold', () => {
    const parent = session({ resources: ['mail'] });
    expect(start({ parent, wish: wish({ parentId: parent.id, resources: ['calendar'] }) })).toMatchObject({
      kind: 'refused',
      reason: 'invalid_target',
    });
  });

  it('refuses another application than that of the caller', () => {
    expect(start({ wish: wish({ applicationId: 'other' as ApplicationId }) })).toMatchObject({
      reason: 'permission_denied',
    });
  });

  it('refuses a mandate bound to a session that wants to start a root or a sibling', () => {
    const bound = caller({ agentSessionId: 'child' as AgentSessionId });
    expect(start({ caller: bound })).toMatchObject({ reason: 'permission_denied' });
    expect(
      start({ caller: bound, parent: session(), wish: wish({ parentId: 'parent' as AgentSessionId }) }),
    ).toMatchObject({
      reason: 'permission_denied',
    });
  });

  it('refuses a child that is started with a mandate of the application', () => {
    expect(
      start({ caller: caller(), parent: session(), wish: wish({ parentId: 'parent' as AgentSessionId }) }),
    ).toMatchObject({
      reason: 'permission_denied',
    });
  });

  it.each(['suspended', 'terminated', 'expired'] as const)('refuses a parent that is %s', (state) => {
    expect(start({ parent: session({ state }), wish: wish({ parentId: 'parent' as AgentSessionId }) })).toMatchObject({
      reason: 'session_not_live',
    });
  });

  it('refuses a parent that is unknown', () => {
    expect(start({ wish: wish({ parentId: 'nobody' as AgentSessionId }) })).toMatchObject({
      reason: 'session_not_live',
    });
  });

  it('refuses to nest deeper than the limit', () => {
    const parent = session({ depth: 10 });
    expect(start({ parent, wish: wish({ parentId: parent.id }) })).toMatchObject({ reason: 'session_depth_limit' });
  });

  it('never outlives its parent', () => {
    const parent = session();
    expect(start({ parent, wish: wish({ parentId: parent.id }) })).toMatchObject({ expiresAtMs: parent.expiresAtMs });
  });

  it('passes the lifecycle scope on only when asked for and held', () => {
    expect(start({ wish: wish({ passLifecycle: true }) })).toMatchObject({ passLifecycle: true });
    expect(start({ caller: caller({ scopes: ['read'] }), wish: wish({ passLifecycle: true }) })).toMatchObject({
      passLifecycle: false,
    });
    expect(start({})).toMatchObject({ passLifecycle: false });
  });

  it('never widens, whatever is asked for', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'agent:lifecycle'));
    fc.assert(
      fc.property(
        fc.tuple(names, names, names, fc.option(names, { nil: undefined })),
        ([held, parentHolds, resources, asked]) => {
          const parent = session({ scopes: parentHolds.filter((scope) => scope !== 'agent:lifecycle'), resources });
          const verdict = start({
            caller: caller({ agentSessionId: parent.id, scopes: held, resources }),
            parent,
            wish: wish({ parentId: parent.id, scopes: asked }),
          });
          if (verdict.kind === 'refused') return;
          for (const scope of verdict.scopes) {
            expect(held).toContain(scope);
            expect(parent.scopes).toContain(scope);
          }
          expect(verdict.scopes).not.toContain('agent:lifecycle');
        },
      ),
    );
  });
});
