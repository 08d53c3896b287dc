import { describe, expect, expectTypeOf, test } from 'vitest';
import {
  SYSTEM_ZONE,
  isTextId,
  knownId,
  newId,
  parseRequestId,
  textId,
  type ApplicationId,
  type ZoneId,
} from './index.ts';

describe('ids', () => {
  test('are 1 to 128 characters of a small alphabet', () => {
    for (const id of ['a', 'a'.repeat(128), 'A-Z_0.9:x', newId()]) expect(isTextId(id)).toBe(true);
    for (const id of ['', 'a'.repeat(129), 'a b', 'a\n', 'ä', 'a/b', 'a\u0000', undefined, 7, ['a']]) {
      expect(isTextId(id)).toBe(false);
      expect(textId(id)).toBeUndefined();
    }
  });

  test('of one kind are not ids of another', () => {
    expectTypeOf(knownId<ZoneId>('z')).not.toExtend<ApplicationId>();
    expectTypeOf(knownId<ZoneId>('z')).toExtend<string>();
    expectTypeOf(textId<ZoneId>('z')).toEqualTypeOf<ZoneId | undefined>();
  });

  test('that are new are UUIDv7, distinct and in order', () => {
    const ids = Array.from({ length: 2000 }, () => newId());
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.toSorted()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('of requests are kept when they may be and dropped when not', () => {
    expect(parseRequestId('req:1.2-3_4')).toBe('req:1.2-3_4');
    expect(parseRequestId('a\r\nX-Evil: 1')).toBeUndefined();
    expect(parseRequestId(undefined)).toBeUndefined();
  });

  test('have one zone of their own for what happened before any zone was proven', () => {
    expect(isTextId(SYSTEM_ZONE)).toBe(true);
    expect(SYSTEM_ZONE).toBe('00000000-0000-7000-8000-000000000000');
  });
});
