import { readFileSync } from 'node:fs';
import { Reason, ReasonSchema } from '#gen/caracal/failure/v1/failure_pb';
import { describe, expect, test } from 'vitest';
import { catalogue, connectCodeNames, isFailureReason, reasonOfNumber, renderErrorReference } from './index.ts';

const entries = Object.entries(catalogue);

describe('the catalogue', () => {
  test('has exactly the reasons and numbers of the proto enum', () => {
    const proto = ReasonSchema.values
      .filter(({ number }) => number !== Reason.UNSPECIFIED)
      .map(({ name, number }) => [name.replace(/^REASON_/, '').toLowerCase(), number]);
    expect(entries.map(([reason, { number }]) => [reason, number])).toEqual(proto);
  });

  test('is what docs/reference/errors.md lists, row for row', () => {
    const squeeze = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => line.startsWith('| `'))
        .map((line) => line.replaceAll(/ +/g, ' ').trim());
    const page = squeeze(readFileSync('docs/reference/errors.md', 'utf8'));
    expect(page).toEqual(squeeze(renderErrorReference()));
    expect(page).toHaveLength(entries.length);
  });

  test('gives every reason a code of Connect, an error status and a public sentence', () => {
    for (const [reason, { code, httpStatus, sentence }] of entries) {
      expect(connectCodeNames, reason).toContain(code);
      expect(httpStatus, reason).toBeGreaterThanOrEqual(400);
      expect(sentence, reason).toMatch(/^[A-Z].{8,}\.$/);
    }
  });

  test('answers 401 exactly where a credential was not accepted', () => {
    const unauthorized = entries.filter(([, { httpStatus }]) => httpStatus === 401).map(([reason]) => reason);
    expect(unauthorized.toSorted()).toEqual([
      'challenge_invalid',
      'dpop_nonce_required',
      'dpop_proof_rejected',
      'interaction_required',
      'invalid_admin_token',
      'invalid_client',
      'invalid_token',
      'token_replayed',
      'token_revoked',
      'unauthenticated',
    ]);
    for (const [reason, { code }] of entries)
      expect(code === 'unauthenticated', reason).toBe(unauthorized.includes(reason));
  });

  test("shows a standard's word where one names the case, and the reason itself everywhere else", () => {
    const different = entries.filter(([reason, { oauthError }]) => oauthError !== reason);
    expect(different.map(([reason, { oauthError }]) => [reason, oauthError])).toEqual([
      ['token_replayed', 'invalid_token'],
      ['token_revoked', 'invalid_token'],
      ['dpop_proof_rejected', 'invalid_dpop_proof'],
      ['dpop_nonce_required', 'use_dpop_nonce'],
      ['challenge_invalid', 'access_denied'],
      ['policy_engine_unavailable', 'policy_unavailable'],
    ]);
  });

  test.each([
    ['request_timeout', 408],
    ['payload_too_large', 413],
    ['unsupported_media_type', 415],
    ['method_not_allowed', 405],
    ['not_found', 404],
    ['version_mismatch', 412],
    ['policy_unavailable', 403],
    ['zone_session_limit', 429],
    ['upstream_unreachable', 502],
    ['upstream_timeout', 504],
    ['barrier_timeout', 504],
    ['revocation_stale', 503],
    ['draining', 503],
  ] as const)('answers %s with status %i', (reason, status) => {
    expect(catalogue[reason].httpStatus).toBe(status);
  });

  test('cannot be changed', () => {
    expect(Object.isFrozen(catalogue)).toBe(true);
    expect(entries.every(([, entry]) => Object.isFrozen(entry))).toBe(true);
  });

  test('knows its reasons by number and by name, and nothing an object inherits', () => {
    for (const [reason, { number }] of entries) expect(reasonOfNumber(number)).toBe(reason);
    expect(reasonOfNumber(0)).toBeUndefined();
    expect(reasonOfNumber(999)).toBeUndefined();
    expect(isFailureReason('toString')).toBe(false);
    expect(isFailureReason('__proto__')).toBe(false);
    expect(isFailureReason(3)).toBe(false);
    expect(isFailureReason('conflict')).toBe(true);
  });
});
