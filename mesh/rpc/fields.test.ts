// Typed parsing: every rule in one refusal, never a value, never a crash.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure } from '#mesh/failure';
import type { ZoneId } from '#mesh/ids';
import { parseFields } from './fields.ts';
import type { FieldReader } from './fields.ts';

function rulesOf(read: (fields: FieldReader) => unknown): unknown {
  try {
    return parseFields(read);
  } catch (error) {
    if (error instanceof Failure) return { reason: error.reason, fields: error.fields };
    throw error;
  }
}

describe('parseFields', () => {
  test('gives the parsed value when every rule holds', () => {
    const parsed = parseFields((fields) => ({
      zone: fields.id<ZoneId>('zone_id', 'z-1'),
      limit: fields.integer('limit', 5n, { min: 1, max: 10 }),
      kinds: fields.list('kinds', ['a', 'b'], { max: 2, each: (path, value) => fields.oneOf(path, value, ['a', 'b']) }),
      at: fields.timestamp('at', { $typeName: 'google.protobuf.Timestamp', seconds: 2n, nanos: 5_900_000 }),
      none: fields.optionalId('other', ''),
      labels: fields.jsonObject('labels', '{"a":1}', { maxBytes: 100 }),
    }));
    expect(parsed).toEqual({ zone: 'z-1', limit: 5, kinds: ['a', 'b'], at: 2005, none: undefined, labels: { a: 1 } });
  });

  test('tells every broken rule with its path', () => {
    const refused = rulesOf((fields) => {
      fields.id('zone_id', '');
      fields.integer('limit', 0, { min: 1, max: 10 });
      fields.list('scopes', ['ok', ' bad'], {
        max: 4,
        each: (path, value) => fields.text(path, value, { max: 10, pattern: /^\S+$/, rule: 'no spaces' }),
      });
      fields.list('many', [1, 2, 3], { max: 2, each: (_path, value) => value });
      fields.timestamp('since', undefined);
      fields.jsonObject('details', '{"a":1,"a":2}', { maxBytes: 100 });
    });
    expect(refused).toEqual({
      reason: 'invalid_request',
      fields: [
        { path: 'zone_id', rule: 'required' },
        { path: 'limit', rule: '1 to 10' },
        { path: 'scopes[1]', rule: 'no spaces' },
        { path: 'many', rule: 'at most 2 entries' },
        { path: 'since', rule: 'required' },
        { path: 'details', rule: 'a JSON object of at most 100 bytes, without duplicate keys' },
      ],
    });
  });

  test('never repeats a value', () => {
    const canary = 'Canary-7f3a';
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (noise) => {
        const value = `${noise}${canary}${noise}\u0000`;
        const refused = rulesOf((fields) => {
          fields.id('a', value);
          fields.text('b', value, { max: 5 });
          fields.oneOf('c', value, ['x', 'y']);
          fields.jsonObject('d', value, { maxBytes: 10 });
        });
        expect(JSON.stringify(refused)).not.toContain(canary);
      }),
    );
  });

  test('keeps at most 32 rules of a hopeless message', () => {
    const refused = rulesOf((fields) => {
      for (let at = 0; at < 1000; at += 1) fields.refuse(`f${at}`, 'no');
    });
    expect(refused).toMatchObject({ fields: { length: 32 } });
  });

  test('refuses lone surrogates and NUL in text', () => {
    expect(rulesOf((fields) => fields.text('a', 'a\ud800', { max: 9 }))).toMatchObject({ reason: 'invalid_request' });
    expect(rulesOf((fields) => fields.text('a', 'a\0', { max: 9 }))).toMatchObject({ reason: 'invalid_request' });
  });
});
