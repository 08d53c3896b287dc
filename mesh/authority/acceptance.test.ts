// Every cell of "Who accepts what": each verifier with each class, audience, target, origin, key binding, zone and scope.
import { describe, expect, it } from 'vitest';
import { acceptance, isProven, lifecycleScope, refuseMandate } from './acceptance.ts';
import type { AcceptedClaims, MandatePlace } from './acceptance.ts';

const issuer = 'https://sts.test';
const resource = 'resource://orders';
const other = 'resource://bills';
const zoneId = 'zone-a';

const audiences = {
  issuer: [issuer],
  'issuer and resource': [issuer, resource],
  resource: [resource],
  'resource and another': [resource, other],
  another: [other],
} as const;
const targets = {
  none: undefined,
  resource: [resource],
  'resource and another': [resource, other],
  another: [other],
} as const;
const uses = ['ambient', 'per_call'] as const;
const places = ['token_endpoint', 'coordinator', 'gateway', 'watch_revocations', 'resource'] as const;
const bindings = {
  free: { cnf: undefined, proven: undefined, isProven: true },
  'free with a proof': { cnf: undefined, proven: { jkt: 'k' }, isProven: true },
  'bound and proven': { cnf: { jkt: 'k' }, proven: { jkt: 'k' }, isProven: true },
  'bound, nothing proven': { cnf: { jkt: 'k' }, proven: undefined, isProven: false },
  'bound, another key proven': { cnf: { jkt: 'k' }, proven: { jkt: 'l' }, isProven: false },
  'bound to a key, certificate proven': { cnf: { jkt: 'k' }, proven: { x5tS256: 'k' }, isProven: false },
  'bound to a certificate and proven': { cnf: { 'x5t#S256': 'c' }, proven: { x5tS256: 'c' }, isProven: true },
  'bound to both, one proven': { cnf: { jkt: 'k', 'x5t#S256': 'c' }, proven: { jkt: 'k' }, isProven: false },
  'bound to nothing known': { cnf: {}, proven: { jkt: 'k' }, isProven: false },
} as const;

type Audience = keyof typeof audiences;
type Target = keyof typeof targets;
interface Row {
  readonly use: (typeof uses)[number];
  readonly aud: readonly Audience[];
  readonly target: readonly Target[];
  readonly via: readonly ('none' | 'gateway')[];
  readonly lifecycle: readonly boolean[];
}

const anyTarget = ['none', 'resource', 'resource and another', 'another'] as const;
const holding = ['resource', 'resource and another'] as const;
const either = [true, false] as const;

/** What authority.md accepts, written out by hand; a proof where bound and the right zone are needed everywhere. */
const accepted: { readonly [P in MandatePlace['at']]: readonly Row[] } = {
  token_endpoint: [{ use: 'ambient', aud: ['issuer'], target: anyTarget, via: ['none'], lifecycle: either }],
  coordinator: [{ use: 'ambient', aud: ['issuer'], target: anyTarget, via: ['none'], lifecycle: [true] }],
  gateway: [
    { use: 'ambient', aud: ['issuer'], target: holding, via: ['none'], lifecycle: either },
    {
      use: 'per_call',
      aud: ['resource', 'resource and another', 'issuer and resource'],
      target: holding,
      via: ['none'],
      lifecycle: either,
    },
  ],
  watch_revocations: [{ use: 'ambient', aud: ['issuer'], target: anyTarget, via: ['none'], lifecycle: either }],
  resource: [{ use: 'per_call', aud: ['resource'], target: anyTarget, via: ['none', 'gateway'], lifecycle: either }],
};

interface Case {
  readonly use: (typeof uses)[number];
  readonly aud: Audience;
  readonly target: Target;
  readonly via: 'none' | 'gateway';
  readonly lifecycle: boolean;
  readonly zone: string;
  readonly binding: keyof typeof bindings;
}

function* cases(): Generator<Case> {
  for (const use of uses)
    for (const aud of Object.keys(audiences) as Audience[])
      for (const target of Object.keys(targets) as Target[])
        for (const via of ['none', 'gateway'] as const)
          for (const lifecycle of either)
            for (const zone of [zoneId, 'zone-b'])
              for (const binding of Object.keys(bindings) as (keyof typeof bindings)[])
                yield { use, aud, target, via, lifecycle, zone, binding };
}

function claimsOf(one: Case): AcceptedClaims {
  const target = targets[one.target];
  const { cnf } = bindings[one.binding];
  return {
    use: one.use,
    aud: audiences[one.aud],
    zone_id: one.zone,
    scope: one.lifecycle ? `orders:read ${lifecycleScope}` : 'orders:read',
    ...(target ? { target } : {}),
    ...(cnf ? { cnf } : {}),
    ...(one.via === 'gateway' ? { via: 'gateway' } : {}),
  };
}

function placeOf(at: MandatePlace['at'], one: Case): MandatePlace {
  const { proven } = bindings[one.binding];
  if (at === 'resource') return { at, zoneId, resource, proven };
  return at === 'gateway' ? { at, issuer, zoneId, resource, proven } : { at, issuer, zoneId, proven };
}

function isAccepted(at: MandatePlace['at'], one: Case): boolean {
  if (one.zone !== zoneId || !bindings[one.binding].isProven) return false;
  return accepted[at].some(
    (row) =>
      row.use === one.use &&
      row.aud.includes(one.aud) &&
      row.target.includes(one.target) &&
      row.via.includes(one.via) &&
      row.lifecycle.includes(one.lifecycle),
  );
}

describe('who accepts what', () => {
  it.each(places)('at %s every cell is as the table says', (at) => {
    let looked = 0;
    let taken = 0;
    for (const one of cases()) {
      const refusal = refuseMandate(claimsOf(one), placeOf(at, one));
      expect(refusal === undefined, JSON.stringify({ at, ...one, refusal })).toBe(isAccepted(at, one));
      looked += 1;
      if (refusal === undefined) taken += 1;
    }
    expect(looked).toBe(2 * 5 * 4 * 2 * 2 * 2 * 9);
    expect(taken).toBeGreaterThan(0);
  });

  it('names a cell for every place and no other', () => {
    expect(Object.keys(acceptance).toSorted()).toEqual([...places].toSorted());
  });

  it.each([
    ['what went to an upstream', { via: 'gateway' }, 'via_gateway'],
    ['a mandate of another zone', { zone_id: 'zone-b' }, 'wrong_zone'],
    ['a per_call mandate', { use: 'per_call' }, 'wrong_use'],
    ['a mandate for a resource', { aud: [resource] }, 'wrong_audience'],
    ['a bound mandate without proof', { cnf: { jkt: 'k' } }, 'proof_required'],
    ['a mandate without agent:lifecycle', { scope: 'orders:read' }, 'wrong_scope'],
  ] as const)('says why: at the Coordinator %s is %3$s', (...[, more, expected]) => {
    const claims = { use: 'ambient', aud: [issuer], zone_id: zoneId, scope: lifecycleScope } as const;
    expect(refuseMandate({ ...claims, ...more }, { at: 'coordinator', issuer, zoneId })).toBe(expected);
  });

  it('takes a bound mandate only with every key it is bound to', () => {
    const cnf = { jkt: 'k', 'x5t#S256': 'c' };
    expect(isProven(cnf, { jkt: 'k', x5tS256: 'c' })).toBe(true);
    expect(isProven(cnf, { jkt: 'k', x5tS256: 'd' })).toBe(false);
    expect(isProven(cnf, {})).toBe(false);
  });
});
