// Nonces of a service over its replicas, and what a caller is told.
import { NOW_MS, NOW_SECONDS } from '#test/mandates';
import { holderKey, makeProof } from '#test/proofs';
import { Failure } from '#mesh/failure';
import { ManualClock } from '#mesh/time';
import { describe, expect, it } from 'vitest';
import { createDpopChecker, createServiceNonces, type ProofNonces, type ProofPlace } from './index.ts';

const current = Buffer.alloc(32, 1);
const previous = Buffer.alloc(32, 2);
const key = holderKey();
const url = 'https://sts.example/oauth/2/token';

function checkerAt(clock: ManualClock, place: ProofPlace = 'token_endpoint', nonces?: ProofNonces) {
  const own = nonces ?? createServiceNonces('sts', { current }, clock);
  return createDpopChecker({ place, publicUrls: ['https://sts.example'], nonces: own, clock });
}

function refusal(work: () => unknown): string {
  try {
    work();
    return 'nothing';
  } catch (error) {
    return error instanceof Failure ? `${error.reason} ${error.privateDetail}` : 'thrown';
  }
}

const question = (dpop: string) => ({ dpop, method: 'POST', target: '/oauth/2/token' });

describe('a nonce', () => {
  it('is good at every replica for a minute', async () => {
    const clock = new ManualClock(NOW_MS);
    const [one, other] = [
      createServiceNonces('sts', { current }, clock),
      createServiceNonces('sts', { current }, clock),
    ];
    const nonce = one.issue();
    expect(nonce).toMatch(/^[A-Za-z0-9_-]{30}$/);
    await clock.advance(59_999);
    expect(other.issuedAtMs(nonce)).toBe(NOW_MS);
    await clock.advance(1);
    expect(other.issuedAtMs(nonce)).toBeUndefined();
    expect(other.issuedAtMs(nonce, 10_000)).toBe(NOW_MS);
  });

  it('goes on being good while its key is rotated out', () => {
    const clock = new ManualClock(NOW_MS);
    const before = createServiceNonces('sts', { current: previous }, clock).issue();
    expect(createServiceNonces('sts', { current, previous }, clock).issuedAtMs(before)).toBe(NOW_MS);
    expect(createServiceNonces('sts', { current }, clock).issuedAtMs(before)).toBeUndefined();
  });

  it('is none of another service’s, from the future, or changed', () => {
    const clock = new ManualClock(NOW_MS);
    const nonces = createServiceNonces('sts', { current }, clock);
    const nonce = nonces.issue();
    expect(createServiceNonces('gateway', { current }, clock).issuedAtMs(nonce)).toBeUndefined();
    expect(createServiceNonces('sts', { current }, new ManualClock(NOW_MS - 5_001)).issuedAtMs(nonce)).toBeUndefined();
    for (const wrong of ['', 'x', `${nonce}A`, nonce.slice(1), `B${nonce.slice(1)}`, 'A'.repeat(30)]) {
      expect(nonces.issuedAtMs(wrong)).toBeUndefined();
    }
  });
});

describe('a checked proof', () => {
  it('says how long it must be remembered', () => {
    const clock = new ManualClock(NOW_MS);
    const checker = checkerAt(clock);
    expect(checker.check(question(makeProof({ key, url, iat: NOW_SECONDS })))).toEqual({
      jkt: key.jkt,
      replayId: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as string,
      ttlMs: 70_000,
      issuedAtMs: NOW_MS - 60_000,
      hasNonce: false,
    });
    const nonce = checker.nonce();
    expect(checker.check(question(makeProof({ key, url, iat: 1, nonce })))).toMatchObject({
      issuedAtMs: NOW_MS,
      hasNonce: true,
    });
  });

  it('is refused in the words of its place', () => {
    const clock = new ManualClock(NOW_MS);
    const stale = question(makeProof({ key, url, iat: NOW_SECONDS - 600 }));
    const wrong = question(makeProof({ key, url: 'https://evil.example/', iat: NOW_SECONDS }));
    expect(refusal(() => checkerAt(clock).check(wrong))).toBe('invalid_dpop_proof wrong_uri');
    expect(refusal(() => checkerAt(clock).check(stale))).toBe('use_dpop_nonce clock');
    expect(refusal(() => checkerAt(clock, 'resource').check(wrong))).toBe('dpop_proof_rejected wrong_uri');
    expect(refusal(() => checkerAt(clock, 'resource').check(stale))).toBe('dpop_nonce_required clock');
  });

  it('is bound to the path that was asked for, without its query', () => {
    const clock = new ManualClock(NOW_MS);
    const dpop = makeProof({ key, url, iat: NOW_SECONDS });
    expect(checkerAt(clock).check({ dpop, method: 'POST', target: '/oauth/2/token?x=1' }).jkt).toBe(key.jkt);
    expect(refusal(() => checkerAt(clock).check({ dpop, method: 'POST', target: '/oauth2/token' }))).toContain(
      'wrong_uri',
    );
  });
});
