import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import type { AgentSession } from './agent-session.ts';
import { decideEdge, type DelegationEdge, type EdgeSurroundings, type EdgeWish } from './delegation-graph.ts';

const nowMs = 1_800_000_000_000;

function session(id: string, overrides: Partial<AgentSession> = {}): AgentSession {
  return {
    id: id as AgentSessionId,
    zoneId: 'zone' as ZoneId,
    applicationId: 'app' as ApplicationId,
    parentId: undefined,
    rootId: id as AgentSessionId,
    kind: 'instance',
    state: 'active',
    depth: 0,
    scopes: ['read', 'write'],
    resources: ['calendar', 'mail'],
    clientId: 'app',
    sessionRecordId: 'sid',
    passLifecycle: false,
    labels: {},
    startedAtMs: nowMs,
    expiresAtMs: nowMs + 3_600_000,
    endedAtMs: undefined,
    transitions: 1,
    ...overrides,
  };
}

function edge(overrides: Partial<DelegationEdge> = {}): DelegationEdge {
  return {
    id: 'edge-0' as EdgeId,
    zoneId: 'zone' as ZoneId,
    sourceSessionId: 'root' as AgentSessionId,
    targetSessionId: 'source' as AgentSessionId,
    issuerApplicationId: 'app' as ApplicationId,
    receiverApplicationId: 'app' as ApplicationId,
    parentEdgeId: undefined,
    scopes: ['read'],
    resources: ['calendar'],
    maxHops: 3,
    ttlSeconds: undefined,
    state: 'active',
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 600_000,
    ...overrides,
  };
}

function wish(overrides: Partial<EdgeWish> = {}): EdgeWish {
  return {
    sourceSessionId: 'source' as AgentSessionId,
    targetSessionId: 'target' as AgentSessionId,
    parentEdgeId: undefined,
    scopes: ['read'],
    resources: [],
    maxHops: 1,
    mandateTtlSeconds: undefined,
    ttlSeconds: 60,
    ...overrides,
  };
}

const around = (overrides: Partial<EdgeSurroundings> = {}): EdgeSurroundings => ({
  source: session('source'),
  target: session('target'),
  parentEdge: undefined,
  sourceHasInbound: false,
  closesLoop: false,
  ...overrides,
});

const inherited = (overrides: Partial<DelegationEdge> = {}): EdgeSurroundings =>
  around({ parentEdge: edge(overrides), sourceHasInbound: true });
const further = (overrides: Partial<EdgeWish> = {}): EdgeWish =>
  wish({ parentEdgeId: 'edge-0' as EdgeId, ...overrides });

describe('a new edge', () => {
  it('takes the resources of its source when it names none', () => {
    expect(decideEdge(wish(), around(), nowMs)).toMatchObject({
      kind: 'granted',
      resources: ['calendar', 'mail'],
      state: 'active',
    });
    expect(decideEdge(further(), inherited(), nowMs)).toMatchObject({ kind: 'granted', resources: ['calendar'] });
  });

  it('waits for acceptance when the receiver is another application', () => {
    const target = session('target', { applicationId: 'other' as ApplicationId });
    expect(decideEdge(wish(), around({ target }), nowMs)).toMatchObject({ state: 'pending' });
  });

  it('refuses a session that delegates to itself, and one that closes a loop', () => {
    expect(decideEdge(wish({ targetSessionId: 'source' as AgentSessionId }), around(), nowMs)).toMatchObject({
      reason: 'delegation_cycle',
    });
    expect(decideEdge(wish(), around({ closesLoop: true }), nowMs)).toMatchObject({ reason: 'delegation_cycle' });
  });

  it('refuses an end that is not live', () => {
    expect(decideEdge(wish(), around({ source: undefined }), nowMs)).toMatchObject({ reason: 'session_not_live' });
    expect(decideEdge(wish(), around({ target: session('target', { state: 'terminated' }) }), nowMs)).toMatchObject({
      reason: 'session_not_live',
    });
  });

  it('asks which inbound edge to narrow when the source has one', () => {
    expect(decideEdge(wish(), around({ sourceHasInbound: true }), nowMs)).toMatchObject({ reason: 'invalid_request' });
  });

  it.each([
    ['revoked', { state: 'revoked' as const }],
    ['expired', { expiresAtMs: nowMs }],
    ['pending', { state: 'pending' as const }],
    ['leading elsewhere', { targetSessionId: 'elsewhere' as AgentSessionId }],
  ])('refuses a parent edge that is %s', (_name, overrides) => {
    expect(decideEdge(further(), inherited(overrides), nowMs)).toMatchObject({ reason: 'delegation_not_active' });
  });

  it.each([
    ['scopes', { scopes: ['read', 'write'] }],
    ['resources', { resources: ['mail'] }],
    ['hops', { maxHops: 3 }],
    ['time', { ttlSeconds: 601 }],
  ])('refuses more %s than the edge before', (_name, overrides) => {
    expect(decideEdge(further(overrides), inherited(), nowMs)).toMatchObject({
      reason: 'delegation_exceeds_authority',
    });
  });

  it('refuses to drop or loosen the mandate life of the edge before', () => {
    const bound = inherited({ ttlSeconds: 30 });
    expect(decideEdge(further(), bound, nowMs)).toMatchObject({ reason: 'delegation_exceeds_authority' });
    expect(decideEdge(further({ mandateTtlSeconds: 31 }), bound, nowMs)).toMatchObject({
      reason: 'delegation_exceeds_authority',
    });
    expect(decideEdge(further({ mandateTtlSeconds: 30 }), bound, nowMs)).toMatchObject({ kind: 'granted' });
  });

  it('narrows strictly at each hop, so that a chain ends', () => {
    const scopes = fc.uniqueArray(fc.constantFrom('read', 'write', 'send'), { minLength: 1 });
    fc.assert(
      fc.property(
        fc.tuple(scopes, scopes, fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 10 })),
        ([held, asked, before, hops]) => {
          const verdict = decideEdge(
            further({ scopes: asked, maxHops: hops }),
            inherited({ scopes: held, maxHops: before }),
            nowMs,
          );
          const narrower = asked.every((scope) => held.includes(scope)) && hops < before;
          expect(verdict.kind).toBe(narrower ? 'granted' : 'refused');
        },
      ),
    );
  });
});
