import { describe, expect, it } from 'vitest';
import { judgeKeys } from './judge-keys.ts';
import type { KeyUse } from './key-traffic.ts';

const use = (about: Partial<KeyUse>): KeyUse => ({
  ...{ place: 'gateway', replica: 0, kid: 'old', sentAtMs: 0, doneAtMs: 10, status: 200, reason: 'served' },
  ...about,
});
const lives = [
  { kid: 'old', retiring: { askedAtMs: 100, appliedAtMs: 200 } },
  { kid: 'new', signsFromMs: 1000 },
];

describe('the judge of key drills', () => {
  it('calls a refusal of what a living key signed a failure', () => {
    const refusal = { status: 401, reason: 'invalid_token' };
    expect(judgeKeys([use(refusal)], lives).failed).toHaveLength(1);
    expect(judgeKeys([use({ ...refusal, kid: 'new' })], lives).failed).toHaveLength(1);
    expect(judgeKeys([use({ ...refusal, kid: 'unheard of' })], lives).failed).toHaveLength(1);
  });

  it('lets a retiring key be refused from the moment its end was asked for', () => {
    expect(judgeKeys([use({ status: 401, doneAtMs: 100 })], lives)).toMatchObject({ failed: [], refused: 1 });
  });

  it('lets no retired key be accepted once every replica had confirmed', () => {
    expect(judgeKeys([use({ sentAtMs: 200 })], lives).accepted).toEqual([]);
    expect(judgeKeys([use({ sentAtMs: 201 })], lives).accepted).toHaveLength(1);
  });

  it('lets no key sign before its time', () => {
    expect(judgeKeys([use({ place: 'mint', kid: 'new', doneAtMs: 700 })], lives).early).toHaveLength(1);
    expect(judgeKeys([use({ place: 'mint', kid: 'new', doneAtMs: 1000 })], lives).early).toEqual([]);
  });

  it('counts a service that is away as neither', () => {
    const judged = judgeKeys([use({ status: 503 }), use({ status: 0, sentAtMs: 300 })], lives);
    expect(judged).toMatchObject({ failed: [], accepted: [], unavailable: 2 });
  });
});
