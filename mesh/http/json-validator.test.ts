// Bodies: unknown fields refused, nothing coerced, no value repeated.
import fc from 'fast-check';
import Type from 'typebox';
import { describe, expect, test } from 'vitest';
import { createJsonValidator } from './json-validator.ts';

const schema = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 10 }),
  count: Type.Optional(Type.Integer({ minimum: 1 })),
  tags: Type.Optional(Type.Array(Type.Object({ key: Type.String() }), { maxItems: 3 })),
  either: Type.Optional(Type.Union([Type.Object({ a: Type.String() }), Type.Null()])),
  at: Type.Optional(Type.String({ format: 'date-time' })),
});
const validate = createJsonValidator(schema);

function fieldsOf(value: unknown, by = validate): unknown {
  const result = by(value);
  return result.kind === 'valid' ? 'valid' : result.failure.fields;
}

describe('a body', () => {
  test('that fits is given back', () => {
    const value = { name: 'x', count: 2, tags: [{ key: 'a' }], either: null, at: '2026-01-02T03:04:05Z' };
    expect(validate(value)).toEqual({ kind: 'valid', value });
  });

  test.each([
    [{ name: 'x', extra: 1 }, 'extra', 'unknown field'],
    [{ name: 'x', tags: [{ key: 'a', more: 1 }] }, 'tags[0].more', 'unknown field'],
    [{ name: 'x', count: '2' }, 'count', 'must be integer'],
    [{ name: 1 }, 'name', 'must be string'],
    [{}, 'name', 'required'],
    [{ name: '' }, 'name', 'must NOT have fewer than 1 characters'],
    [{ name: 'x', at: 'yesterday' }, 'at', 'must match format "date-time"'],
    [{ name: 'x', __proto_: 1 }, '__proto_', 'unknown field'],
    [{ name: 'x', 'a b': 1 }, '?', 'unknown field'],
  ])('%j breaks a rule at %s', (value, path, rule) => {
    expect(fieldsOf(value)).toEqual([{ path, rule }]);
  });

  test('that is no object, or missing, is refused', () => {
    for (const value of [undefined, null, [], 'x', 1]) expect(fieldsOf(value)).not.toBe('valid');
  });

  test('is closed inside a union too', () => {
    expect(fieldsOf({ name: 'x', either: { a: 'b', c: 1 } })).not.toBe('valid');
  });

  test('keeps an object open that says so', () => {
    const open = createJsonValidator(Type.Object({ a: Type.String() }, { additionalProperties: true }));
    expect(fieldsOf({ a: 'x', b: 1 }, open)).toBe('valid');
  });

  test('never crashes and never shows a value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const result = validate({ name: 'Canary-91', extra: value, count: value });
        expect(JSON.stringify(result)).not.toContain('Canary-91');
      }),
    );
  });
});

test('texts of queries are read as what they say', () => {
  const query = createJsonValidator(Type.Object({ limit: Type.Integer({ maximum: 100 }) }), 'texts');
  expect(query({ limit: '20' })).toEqual({ kind: 'valid', value: { limit: 20 } });
  expect(query({ limit: '2x' }).kind).toBe('invalid');
  expect(query({ limit: '20', other: 'x' }).kind).toBe('invalid');
});

test('headers stay open and are not coerced', () => {
  const headers = createJsonValidator(Type.Object({ 'if-match': Type.String() }), 'headers');
  expect(headers({ 'if-match': '"1"', host: 'x' }).kind).toBe('valid');
});
