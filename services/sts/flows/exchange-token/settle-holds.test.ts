import { describe, expect, it } from 'vitest';
import { Failure } from '#mesh/failure';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import { exchangeToken } from './exchange-token.ts';
import type { TokenGrant, TokenRequest } from './token-request.ts';

type Judge = (input: JsonObject) => JsonValue;

const holds = (rule: JsonValue = 'human_approval'): JsonValue => ({
  ...policyAnswer('allow'),
  diagnostics: [{ step_up_required: rule, why: 'money' }],
});

function setUp(first: Judge = () => holds()) {
  const policy = { judge: first };
  const memory = createMemoryPorts({ judge: (input) => policy.judge(input) });
  const [own, other] = [memory.addApplication(), memory.addApplication()];
  memory.addResource('a', ['read', 'write']);
  memory.addResource('b', ['read', 'write']);
  let count = 0;
  const exchange = async (fields: Partial<TokenRequest> = {}, by = own): Promise<TokenGrant> => {
    count += 1;
    return exchangeToken(memory.ports, {
      asked: { requestId: `r-${count}`, traceId: undefined },
      source: '192.0.2.1',
      zoneId: memory.zone.id,
      applicationId: by.application.id,
      credential: { kind: 'secret', secret: by.secret },
      resources: ['a'],
      scopes: undefined,
      subject: undefined,
      actorToken: undefined,
      agentSessionId: undefined,
      delegationEdgeId: undefined,
      ttlSeconds: undefined,
      challenge: undefined,
      proof: { dpop: undefined, method: 'POST', path: '/oauth/2/token', certificateThumbprint: undefined },
      ...fields,
    });
  };
  const { events } = memory.ports.evidence;
  return { ...memory, policy, events, own, other, exchange };
}

async function refusal(work: Promise<unknown>): Promise<Failure> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof Failure) return error;
  throw new Error('nothing was refused', { cause: error });
}

const text = (failure: Failure, name: string): string => {
  const value = failure.details?.[name];
  return typeof value === 'string' ? value : '';
};

/** Asks, and has it approved; gives what the retry carries. */
async function approved(world: ReturnType<typeof setUp>, fields: Partial<TokenRequest> = {}) {
  const failure = await refusal(world.exchange(fields));
  expect(failure.reason).toBe('interaction_required');
  const challenge = { id: text(failure, 'challenge_id'), secret: text(failure, 'challenge_secret') };
  expect(await world.ports.holds.decide(challenge.id, 'approved', 'alice')).toBe('approved');
  return challenge;
}

describe('an exchange that policy holds', () => {
  it('answers with a challenge, and mints once it is approved, once', async () => {
    const world = setUp();
    const failure = await refusal(world.exchange());
    expect(failure).toMatchObject({ reason: 'interaction_required', details: { challenge_type: 'human_approval' } });
    expect(text(failure, 'challenge_expires_at')).toBe('2026-11-01T00:05:00.000Z');
    const challenge = { id: text(failure, 'challenge_id'), secret: text(failure, 'challenge_secret') };
    const waiting = await refusal(world.exchange({ challenge }));
    expect(waiting).toMatchObject({ reason: 'interaction_required', details: { challenge_id: challenge.id } });
    expect(waiting.details).not.toHaveProperty('challenge_secret');
    await world.ports.holds.decide(challenge.id, 'approved', 'alice');
    const grant = await world.exchange({ challenge });
    expect(grant).toMatchObject({ targets: ['a'], scopes: ['read', 'write'] });
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'challenge_invalid' });
  });

  it('leaves the approval on every event about it, and no secret on any', async () => {
    const world = setUp();
    const challenge = await approved(world, { resources: ['a', 'b'] });
    await world.exchange({ resources: ['a', 'b'], challenge });
    const about = world.events.map(({ decision, metadata }) => [decision, metadata?.['approval_id']]);
    expect(about).toEqual([
      ['deny', challenge.id],
      ['deny', challenge.id],
      ['allow', challenge.id],
      ['allow', challenge.id],
    ]);
    expect(JSON.stringify(world.events)).not.toContain(challenge.secret);
  });

  it('lets one of many at once through', async () => {
    const world = setUp();
    const challenge = await approved(world);
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, async () => world.exchange({ challenge })));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('holds the whole request when one of its resources is held, by the strictest rule of all', async () => {
    const rules: Record<string, JsonValue> = {
      a: { type: 'mfa', approvers: ['alice', 'bob'] },
      b: { type: 'human_approval', approvers: ['alice', 'carol'], ttl_seconds: 60 },
    };
    const world = setUp((input) => holds(rules[(input['resource'] as { identifier: string }).identifier] ?? null));
    const failure = await refusal(world.exchange({ resources: ['b', 'a'] }));
    expect(failure.details).toMatchObject({ challenge_type: 'human_approval' });
    expect(text(failure, 'challenge_expires_at')).toBe('2026-11-01T00:01:00.000Z');
    const challenge = { id: text(failure, 'challenge_id'), secret: text(failure, 'challenge_secret') };
    expect(await world.ports.holds.decide(challenge.id, 'approved', 'bob')).toBe('not_an_approver');
    await world.ports.holds.decide(challenge.id, 'approved', 'alice');
    expect(await refusal(world.exchange({ resources: ['a'], challenge }))).toMatchObject({
      reason: 'challenge_invalid',
    });
    expect((await world.exchange({ resources: ['a', 'b'], challenge })).targets).toEqual(['a', 'b']);
  });

  it('is denied when the rules of its resources leave nobody to approve', async () => {
    const rules: Record<string, JsonValue> = {
      a: { type: 'mfa', approvers: ['bob'] },
      b: { type: 'mfa', approvers: ['carol'] },
    };
    const world = setUp((input) => holds(rules[(input['resource'] as { identifier: string }).identifier] ?? null));
    const failure = await refusal(world.exchange({ resources: ['a', 'b'] }));
    expect(failure).toMatchObject({ reason: 'policy_denied', privateDetail: 'no_approver_left' });
  });

  it('keeps what is allowed beside it back too, and names what is denied when it is granted', async () => {
    const world = setUp((input) => {
      const { identifier } = input['resource'] as { identifier: string };
      return identifier === 'a' ? holds() : policyAnswer('deny');
    });
    const challenge = await approved(world, { resources: ['a', 'b'] });
    const grant = await world.exchange({ resources: ['a', 'b'], challenge });
    expect(grant.targets).toEqual(['a']);
    expect(grant.denied).toMatchObject([{ resource: 'b', error: 'policy_denied' }]);
  });
});

describe('an approval', () => {
  it.each<[string, Partial<TokenRequest>]>([
    ['resource', { resources: ['b'] }],
    ['set of resources', { resources: ['a', 'b'] }],
    ['scope', { scopes: ['read'] }],
  ])('is not good for another %s', async (_name, fields) => {
    const world = setUp();
    const challenge = await approved(world);
    const failure = await refusal(world.exchange({ ...fields, challenge }));
    expect(failure).toMatchObject({ reason: 'challenge_invalid', privateDetail: 'other_action' });
    expect((await world.exchange({ challenge })).targets).toEqual(['a']);
  });

  it('is not good for another application, class of mandate, session record, or policy version', async () => {
    const world = setUp();
    const challenge = await approved(world);
    expect(await refusal(world.exchange({ challenge }, world.other))).toMatchObject({ privateDetail: 'other_action' });
    world.policy.judge = () => policyAnswer('allow');
    const mandates = [await world.exchange(), await world.exchange()];
    world.policy.judge = () => holds();
    const [one, two] = mandates.map(({ accessToken: token }) => ({
      subject: { token, type: 'access_token' as const },
    }));
    expect(await refusal(world.exchange({ ...one, challenge }))).toMatchObject({ reason: 'challenge_invalid' });
    const second = await approved(world, one);
    expect(await refusal(world.exchange({ ...two, challenge: second }))).toMatchObject({ reason: 'challenge_invalid' });
    const version = world.world.policySets.get(world.zone.id);
    if (!version) throw new Error('no policy');
    world.world.policySets.set(world.zone.id, { ...version, digest: 'e'.repeat(64) });
    expect(await refusal(world.exchange({ ...one, challenge: second }))).toMatchObject({ reason: 'challenge_invalid' });
    world.world.policySets.set(world.zone.id, version);
    expect(await world.exchange({ ...one, challenge: second })).toMatchObject({ targets: ['a'] });
  });

  it('is not good once policy asks for a stronger kind or other approvers', async () => {
    const world = setUp(() => holds('mfa'));
    const challenge = await approved(world);
    for (const rule of ['human_approval', { type: 'mfa', approvers: ['alice'] }]) {
      world.policy.judge = () => holds(rule);
      expect(await refusal(world.exchange({ challenge }))).toMatchObject({ privateDetail: 'other_action' });
    }
  });

  it('is not spent on what policy denies, narrowing refuses or lives too long', async () => {
    const world = setUp();
    const challenge = await approved(world);
    world.policy.judge = () => policyAnswer('deny');
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'policy_denied' });
    world.policy.judge = () => holds();
    expect(await refusal(world.exchange({ challenge, scopes: ['admin'] }))).toMatchObject({ reason: 'invalid_scope' });
    expect(await refusal(world.exchange({ challenge, ttlSeconds: 99_999 }))).toMatchObject({
      reason: 'invalid_request',
    });
    expect(await world.exchange({ challenge })).toMatchObject({ targets: ['a'] });
  });

  it('is passed over, and kept, when policy does not ask for it any more', async () => {
    const world = setUp();
    const challenge = await approved(world);
    world.policy.judge = () => policyAnswer('allow');
    expect(await world.exchange({ challenge })).toMatchObject({ targets: ['a'] });
    world.policy.judge = () => holds();
    expect(await world.exchange({ challenge })).toMatchObject({ targets: ['a'] });
  });

  it('is not given back by what fails after it was spent', async () => {
    const world = setUp();
    const challenge = await approved(world);
    world.ports.evidence.usable = false;
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'audit_unavailable' });
    world.ports.evidence.usable = true;
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'challenge_invalid' });
  });

  it('is over after its time, and a rejection is told as one', async () => {
    const world = setUp();
    const late = await approved(world);
    await world.ports.clock.advance(300_000);
    expect(await refusal(world.exchange({ challenge: late }))).toMatchObject({ details: { state: 'expired' } });
    const failure = await refusal(world.exchange());
    const challenge = { id: text(failure, 'challenge_id'), secret: text(failure, 'challenge_secret') };
    await world.ports.holds.decide(challenge.id, 'rejected', 'alice');
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ details: { state: 'rejected' } });
    expect(await refusal(world.exchange())).toMatchObject({
      reason: 'policy_denied',
      privateDetail: 'rejected_before',
      details: { challenge_id: challenge.id },
    });
  });

  it('that is guessed closes the way, and says nothing about which part was wrong', async () => {
    const world = setUp();
    const challenge = await approved(world);
    const wrong = [
      { ...challenge, secret: 'x'.repeat(43) },
      { ...challenge, id: '01900000-0000-7000-8000-0000000fffff' },
      { ...challenge, id: 'x' },
    ];
    const answers = await Promise.all(wrong.map(async (one) => refusal(world.exchange({ challenge: one }))));
    expect(
      new Set(answers.map(({ reason, description, details }) => JSON.stringify([reason, description, details]))).size,
    ).toBe(1);
    for (const one of wrong.slice(0, 2)) await refusal(world.exchange({ challenge: one }));
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'rate_limited' });
    await world.ports.clock.advance(299_000);
    expect(await refusal(world.exchange({ challenge }))).toMatchObject({ reason: 'rate_limited' });
  });
});
