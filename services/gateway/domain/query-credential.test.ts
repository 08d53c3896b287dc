import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withQueryCredential } from './query-credential.ts';

const put = (query: string): string => withQueryCredential(query, { name: 'key', value: 's&c=r t' });

describe('a credential in the query', () => {
  test('stands behind the received bytes, encoded', () => {
    expect(put('')).toBe('?key=s%26c%3Dr%20t');
    expect(put('?')).toBe('?key=s%26c%3Dr%20t');
    expect(put('?b=2&a=%7e&&c')).toBe('?b=2&a=%7e&&c&key=s%26c%3Dr%20t');
  });

  test.each(['?key=mine', '?KEY=mine', '?k%65y=mine', '?key', '?key[]=mine', '?key%5B0%5D=mine'])(
    'replaces the caller’s own: %s',
    (query) => expect(put(query)).toBe('?key=s%26c%3Dr%20t'),
  );

  test('is the only parameter of its name whatever the caller sends', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const query = put(`?${text.replaceAll('#', '')}`);
        expect(new URLSearchParams(query).getAll('key')).toEqual(['s&c=r t']);
      }),
      { numRuns: 500 },
    );
  });
});
