// What is signed on a stream and what a signature admits.
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createStreamSigner, type StreamFields } from './index.ts';

const KEY = Buffer.from('0123456789abcdef'.repeat(4), 'hex');
const OTHER = Buffer.alloc(32, 7);
const STREAM = 'caracal.policy.invalidate';
const signer = createStreamSigner({ current: KEY });

describe('a stream signature', () => {
  it('is the published one', () => {
    expect(signer.sign('audit:events', { action: 'transfer', amount: '100' })['_sig']).toBe(
      'c06ccc579e026c31a97a04f203981b236a3c88041712e9b46242e8762da23d75',
    );
  });

  it('does not depend on the order of the fields', () => {
    expect(signer.sign(STREAM, { a: '1', b: '2' })['_sig']).toBe(signer.sign(STREAM, { b: '2', a: '1' })['_sig']);
  });

  it('is for one stream alone', () => {
    const signed = signer.sign(STREAM, { a: '1' });
    expect(signer.verify(STREAM, signed)).toBe(true);
    expect(signer.inspect('caracal.keys.invalidate', signed)).toBe('forged');
  });

  it('made with the previous key counts while keys rotate, and no other', () => {
    const signed = createStreamSigner({ current: OTHER }).sign(STREAM, { a: '1' });
    expect(signer.verify(STREAM, signed)).toBe(false);
    expect(createStreamSigner({ current: KEY, previous: OTHER }).verify(STREAM, signed)).toBe(true);
  });

  it.each([
    ['a field changed', { a: '2', b: '2' }],
    ['a field added', { a: '1', b: '2', c: '3' }],
    ['a field removed', { a: '1' }],
    ['a field renamed', { a: '1', c: '2' }],
  ])('does not admit %s', (_name, fields) => {
    const { _sig = '' } = signer.sign(STREAM, { a: '1', b: '2' });
    expect(signer.inspect(STREAM, { ...fields, _sig })).toBe('forged');
  });

  it('that is missing is told apart from one that is wrong', () => {
    expect(signer.inspect(STREAM, { a: '1' })).toBe('unsigned');
    expect(signer.inspect(STREAM, { a: '1', _sig: '' })).toBe('forged');
    expect(signer.inspect(STREAM, { a: '1', _sig: 'F'.repeat(64) })).toBe('forged');
  });

  it.each([
    ['a line feed in a value', { a: '1\nb=2' }],
    ['a carriage return in a value', { a: '1\r' }],
    ['a NUL in a value', { a: '\0' }],
    ['a line feed in a key', { 'a\nb': '1' }],
    ['an equals sign in a key', { 'a=b': '1' }],
  ])('is not looked at when there is %s', (_name, fields: StreamFields) => {
    expect(() => signer.sign(STREAM, fields)).toThrow(TypeError);
    expect(signer.inspect(STREAM, { ...fields, _sig: '0'.repeat(64) })).toBe('malformed');
  });

  it('is never shared by two different entries', () => {
    const word = fc.string({ maxLength: 4 });
    const fields = fc.dictionary(word, word, { maxKeys: 4, noNullPrototype: true });
    fc.assert(
      fc.property(fields, fields, (first, second) => {
        fc.pre(!isDeepStrictEqual(first, second));
        fc.pre(!('_sig' in first) && !('_sig' in second));
        let signed: StreamFields;
        try {
          signed = signer.sign(STREAM, first);
        } catch {
          return;
        }
        expect(signer.verify(STREAM, { ...second, _sig: signed['_sig'] ?? '' })).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});
