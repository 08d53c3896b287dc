// What every HoldStore promises, whatever keeps it.
import { expect, it } from 'vitest';
import { newId } from '#mesh/ids';
import { bindingDigest } from '../../../services/sts/domain/hold.ts';
import type { HeldAction } from '../../../services/sts/domain/hold.ts';
import type { HoldRule } from '../../../services/sts/domain/hold-rule.ts';
import type { HoldStore, NewHold, PresentedHold } from '../../../services/sts/ports/hold-store.ts';
import type { DecisionOutcome } from '../../../services/sts/outbound/memory/holds-memory.ts';

export interface HoldsWorld extends AsyncDisposable {
  readonly store: HoldStore;
  readonly zoneId: string;
  readonly otherZoneId: string;
  decide(id: string, decision: 'approved' | 'rejected', approver: string): Promise<DecisionOutcome>;
  /** Makes its time be over. */
  outlive(id: string): Promise<void>;
  /** Lets the installation notice what is over. */
  sweep(): Promise<number>;
  /** Types of the events about a hold, oldest first. */
  events(id: string): Promise<readonly string[]>;
  /** Bytes of the largest event there is. */
  largestEvent(): Promise<number>;
}

const digest = 'd'.repeat(64);
const rule: HoldRule = { type: 'human_approval', approvers: undefined, ttlSeconds: 300 };

interface Variation {
  readonly action?: Partial<HeldAction>;
  readonly rule?: Partial<HoldRule>;
}

function newHold(world: HoldsWorld, applicationId: string, variation: Variation = {}): NewHold {
  const itsRule = { ...rule, ...variation.rule };
  const action: HeldAction = {
    zoneId: world.zoneId,
    applicationId,
    principal: { subject: applicationId, subjectType: 'application', actors: [] },
    session: { sid: '01900000-0000-7000-8000-000000000001' },
    targets: [{ resource: 'resource://a', scopes: ['pay'] }],
    operation: { kind: 'gateway_call', method: 'POST', path: '/pay', argumentsDigest: '' },
    policyDigest: digest,
    rule: itsRule,
    ...variation.action,
  };
  return {
    action,
    binding: bindingDigest(action),
    rule: itsRule,
    chain: [applicationId, 'mallory'],
    diagnostics: [{ step_up_required: itsRule.type }],
    policySetVersionId: newId(),
    requestId: 'asks',
  };
}

async function raised(world: HoldsWorld, hold: NewHold): Promise<PresentedHold> {
  const outcome = await world.store.raise(hold);
  if (outcome.kind !== 'raised' && outcome.kind !== 'joined') throw new Error(outcome.kind);
  const { id, secret } = outcome;
  return { id, secret, binding: hold.binding, action: hold.action, requestId: 'retries' };
}

type Open = () => Promise<HoldsWorld>;

/** Registers the rules; `open` gives a world with two zones. */
export function holdsContract(open: Open): void {
  lifeOfHold(open);
  askingAgain(open);
  limits(open);
}

function lifeOfHold(open: Open): void {
  it('spends what was approved once, and tells every change of its state', async () => {
    await using world = await open();
    const hold = newHold(world, newId());
    const presented = await raised(world, hold);
    expect(await world.store.look(presented)).toMatchObject({ kind: 'pending', type: 'human_approval', decidedBy: '' });
    expect(await world.store.spend(presented)).toMatchObject({ kind: 'pending' });
    expect(await world.decide(presented.id, 'approved', 'alice')).toBe('approved');
    expect(await world.store.look(presented)).toMatchObject({ kind: 'approved', decidedBy: 'alice' });
    expect(await world.store.findSpent(world.zoneId, presented.id, presented.secret)).toBeUndefined();
    expect(await world.store.spend(presented)).toMatchObject({ kind: 'spent', decidedBy: 'alice' });
    expect(await world.store.spend(presented)).toMatchObject({ kind: 'consumed' });
    expect(await world.store.look(presented)).toMatchObject({ kind: 'consumed' });
    expect(await world.store.findSpent(world.zoneId, presented.id, presented.secret)).toEqual({
      binding: hold.binding,
      policyDigest: digest,
      rule: { type: 'human_approval', approvers: undefined },
      decidedBy: 'alice',
      requestId: 'retries',
    });
    expect(await world.events(presented.id)).toEqual(['approval.requested', 'approval.approved', 'approval.consumed']);
  });

  it('lets exactly one of many spend it', async () => {
    await using world = await open();
    const presented = await raised(world, newHold(world, newId()));
    await world.decide(presented.id, 'approved', 'alice');
    const outcomes = await Promise.all(Array.from({ length: 12 }, async () => world.store.spend(presented)));
    expect(outcomes.filter(({ kind }) => kind === 'spent')).toHaveLength(1);
    expect(outcomes.filter(({ kind }) => kind === 'consumed')).toHaveLength(11);
  });

  it('gives nothing to who does not know the secret, acts otherwise, or is in another zone', async () => {
    await using world = await open();
    const presented = await raised(world, newHold(world, newId()));
    const { id, secret } = presented;
    await world.decide(id, 'approved', 'alice');
    expect(await world.store.spend({ ...presented, secret: 'x'.repeat(43) })).toEqual({ kind: 'unknown' });
    expect(await world.store.spend({ ...presented, id: newId() })).toEqual({ kind: 'unknown' });
    expect(await world.store.spend({ ...presented, binding: 'e'.repeat(64) })).toEqual({ kind: 'other_action' });
    const elsewhere = { ...presented.action, zoneId: world.otherZoneId };
    expect(await world.store.spend({ ...presented, action: elsewhere })).toEqual({ kind: 'unknown' });
    for (const odd of ['', 'x', "'; --", 'x'.repeat(10_000), '\u0000']) {
      expect(await world.store.status(id, odd)).toBeUndefined();
      expect(await world.store.status(odd, secret)).toBeUndefined();
      expect(await world.store.findSpent(world.zoneId, odd, secret)).toBeUndefined();
    }
    expect(await world.store.status(id, secret)).toMatchObject({ state: 'approved', zoneId: world.zoneId });
    expect(await world.store.spend(presented)).toMatchObject({ kind: 'spent' });
    expect(await world.store.findSpent(world.otherZoneId, id, secret)).toBeUndefined();
  });

  it('is over when its time is, approved or not', async () => {
    await using world = await open();
    const application = newId();
    const waiting = await raised(world, newHold(world, application));
    const agreed = await raised(world, newHold(world, application, { action: { session: {} } }));
    await world.decide(agreed.id, 'approved', 'alice');
    for (const presented of [waiting, agreed]) {
      await world.outlive(presented.id);
      expect(await world.store.spend(presented)).toMatchObject({ kind: 'expired' });
      expect(await world.store.status(presented.id, presented.secret)).toMatchObject({
        state: 'expired',
        remainingMs: 0,
      });
      expect(await world.decide(presented.id, 'approved', 'alice')).toBe('decided');
    }
    expect(await world.sweep()).toBe(2);
    expect(await world.sweep()).toBe(0);
    expect(await world.events(waiting.id)).toEqual(['approval.requested', 'approval.expired']);
    expect(await world.events(agreed.id)).toEqual(['approval.requested', 'approval.approved', 'approval.expired']);
  });

  it('is decided once, by somebody who may and is no part of the request', async () => {
    await using world = await open();
    const application = newId();
    const only = { approvers: ['alice', 'mallory'] };
    const { id } = await raised(world, newHold(world, application, { rule: only }));
    expect(await world.decide(id, 'approved', application)).toBe('own_chain');
    expect(await world.decide(id, 'approved', 'mallory')).toBe('own_chain');
    expect(await world.decide(id, 'approved', 'bob')).toBe('not_an_approver');
    expect(await world.decide(newId(), 'approved', 'alice')).toBe('not_found');
    const outcomes = await Promise.all([
      world.decide(id, 'rejected', 'alice'),
      world.decide(id, 'approved', 'alice'),
      world.decide(id, 'approved', 'alice'),
    ]);
    expect(outcomes.filter((outcome) => outcome === 'decided')).toHaveLength(2);
    expect(await world.events(id)).toHaveLength(2);
  });
}

function askingAgain(open: Open): void {
  it('keeps whatever a policy says and however much is asked for', async () => {
    await using world = await open();
    const odd = [{ 'why\0': ['\0', '\ud800', { deep: 'x\0y' }], step_up_required: 'mfa' }];
    const scopes = Array.from({ length: 64 }, (_, at) => `${at}`.padStart(200, 's'));
    const targets = Array.from({ length: 64 }, (_, at) => ({ resource: `resource://${at}`, scopes }));
    const hold = { ...newHold(world, newId(), { action: { targets } }), diagnostics: odd };
    const presented = await raised(world, hold);
    expect(await world.store.look(presented)).toMatchObject({ kind: 'pending' });
    expect(await world.events(presented.id)).toEqual(['approval.requested']);
    expect(await world.largestEvent()).toBeLessThan(100_000);
  });

  it('is one hold for one action, with a secret for each who asks', async () => {
    await using world = await open();
    const hold = newHold(world, newId());
    const asked = await Promise.all(Array.from({ length: 4 }, async () => raised(world, hold)));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(new Set(asked.map(({ secret }) => secret)).size).toBe(4);
    const [first, last] = [asked[0], asked[3]];
    if (!first || !last) throw new Error('not asked');
    await world.decide(first.id, 'approved', 'alice');
    const late = await raised(world, hold);
    expect(late.id).toBe(first.id);
    expect(await world.store.look(late)).toMatchObject({ kind: 'approved' });
    expect(await world.store.spend(last)).toMatchObject({ kind: 'spent' });
    expect(await world.store.spend(first)).toMatchObject({ kind: 'consumed' });
    expect((await raised(world, hold)).id).not.toBe(first.id);
    expect((await world.events(first.id)).filter((type) => type === 'approval.requested')).toHaveLength(1);
  });

  it('stays rejected as long as it would have lived', async () => {
    await using world = await open();
    const hold = newHold(world, newId());
    const presented = await raised(world, hold);
    expect(await world.decide(presented.id, 'rejected', 'alice')).toBe('rejected');
    expect(await world.decide(presented.id, 'approved', 'bob')).toBe('decided');
    expect(await world.store.spend(presented)).toMatchObject({ kind: 'rejected' });
    expect(await world.store.raise(hold)).toMatchObject({ kind: 'rejected', id: presented.id });
    await world.outlive(presented.id);
    expect(await world.store.raise(hold)).toMatchObject({ kind: 'raised' });
    expect(await world.store.look(presented)).toMatchObject({ kind: 'rejected' });
  });

  it('makes room for the same action when the one before is over', async () => {
    await using world = await open();
    const hold = newHold(world, newId());
    const first = await raised(world, hold);
    await world.outlive(first.id);
    const second = await raised(world, hold);
    expect(second.id).not.toBe(first.id);
    expect(await world.events(first.id)).toEqual(['approval.requested', 'approval.expired']);
  });
}

function limits(open: Open): void {
  it('lets one principal wait for so many at once, and one hold be asked about so often', async () => {
    await using world = await open();
    const application = newId();
    const nth = (at: number): NewHold => newHold(world, application, { action: { session: { sid: `s-${at}` } } });
    for (let at = 0; at < 16; at += 1) await raised(world, nth(at));
    const refused = await world.store.raise(nth(16));
    expect(refused).toMatchObject({ kind: 'too_many' });
    expect('retryAfterMs' in refused && refused.retryAfterMs > 0).toBe(true);
    expect(await world.store.raise(newHold(world, newId()))).toMatchObject({ kind: 'raised' });
    for (let at = 1; at < 8; at += 1) expect(await world.store.raise(nth(0))).toMatchObject({ kind: 'joined' });
    expect(await world.store.raise(nth(0))).toMatchObject({ kind: 'too_many' });
  });

  it('closes the way after five wrong presentations of one principal, for that principal alone', async () => {
    await using world = await open();
    const presented = await raised(world, newHold(world, newId()));
    const other = await raised(world, newHold(world, newId()));
    await world.decide(presented.id, 'approved', 'alice');
    await world.decide(other.id, 'approved', 'alice');
    for (let at = 0; at < 5; at += 1) {
      expect(await world.store.look({ ...presented, secret: 'x'.repeat(43) })).toEqual({ kind: 'unknown' });
    }
    const blocked = await world.store.spend(presented);
    expect(blocked).toMatchObject({ kind: 'throttled' });
    expect('retryAfterMs' in blocked && blocked.retryAfterMs > 240_000).toBe(true);
    expect(await world.store.spend(other)).toMatchObject({ kind: 'spent' });
  });

  it('forgets wrong presentations once a right one was spent', async () => {
    await using world = await open();
    const application = newId();
    const one = await raised(world, newHold(world, application));
    const two = await raised(world, newHold(world, application, { action: { session: {} } }));
    await world.decide(one.id, 'approved', 'alice');
    const wrong = { ...two, secret: 'x'.repeat(43) };
    for (let at = 0; at < 4; at += 1) await world.store.look(wrong);
    expect(await world.store.spend(one)).toMatchObject({ kind: 'spent' });
    for (let at = 0; at < 4; at += 1) await world.store.look(wrong);
    expect(await world.store.look(two)).toMatchObject({ kind: 'pending' });
  });
}
