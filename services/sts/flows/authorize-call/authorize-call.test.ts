import { tokenRequest } from '#test/exchange-world';
import { describe, expect, it } from 'vitest';
import { policyAnswer } from '../../outbound/memory/judging-memory.ts';
import { createMemoryPorts } from '../../outbound/memory/ports-memory.ts';
import type { MemoryOptions } from '../../outbound/memory/ports-memory.ts';
import { exchangeToken } from '../exchange-token/exchange-token.ts';
import { authorizeCall } from './authorize-call.ts';
import type { CallQuestion, CallVerdict } from './call-question.ts';

const asked = { requestId: 'r', traceId: undefined };

async function setUp(options: MemoryOptions = {}) {
  const memory = createMemoryPorts(options);
  const { application, secret } = memory.addApplication();
  memory.addResource('a', ['read', 'write']);
  const grant = await exchangeToken(memory.ports, tokenRequest(memory, { id: application.id, secret }));
  memory.ports.evidence.events.length = 0;
  const ask = async (more: Partial<CallQuestion> = {}): Promise<CallVerdict> =>
    authorizeCall(memory.ports, {
      asked,
      mandate: grant.accessToken,
      zoneId: memory.zone.id,
      resource: 'a',
      method: 'GET',
      path: '/x',
      proven: {},
      ...more,
    });
  return { ...memory, application, ask };
}

const refusedFor = (verdict: CallVerdict): string => (verdict.kind === 'refused' ? verdict.failure.reason : 'allowed');

describe('a governed call', () => {
  it('leaves exactly one event, before its verdict, whatever the verdict is', async () => {
    const decisions = ['allow', 'deny'] as const;
    for (const decision of decisions) {
      let answer: (typeof decisions)[number] = 'allow';
      const world = await setUp({ judge: () => policyAnswer(answer) });
      answer = decision;
      const verdict = await world.ask();
      expect(verdict.eventId).toBe('event-1');
      expect(world.ports.evidence.events).toMatchObject([{ eventType: 'gateway.decision', decision }]);
    }
  });

  it('is refused when its mandate is revoked while policy is being asked', async () => {
    const hooks: { before?: () => void } = {};
    const world = await setUp({
      judge: () => {
        hooks.before?.();
        return policyAnswer('allow');
      },
    });
    hooks.before = () => world.ports.revocations.revoke(world.zone.id, { kind: 'subject', id: world.application.id });
    expect(refusedFor(await world.ask())).toBe('token_revoked');
    expect(world.ports.evidence.events).toHaveLength(1);
  });

  it('is refused in the ledger of its own zone once its signature has verified, revoked and at the wrong place', async () => {
    const world = await setUp();
    world.addResource('b', ['read']);
    const elsewhere = await world.ask({ resource: 'b' });
    world.ports.revocations.revoke(world.zone.id, { kind: 'subject', id: world.application.id });
    const revoked = await world.ask();
    expect([refusedFor(elsewhere), refusedFor(revoked)]).toEqual(['invalid_token', 'token_revoked']);
    expect(world.ports.evidence.events.map(({ zoneId }) => zoneId)).toEqual([world.zone.id, world.zone.id]);
  });

  it('says when it was asked while its answer was open', async () => {
    const world = await setUp();
    await world.ask();
    await world.ask({ again: true });
    const marks = world.ports.evidence.events.map(({ metadata }) => metadata?.['decided_again']);
    expect(marks).toEqual([undefined, true]);
  });

  it('is refused without evidence, while stale, and after its mandate expired', async () => {
    const world = await setUp();
    world.ports.evidence.usable = false;
    expect(await world.ask()).toMatchObject({ kind: 'refused', eventId: '' });
    world.ports.evidence.usable = true;
    world.ports.revocations.usable = false;
    expect(refusedFor(await world.ask())).toBe('revocation_stale');
    world.ports.revocations.usable = true;
    expect(refusedFor(await world.ask())).toBe('allowed');
    await world.ports.clock.advance(901_000);
    expect(refusedFor(await world.ask())).toBe('invalid_token');
  });

  it('may be answered again for five seconds at most, and no longer than the mandate lives', async () => {
    const world = await setUp();
    const first = await world.ask();
    const now = world.ports.clock.now();
    expect(first.kind === 'allowed' && first.validUntilMs - now).toBe(5000);
    await world.ports.clock.advance(898_000);
    const last = await world.ask();
    expect(last.kind === 'allowed' && last.validUntilMs - world.ports.clock.now()).toBe(2000);
  });

  it('is refused when the resource lost its provider, and by a policy set that is gone', async () => {
    const world = await setUp();
    world.addResource('a', ['read', 'write'], { providerId: 'gone' });
    expect(refusedFor(await world.ask())).toBe('credential_not_releasable');
    world.addResource('a', ['read', 'write']);
    world.world.policySets.clear();
    expect(refusedFor(await world.ask())).toBe('policy_denied');
    world.world.resources.clear();
    expect(refusedFor(await world.ask())).toBe('not_found');
  });
});
