import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { childTrace, parseTraceparent, traceFrom } from './index.ts';

// W3C Trace Context §3.2.2's own example.
const example = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('a traceparent', () => {
  test('of the standard is read', () => {
    expect(parseTraceparent(example)).toEqual({
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
      isSampled: true,
    });
    expect(parseTraceparent(example.replace(/01$/, '00'))?.isSampled).toBe(false);
    expect(parseTraceparent(example.replace(/01$/, 'fe'))?.isSampled).toBe(false);
    expect(parseTraceparent(example.replace(/01$/, '03'))?.isSampled).toBe(true);
  });

  test('of a later version is read as far as it is known', () => {
    expect(parseTraceparent(example.replace(/^00/, 'cc'))).toBeDefined();
    expect(parseTraceparent(`${example.replace(/^00/, 'cc')}-what-comes-later`)).toBeDefined();
    expect(parseTraceparent(`${example.replace(/^00/, 'cc')}.later`)).toBeUndefined();
  });

  test.each([
    ['nothing', undefined],
    ['an empty text', ''],
    ['version ff', example.replace(/^00/, 'ff')],
    ['more than version 00 has', `${example}-x`],
    ['a trace id of zeroes', example.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32))],
    ['a parent id of zeroes', example.replace('00f067aa0ba902b7', '0'.repeat(16))],
    ['upper case', example.toUpperCase()],
    ['a short trace id', example.replace('4bf9', '4b')],
    ['a digit that is none', example.replace('4bf9', '4bg9')],
    ['no flags', example.slice(0, -3)],
    ['space around it', ` ${example}`],
    ['a line break after it', `${example}\n`],
    ['two of them', `${example},${example}`],
    ['far too much', `cc${example.slice(2)}-${'x'.repeat(10_000)}`],
  ])('is ignored with %s', (_, header) => {
    expect(parseTraceparent(header)).toBeUndefined();
    const fresh = traceFrom(header);
    expect(fresh.parentSpanId).toBeUndefined();
    expect(fresh.traceId).not.toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(parseTraceparent(fresh.traceparent)).toEqual({
      traceId: fresh.traceId,
      spanId: fresh.spanId,
      isSampled: true,
    });
  });

  test('never fails on arbitrary text', () => {
    fc.assert(fc.property(fc.string(), (text) => traceFrom(text).traceparent.length === 55));
  });
});

describe('a trace', () => {
  test('goes on with a span of its own and the sampling of its parent', () => {
    const here = traceFrom(example.replace(/01$/, '00'));
    expect(here.traceId).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(here.parentSpanId).toBe('00f067aa0ba902b7');
    expect(here.spanId).not.toBe('00f067aa0ba902b7');
    expect(here.traceparent).toBe(`00-${here.traceId}-${here.spanId}-00`);
  });

  test('has children in the same trace, each a span of its own', () => {
    const here = traceFrom(example);
    const [first, second] = [childTrace(here), childTrace(here)];
    expect([first.traceId, second.traceId]).toEqual([here.traceId, here.traceId]);
    expect([first.parentSpanId, second.parentSpanId]).toEqual([here.spanId, here.spanId]);
    expect(new Set([here.spanId, first.spanId, second.spanId]).size).toBe(3);
    expect(first.traceparent.endsWith('-01')).toBe(true);
  });
});
