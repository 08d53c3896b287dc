import { tokenRequest } from '#test/exchange-world';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import { exchangeToken } from '../exchange-token/exchange-token.ts';
import { authorizeCall } from './authorize-call.ts';
import type { CallQuestion, CallRefused, CallVerdict } from './call-question.ts';

const holds = (rule: JsonValue = 'human_approval'): JsonValue => ({
  ...policyAnswer('allow'),
  diagnostics: [{ step_up_required: rule }],
});

type Judge = (input: JsonObject) => JsonValue;

async function setUp() {
  const policy: { judge: Judge } = { judge: () => policyAnswer('allow') };
  const memory = createMemoryPorts({ judge: (input) => policy.judge(input) });
  const { application, secret } = memory.addApplication();
  memory.addResource('a', ['read', 'write']);
  const grant = await exchangeToken(memory.ports, tokenRequest(memory, { id: application.id, secret }));
  policy.judge = () => holds();
  memory.ports.evidence.events.length = 0;
  const ask = async (more: Partial<CallQuestion> = {}): Promise<CallVerdict> =>
    authorizeCall(memory.ports, {
      asked: { requestId: 'call', traceId: undefined },
      mandate: grant.accessToken,
      zoneId: memory.zone.id,
      resource: 'a',
      method: 'POST',
      path: '/pay',
      proven: {},
      ...more,
    });
  return { ...memory, policy, application, ask };
}

function refused(verdict: CallVerdict): CallRefused['failure'] {
  if (verdict.kind !== 'refused') throw new Error('allowed');
  return verdict.failure;
}

async function approved(world: Awaited<ReturnType<typeof setUp>>, more: Partial<CallQuestion> = {}) {
  const { details } = refused(await world.ask(more));
  const text = (name: string): string => {
    const value = details?.[name];
    return typeof value === 'string' ? value : '';
  };
  const challenge = { id: text('challenge_id'), secret: text('challenge_secret') };
  expect(await world.ports.holds.decide(challenge.id, 'approved', 'alice')).toBe('approved');
  return challenge;
}

describe('a call that policy holds', () => {
  it('goes through once with its approval, by a verdict that is good for nothing else', async () => {
    const world = await setUp();
    const challenge = await approved(world);
    expect(await world.ask({ challenge })).toMatchObject({ kind: 'allowed', reusable: false });
    expect(refused(await world.ask({ challenge }))).toMatchObject({ reason: 'challenge_invalid' });
    const about = world.ports.evidence.events.map(({ decision, metadata }) => [decision, metadata?.['approval_id']]);
    expect(about).toEqual([
      ['deny', challenge.id],
      ['allow', challenge.id],
      ['deny', challenge.id],
    ]);
  });

  it.each<[string, Partial<CallQuestion>]>([
    ['method', { method: 'PUT' }],
    ['path', { path: '/pay/all' }],
    ['query', { argumentsDigest: 'a'.repeat(64) }],
  ])('needs another approval for another %s', async (_name, other) => {
    const world = await setUp();
    const challenge = await approved(world);
    expect(refused(await world.ask({ ...other, challenge }))).toMatchObject({ reason: 'challenge_invalid' });
    expect(await world.ask({ challenge })).toMatchObject({ kind: 'allowed' });
  });

  it('lets one of many at once through', async () => {
    const world = await setUp();
    const challenge = await approved(world);
    const verdicts = await Promise.all(Array.from({ length: 10 }, async () => world.ask({ challenge })));
    expect(verdicts.filter(({ kind }) => kind === 'allowed')).toHaveLength(1);
  });

  it('is denied, and its approval kept, when its mandate is revoked or policy denies', async () => {
    const world = await setUp();
    const challenge = await approved(world);
    world.policy.judge = () => policyAnswer('deny');
    expect(refused(await world.ask({ challenge }))).toMatchObject({ reason: 'policy_denied' });
    world.policy.judge = () => holds();
    world.ports.revocations.revoke(world.zone.id, { kind: 'application', id: world.application.id });
    expect(refused(await world.ask({ challenge }))).toMatchObject({ reason: 'token_revoked' });
    expect(await world.ports.holds.status(challenge.id, challenge.secret)).toMatchObject({ state: 'approved' });
  });
});

describe('a call whose answer is open under a spent approval', () => {
  const open = async (rule: JsonValue = 'human_approval') => {
    const world = await setUp();
    world.policy.judge = () => holds(rule);
    const challenge = await approved(world);
    expect(await world.ask({ challenge })).toMatchObject({ kind: 'allowed' });
    return { ...world, challenge, again: async () => world.ask({ challenge, again: true }) };
  };
  const activate = (world: Awaited<ReturnType<typeof setUp>>): void => {
    const version = world.world.policySets.get(world.zone.id);
    if (version) world.world.policySets.set(world.zone.id, { ...version, digest: 'e'.repeat(64) });
  };

  it('goes on, however often it is decided again, and raises nothing', async () => {
    const world = await open();
    for (let time = 0; time < 10; time += 1) expect(await world.again()).toMatchObject({ kind: 'allowed' });
    expect(world.ports.holds.events.map(({ eventType }) => eventType)).toEqual([
      'approval.requested',
      'approval.approved',
      'approval.consumed',
    ]);
  });

  it('goes on under another version that asks for no more, and without any hold', async () => {
    const world = await open();
    activate(world);
    expect(await world.again()).toMatchObject({ kind: 'allowed' });
    world.policy.judge = () => holds({ type: 'mfa', approvers: ['alice'] });
    expect(await world.again()).toMatchObject({ kind: 'allowed' });
    world.policy.judge = () => policyAnswer('allow');
    expect(await world.again()).toMatchObject({ kind: 'allowed' });
  });

  it('ends when policy denies now, or asks for more than was approved', async () => {
    const world = await open('mfa');
    for (const judge of [() => policyAnswer('deny'), () => holds(), () => holds({ type: 'mfa', approvers: ['bob'] })]) {
      world.policy.judge = judge;
      expect(refused(await world.again())).toMatchObject({ reason: 'policy_denied' });
    }
  });

  it('is no way to use an approval that was spent by another request, for something else, or not at all', async () => {
    const world = await open();
    const { challenge } = world;
    const other = { requestId: 'another', traceId: undefined };
    expect(refused(await world.ask({ challenge, again: true, asked: other }))).toMatchObject({
      reason: 'policy_denied',
    });
    expect(refused(await world.ask({ challenge, again: true, path: '/x' }))).toMatchObject({ reason: 'policy_denied' });
    expect(refused(await world.ask({ again: true }))).toMatchObject({ reason: 'policy_denied' });
    const wrong = { ...challenge, secret: 'x'.repeat(43) };
    expect(refused(await world.ask({ challenge: wrong, again: true }))).toMatchObject({ reason: 'policy_denied' });
    const unspent = await approved(world, { path: '/other' });
    expect(refused(await world.ask({ challenge: unspent, again: true, path: '/other' }))).toMatchObject({
      reason: 'policy_denied',
    });
  });
});
