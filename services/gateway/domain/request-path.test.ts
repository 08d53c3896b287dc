// Which targets pass, which do not, and what policy sees of them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgePath, readTarget } from './request-path.ts';

const judged = (received: string): string => {
  const read = readTarget(received);
  if (read.kind === 'refused') return 'refused';
  const verdict = judgePath(read.target.path, false);
  return verdict.kind === 'accepted' ? verdict.policyPath : 'refused';
};

describe('odd paths', () => {
  test.each([
    '/a/../b',
    '/..',
    '/.',
    '/a/.',
    '/a/./b',
    '/%2e%2e/b',
    '/.%2e/b',
    '/%2E./b',
    '/%2e',
    '/%252e%252e/b',
    '/%25252e%25252e/b',
    '/..%252fb',
    '/..%255cb',
    '/%c0%ae%c0%ae/b',
    '/%e0%80%ae%e0%80%ae/b',
    '/%f0%80%80%ae./b',
    '/..%c0%afb',
    '/..%c1%9cb',
    '/..%3bx/b',
    '/a%2Fb',
    '/a%2fb',
    '/a%5Cb',
    '/a\\b',
    '//a',
    '/a//b',
    '/a/..;/b',
    '/a;v=1',
    '/%00',
    '/a%0d%0aX: y',
    '/a%7f',
    '/a%2500',
    '/a%',
    '/a%2',
    '/a%zz',
    '/%u002e%u002e/b',
    '/a\u0000',
    '/a b',
    '/a\tb',
    '/a\u00e9',
    '/a#b',
    '*',
    '',
    'a/b',
    'http://other/a',
    'other:443',
  ])('refuses %j', (path) => expect(judged(path)).toBe('refused'));

  test('refuses more rounds of encoding than anyone means', () => {
    expect(judged(`/%${'25'.repeat(12)}2e`)).toBe('refused');
  });

  test('refuses a target longer than the limit', () => expect(judged(`/${'a'.repeat(8192)}`)).toBe('refused'));
});

describe('ordinary paths', () => {
  test.each([
    ['/', '/'],
    ['/.env', '/.env'],
    ['/foo..bar', '/foo..bar'],
    ['/...', '/...'],
    ['/..a/b', '/..a/b'],
    ['/a./b', '/a./b'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a%20b', '/a%20b'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/%41%7a%2d%5f%7e', '/Az-_~'],
    ['/100%25', '/100%25'],
    ['/a%25zz', '/a%25zz'],
    ['/a:b@c,d=e+f!$&*()', '/a:b@c,d=e+f!$&*()'],
    ['/a/', '/a/'],
  ])('passes %s', (path, seen) => expect(judged(path)).toBe(seen));

  test('keeps the received bytes for the upstream', () => {
    expect(readTarget('/%7euser/caf%c3%a9?q=%2e%2e//;x')).toEqual({
      kind: 'target',
      target: { path: '/%7euser/caf%c3%a9', query: '?q=%2e%2e//;x' },
    });
  });

  test('a path without percent signs reaches policy unchanged', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_~-]{1,12}$/);
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), (segments) => {
        const path = `/${segments.join('/')}`;
        expect(judged(path)).toBe(path);
      }),
    );
  });

  test('normalising twice changes nothing more, so two spellings of one path are one input', () => {
    const byte = fc.integer({ min: 0x21, max: 0xff }).map((code) => `%${code.toString(16).padStart(2, '0')}`);
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 8 }), (bytes) => {
        const once = judged(`/x${bytes.join('')}`);
        if (once !== 'refused') expect(judged(once)).toBe(once);
      }),
    );
  });

  test('nothing that passes holds a dot segment after any number of decodings', () => {
    const piece = fc.constantFrom('.', '%2e', '%252e', '/', '%2f', '%252f', 'a', '%c0%ae', ';', '\\', '%5c');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const path = `/${pieces.join('')}`;
        if (judged(path) === 'refused') return;
        let decoded = path;
        for (let round = 0; round < 6; round += 1) {
          decoded = decoded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          );
        }
        expect(decoded.split(/[/\\]/)).not.toContain('..');
        expect(decoded.split(/[/\\]/)).not.toContain('.');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a resource that allows odd paths', () => {
  test('gets them, still without controls and with valid escapes', () => {
    expect(judgePath('/a/../b//c;d', true)).toEqual({ kind: 'accepted', policyPath: '/a/../b//c;d' });
    expect(readTarget('/a%zz').kind).toBe('refused');
  });
});
