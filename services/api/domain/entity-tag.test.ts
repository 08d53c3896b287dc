import { describe, expect, test } from 'vitest';
import { entityTag, matchesVersion, parseIfMatch } from './entity-tag.ts';

const matches = (header: string, version: number): boolean | undefined => {
  const parsed = parseIfMatch(header);
  return parsed === undefined ? undefined : matchesVersion(parsed, version);
};

describe('If-Match', () => {
  test('matches the tag of the version and no other', () => {
    expect(matches(entityTag(7), 7)).toBe(true);
    expect(matches(entityTag(7), 8)).toBe(false);
    expect(matches('"1", "7"', 7)).toBe(true);
  });

  test('matches whatever there is by a star', () => {
    expect(matches('*', 3)).toBe(true);
  });

  test('compares strongly: a weak tag matches nothing', () => {
    expect(matches('W/"7"', 7)).toBe(false);
  });

  test('matches nothing with tags that were never given', () => {
    for (const header of ['"07"', '"7.0"', '"-7"', '"seven"', '""', '"9999999999999999"'])
      expect(matches(header, 7), header).toBe(false);
  });

  test('is refused when it is no list of tags', () => {
    for (const header of ['7', '"7', '7"', '', 'W/7', '"a""b"', '"7" "8"', Array(17).fill('"1"').join()])
      expect(parseIfMatch(header), header).toBeUndefined();
  });
});
