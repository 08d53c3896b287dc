// The shape of a mandate: what is written is what is read, what says nothing is absent, and the published schema agrees.
import { ambientClaims, NOW_SECONDS, testKey, ZONE } from '#test/mandates';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeMandate, mandateAnchors, MANDATE_SCHEMA, parseMandate, readClaims } from './index.ts';

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
