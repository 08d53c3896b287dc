import { describe, expect, it } from 'vitest';
import { ISSUER, ZONE, ambientClaims } from '../../../test/support/mandates.ts';
import { accept } from './audience.ts';
import type { AcceptanceRefusal, Verifier } from './audience.ts';

const resource = 'resource://orders';
const ambient = ambientClaims({ scope: 'orders:read agent:lifecycle' });
const perCall = ambientClaims({ use: 'per_call', aud: [resource], scope: 'orders:read' });

type Expected = 'accepted' | AcceptanceRefusal;
const table: readonly (readonly [Verifier, string, ReturnType<typeof ambientClaims>, Expected])[] = [
  ['token_endpoint', 'an ambient mandate', ambient, 'accepted'],
  ['token_endpoint', 'a per_call mandate', perCall, 'wrong_class'],
  ['token_endpoint', 'an ambient mandate for someone else', { ...ambient, aud: [resource] }, 'wrong_audience'],
  [
    'token_endpoint',
    'an ambient mandate for more than the issuer',
    { ...ambient, aud: [ISSUER, resource] },
    'wrong_audience',
  ],
  ['gateway', 'an ambient mandate', ambient, 'accepted'],
  ['gateway', 'a per_call mandate', perCall, 'accepted'],
  ['gateway', 'an ambient mandate without this target', { ...ambient, target: ['resource://x'] }, 'wrong_target'],
  ['gateway', 'an ambient mandate without target', ambientClaims({ target: [] }), 'wrong_target'],
  ['gateway', 'a per_call mandate of another audience', { ...perCall, aud: ['resource://x'] }, 'wrong_audience'],
  ['gateway', 'a per_call mandate for the issuer', { ...perCall, aud: [ISSUER] }, 'wrong_audience'],
  ['gateway', 'a per_call mandate without this target', { ...perCall, target: ['resource://x'] }, 'wrong_target'],
  ['session_mint', 'an ambient mandate with lifecycle', ambient, 'accepted'],
  ['session_mint', 'an ambient mandate without lifecycle', { ...ambient, scope: 'orders:read' }, 'missing_scope'],
  ['session_mint', 'a per_call mandate', { ...perCall, scope: 'agent:lifecycle' }, 'wrong_class'],
];

describe('the acceptance table', () => {
  it.each(table)('at %s, %s: %4$s', (...[verifier, , claims, expected]) => {
    const verdict = accept(claims, { verifier, issuer: ISSUER, zoneId: ZONE, resource });
    expect(verdict.kind === 'accepted' ? 'accepted' : verdict.cause).toBe(expected);
  });

  it.each(['token_endpoint', 'gateway', 'session_mint'] as const)(
    'refuses upstream mandates, other zones and unproven keys at %s',
    (verifier) => {
      const place = { verifier, issuer: ISSUER, zoneId: ZONE, resource };
      const cause = (claims: typeof ambient): unknown => accept(claims, place);
      expect(cause({ ...ambient, via: 'gateway' })).toEqual({ kind: 'refused', cause: 'upstream_mandate' });
      expect(cause({ ...ambient, zone_id: 'other' })).toEqual({ kind: 'refused', cause: 'wrong_zone' });
      expect(cause({ ...ambient, cnf: { jkt: 'x' } })).toEqual({ kind: 'refused', cause: 'proof_required' });
    },
  );
});
