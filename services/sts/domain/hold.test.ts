import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MandateClaims } from '#mesh/mandate';
import { actorsOf, bindingDigest, chainOf } from './hold.ts';
import type { HeldAction } from './hold.ts';

const word = fc.stringMatching(/^[a-z]{1,6}$/);
const targets = fc.uniqueArray(
  fc.record({ resource: word, scopes: fc.uniqueArray(word, { minLength: 1, maxLength: 4 }) }),
  { selector: ({ resource }) => resource, minLength: 1, maxLength: 4 },
);
const operation: fc.Arbitrary<HeldAction['operation']> = fc.oneof(
  fc.record({ kind: fc.constant('token_exchange' as const), use: fc.constantFrom('ambient', 'per_call') }),
  fc.record({
    kind: fc.constant('gateway_call' as const),
    method: fc.constantFrom('GET', 'POST'),
    path: word.map((text) => `/${text}`),
    argumentsDigest: fc.constantFrom('', 'a'.repeat(64), 'b'.repeat(64)),
  }),
);
const action: fc.Arbitrary<HeldAction> = fc.record({
  zoneId: word,
  applicationId: word,
  principal: fc.record({
    subject: word,
    subjectType: fc.constantFrom('user', 'application'),
    actors: fc.array(word, { maxLength: 2 }),
  }),
  session: fc.record(
    { sid: word, agentSessionId: word, delegationEdgeId: word },
    { requiredKeys: [] as ('sid' | 'agentSessionId' | 'delegationEdgeId')[] },
  ),
  targets,
  operation,
  policyDigest: fc.constantFrom('c'.repeat(64), 'd'.repeat(64)),
  rule: fc.record({
    type: fc.constantFrom('mfa', 'human_approval'),
    approvers: fc.option(fc.constantFrom(['x'], ['x', 'y']), { nil: undefined }),
  }),
});

/** The same action in another spelling: order and repetition of what is a set. */
function respelled(of: HeldAction): HeldAction {
  const spelled = of.targets.map(({ resource, scopes }) => ({ resource, scopes: [...scopes, ...scopes].toReversed() }));
  return { ...of, targets: spelled.toReversed() };
}

function normal(of: HeldAction): unknown {
  const sorted = of.targets.map(({ resource, scopes }) => `${resource} ${scopes.toSorted().join(' ')}`).toSorted();
  const { sid = '', agentSessionId = '', delegationEdgeId = '' } = of.session;
  return JSON.stringify([
    { ...of, targets: sorted, session: [sid, agentSessionId, delegationEdgeId] },
    { ...of.operation },
  ]);
}

describe('the binding of a hold', () => {
  it('is the same for the same action, however its sets are ordered', () => {
    fc.assert(
      fc.property(action, (one) => {
        expect(bindingDigest(respelled(one))).toBe(bindingDigest(one));
      }),
    );
  });

  it('differs as soon as anything of the action differs', () => {
    fc.assert(
      fc.property(action, action, (one, other) => {
        fc.pre(normal(one) !== normal(other));
        expect(bindingDigest(other)).not.toBe(bindingDigest(one));
      }),
    );
  });

  const base: HeldAction = {
    zoneId: 'z',
    applicationId: 'a',
    principal: { subject: 's', subjectType: 'user', actors: [] },
    session: { sid: 'i' },
    targets: [
      { resource: 'r', scopes: ['x', 'y'] },
      { resource: 'q', scopes: ['x'] },
    ],
    operation: { kind: 'gateway_call', method: 'GET', path: '/p', argumentsDigest: '' },
    policyDigest: 'd'.repeat(64),
    rule: { type: 'mfa', approvers: undefined },
  };
  const call = base.operation as Extract<HeldAction['operation'], { kind: 'gateway_call' }>;

  it.each<[string, Partial<HeldAction>]>([
    ['zone', { zoneId: 'y' }],
    ['application', { applicationId: 'b' }],
    ['subject', { principal: { ...base.principal, subject: 't' } }],
    ['type of subject', { principal: { ...base.principal, subjectType: 'application' } }],
    ['actor', { principal: { ...base.principal, actors: ['b'] } }],
    ['session record', { session: { sid: 'j' } }],
    ['agent session', { session: { sid: 'i', agentSessionId: 'k' } }],
    ['delegation edge', { session: { sid: 'i', delegationEdgeId: 'k' } }],
    ['resources', { targets: [{ resource: 'r', scopes: ['x', 'y'] }] }],
    [
      'letter case of a resource',
      { targets: base.targets.map((one) => ({ ...one, resource: one.resource.toUpperCase() })) },
    ],
    ['scopes', { targets: base.targets.map((one) => ({ ...one, scopes: ['x'] })) }],
    ['method', { operation: { ...call, method: 'POST' } }],
    ['path', { operation: { ...call, path: '/p/' } }],
    ['arguments', { operation: { ...call, argumentsDigest: 'e'.repeat(64) } }],
    ['place', { operation: { kind: 'token_exchange', use: 'per_call' } }],
    ['kind of approval', { rule: { type: 'human_approval', approvers: undefined } }],
    ['circle of approvers', { rule: { type: 'mfa', approvers: ['x'] } }],
    ['policy version', { policyDigest: 'e'.repeat(64) }],
  ])('is another for another %s', (_name, change) => {
    expect(bindingDigest({ ...base, ...change })).not.toBe(bindingDigest(base));
  });
});

describe('the chain of a request', () => {
  const claims = {
    sub: 'user:issuer-1:ann:the:third',
    client_id: 'client',
    act: { sub: 'actor', act: { sub: 'first-actor', client_id: 'first-client' } },
    delegation_chain: [{ app: 'root-app' }, { app: 'middle-app', session: 's' }],
  } as unknown as MandateClaims;

  it('names everyone who acts, delegates or is acted for, users under both their names', () => {
    const edge = { issuerApplicationId: 'issuer-app', receiverApplicationId: 'receiver-app' };
    const path = { edges: [edge], epoch: 1 } as never;
    const session = { applicationId: 'session-app' } as never;
    expect(chainOf({ applicationId: 'client', claims, session, path })).toEqual(
      [
        ...[
          'client',
          'user:issuer-1:ann:the:third',
          'ann:the:third',
          'actor',
          'first-actor',
          'first-client',
          'root-app',
          'middle-app',
        ],
        ...['issuer-app', 'receiver-app', 'session-app'],
      ].toSorted(),
    );
    expect(actorsOf(claims)).toEqual(['actor', 'first-actor']);
  });

  it('is the application alone when nothing stands above it', () => {
    expect(chainOf({ applicationId: 'a', claims: undefined, session: undefined, path: undefined })).toEqual(['a']);
  });
});
