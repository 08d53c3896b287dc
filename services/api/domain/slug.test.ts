import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deriveSlug, numberedSlug, slugPattern } from './slug.ts';

describe('a derived slug', () => {
  test.each([
    ['Acme Corp.', 'acme-corp'],
    ['  Über – straße  ', 'u-ber-stra-e'],
    ['resource://calendar', 'resource-calendar'],
    ['a'.repeat(100), 'a'.repeat(58)],
  ])('of %j is %s', (name, slug) => {
    expect(deriveSlug(name)).toBe(slug);
  });

  test('does not exist for a name without letters and digits', () => {
    expect(deriveSlug('日本')).toBeUndefined();
    expect(deriveSlug('---')).toBeUndefined();
  });

  test('follows the rule of slugs for every name and every try', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.integer({ min: 1, max: 9999 }), (name, attempt) => {
        const slug = deriveSlug(name);
        if (slug !== undefined) expect(numberedSlug(slug, attempt)).toMatch(new RegExp(slugPattern));
      }),
    );
  });
});
