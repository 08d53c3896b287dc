// The shape of a mandate: what is written is what is read, what says nothing is absent, and the published schema agrees.
import { ambientClaims, ISSUER, NOW_SECONDS, testKey, ZONE } from '#test/mandates';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeMandate,
  mandateAnchors,
  MANDATE_SCHEMA,
  parseMandate,
  readClaims,
  refuseMandate,
  type MandateClaims,
} from './index.ts';

const key = testKey();

describe('writing a mandate', () => {
  it('leaves out what says nothing', () => {
    const token = encodeMandate(
      ambientClaims({ scope: '', target: [], hop_count: 0, delegation_graph_epoch: 0, delegation_path: [] }),
      key,
    );
    const { scope, target, ...rest } = ambientClaims();
    expect([scope, target]).toBeDefined();
    expect(parseMandate(token)?.claims).toEqual(rest);
  });

  it('refuses to sign what no verifier would accept', () => {
    expect(() => encodeMandate(ambientClaims({ exp: NOW_SECONDS + 9_999 }), key)).toThrow(TypeError);
    expect(() => encodeMandate(ambientClaims({ jti: 'x' }), key)).toThrow(TypeError);
    expect(() => encodeMandate(ambientClaims(), testKey('key-1', 'secp256k1'))).toThrow(TypeError);
  });

  it('keeps the longest delegation within what verifiers read', () => {
    const ids = Array.from({ length: 10 }, (_unused, hop) => `01900000-0000-7000-8000-0000000001${hop}0`);
    const claims = ambientClaims({
      delegation_path: ids,
      delegation_chain: [...ids.map((edge) => ({ app: ids[0] ?? '', session: edge, edge })), { app: 'app-1' }],
      hop_count: 10,
      target: Array.from({ length: 32 }, (_unused, resource) => `resource://service-${resource}`),
    });
    expect(encodeMandate(claims, key).length).toBeLessThan(8_192);
  });
});

describe('the published schema', () => {
  const validate = new Ajv2020().compile(MANDATE_SCHEMA);
  const member = fc.constantFrom(...Object.keys(MANDATE_SCHEMA.properties));
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string()),
    fc.constantFrom<unknown>('ambient', 'user', 'gateway', [{ app: 'a' }], { sub: 'a' }, { jkt: 'x' }, [
      'resource://a',
    ]),
  );

  it('accepts what the reader accepts', () => {
    expect(validate({ ...ambientClaims() })).toBe(true);
  });

  it('refuses nothing that the reader accepts, whatever is put into a claim', () => {
    fc.assert(
      fc.property(member, value, (name, replacement) => {
        const claims = { ...ambientClaims(), [name]: replacement };
        if (readClaims(claims as never) !== undefined) expect(validate(claims)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('names exactly the claims that the reader knows', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (name) => {
        fc.pre(!Object.hasOwn(MANDATE_SCHEMA.properties, name) && name !== '__proto__');
        expect(readClaims({ ...ambientClaims(), [name]: 'x' } as never)).toBeUndefined();
      }),
    );
  });
});

describe('what a revocation can hit', () => {
  it('names everything that a mandate stands on, each once', () => {
    const claims = ambientClaims({
      agent_session_id: 's-2',
      delegation_edge_id: 'e-2',
      source_session_id: 's-1',
      target_session_id: 's-2',
      delegation_path: ['e-1', 'e-2'],
      delegation_chain: [
        { app: 'app-0', session: 's-0', edge: 'e-1' },
        { app: 'app-1', session: 's-2' },
      ],
      act: { sub: 'actor-1', client_id: 'app-7', act: { sub: 'actor-0' } },
    });
    const anchors = mandateAnchors({ claims, kid: 'key-1' }).map(({ kind, id }) => `${kind} ${id}`);
    expect(new Set(anchors).size).toBe(anchors.length);
    expect(anchors.toSorted()).toEqual(
      [
        'agent_session s-0',
        'agent_session s-1',
        'agent_session s-2',
        'application app-0',
        'application app-1',
        'application app-7',
        'edge e-1',
        'edge e-2',
        `jti ${claims.jti}`,
        `session ${claims.root_sid}`,
        `session ${claims.sid}`,
        'subject actor-0',
        'subject actor-1',
        'subject app-1',
        `zone ${ZONE}`,
        'zone_key key-1',
      ].toSorted(),
    );
  });
});

describe('who accepts which mandate', () => {
  const resource = 'resource://orders';
  const ambient = ambientClaims({ scope: 'agent:lifecycle orders:read' });
  const perCall = ambientClaims({ use: 'per_call', aud: [resource] });
  const upstream = ambientClaims({ use: 'per_call', aud: [resource], via: 'gateway' });
  const token = { at: 'token_endpoint', issuer: ISSUER, zoneId: ZONE } as const;
  const coordinator = { at: 'coordinator', issuer: ISSUER, zoneId: ZONE } as const;
  const gateway = { at: 'gateway', issuer: ISSUER, zoneId: ZONE, resource } as const;
  const watch = { at: 'watch_revocations', issuer: ISSUER, zoneId: ZONE } as const;

  it.each([
    ['the token endpoint takes an ambient one', ambient, token, undefined],
    ['the token endpoint takes no per_call one', perCall, token, 'wrong_use'],
    ['the Coordinator takes one with agent:lifecycle', ambient, coordinator, undefined],
    ['the Coordinator takes none without it', ambientClaims(), coordinator, 'wrong_scope'],
    ['the Coordinator takes no per_call one', perCall, coordinator, 'wrong_use'],
    ['the Gateway takes an ambient one for a target', ambient, gateway, undefined],
    ['the Gateway takes a per_call one for its audience', perCall, gateway, undefined],
    ['the Gateway takes none for another target', ambientClaims({ target: ['x:y'] }), gateway, 'wrong_target'],
    ['the Gateway takes none without targets', without('target'), gateway, 'wrong_target'],
    ['the Gateway takes no per_call one for another audience', { ...perCall, aud: ['x:y'] }, gateway, 'wrong_audience'],
    [
      'the Gateway takes no ambient one for an audience of its own',
      { ...ambient, aud: [resource] },
      gateway,
      'wrong_audience',
    ],
    ['WatchRevocations takes an ambient one', ambient, watch, undefined],
    ['WatchRevocations takes no per_call one', perCall, watch, 'wrong_use'],
    ['an ambient one is for the issuer alone', { ...ambient, aud: [ISSUER, resource] }, token, 'wrong_audience'],
  ] as const)('%s', (...[, claims, place, expected]) => {
    expect(refuseMandate(claims, place)).toBe(expected);
  });

  it.each([token, coordinator, gateway, watch])('what went to an upstream is refused at $at', (place) => {
    expect(refuseMandate(upstream, place)).toBe('via_gateway');
  });

  it.each([token, coordinator, gateway, watch])('a mandate of another zone is refused at $at', (place) => {
    expect(refuseMandate({ ...ambient, zone_id: 'zone-b' }, place)).toBe('wrong_zone');
  });
});

function without(name: keyof MandateClaims): MandateClaims {
  const claims: Record<string, unknown> = { ...ambientClaims() };
  delete claims[name];
  return claims as unknown as MandateClaims;
}
