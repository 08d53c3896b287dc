// One spelling for every address, and none for what is no address.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalRequestUri, requestUris } from './index.ts';

describe('an address', () => {
  it.each([
    ['https://a.example', 'https://a.example/'],
    ['HTTPS://A.Example:443/', 'https://a.example/'],
    ['http://a.example:80/x', 'http://a.example/x'],
    ['http://a.example:443/x', 'http://a.example:443/x'],
    ['https://a.example/%7euser/%2f%c3%a9', 'https://a.example/~user/%2F%C3%A9'],
    ['https://[::1]:8081/x', 'https://[::1]:8081/x'],
    ['https://a.example/a/../b', 'https://a.example/a/../b'],
    ['https://a.example/%2e%2e/b', 'https://a.example/../b'],
    ['https://a.example//b', 'https://a.example//b'],
    ['https://a.example/%2525', 'https://a.example/%2525'],
    ['https://a.example/a;b=c,d', 'https://a.example/a;b=c,d'],
  ])('%s is %s', (spelled, normal) => {
    expect(normalRequestUri(spelled)).toBe(normal);
    expect(normalRequestUri(normal)).toBe(normal);
  });

  it.each([
    '',
    'a.example',
    '//a.example/x',
    'ftp://a.example/x',
    'https:///x',
    'https://a.example/x?y',
    'https://a.example/x#y',
    'https://u:p@a.example/x',
    'https://a.example/%zz',
    'https://a.example/%2',
    'https://a.example/é',
    'https://a.example/a b',
    'https://a.example/a\u0000',
    'https://a.example:123456/x',
    `https://a.example/${'x'.repeat(8_000)}`,
  ])('is not %s', (text) => {
    expect(normalRequestUri(text)).toBeUndefined();
  });

  it('is spelled the same however often it is normalised', () => {
    fc.assert(
      fc.property(fc.webUrl(), (text) => {
        const once = normalRequestUri(text.split(/[?#]/, 1)[0] ?? '');
        if (once !== undefined) expect(normalRequestUri(once)).toBe(once);
      }),
    );
  });
});

describe('the addresses of a request', () => {
  it('are the configured ones with the path, never the query', () => {
    expect(requestUris(['https://a.example', 'https://b.example/in/'], '/x?y=/z')).toEqual([
      'https://a.example/x',
      'https://b.example/in/x',
    ]);
  });

  it('are none where nothing is configured, or the target is no path', () => {
    expect(requestUris([], '/x')).toEqual([]);
    for (const target of ['*', '', 'https://a.example/x', 'a.example:443', '/%zz']) {
      expect(requestUris(['https://a.example'], target)).toEqual([]);
    }
  });
});
