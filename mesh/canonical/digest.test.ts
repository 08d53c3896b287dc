import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { constantTimeEqual, deriveKey, hmacSha256, hmacSha256Hex, lengthPrefixed, sha256, sha256Hex } from './index.ts';

describe('digests', () => {
  test('are those of FIPS 180-4 and RFC 4231', () => {
    expect(sha256Hex('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(sha256(Buffer.from('abc')).toString('hex')).toBe(sha256Hex('abc'));
    // RFC 4231 §4.3, test case 2.
    const key = Buffer.from('Jefe');
    expect(hmacSha256Hex(key, 'what do ya want for nothing?')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
    expect(hmacSha256(key, 'x').toString('hex')).toBe(hmacSha256Hex(key, 'x'));
  });
});

describe('derived keys', () => {
  const key = Buffer.alloc(32, 7);

  test('differ for each purpose and are the same every time', () => {
    const first = deriveKey(key, 'caracal/api/cursor/v1');
    expect(first).toHaveLength(32);
    expect(deriveKey(key, 'caracal/api/cursor/v1').equals(first)).toBe(true);
    expect(deriveKey(key, 'caracal/api/receipt/v1').equals(first)).toBe(false);
    expect(deriveKey(Buffer.alloc(32, 8), 'caracal/api/cursor/v1').equals(first)).toBe(false);
    expect(deriveKey(key, 'caracal/api/cursor/v1', 64).subarray(0, 32).equals(first)).toBe(true);
  });

  test('are not made from a key below 32 bytes', () => {
    expect(() => deriveKey(Buffer.alloc(31, 7), 'caracal/api/cursor/v1')).toThrow(RangeError);
  });

  test('follow RFC 5869 with an empty salt', () => {
    // HKDF-Extract and one block of HKDF-Expand, written out.
    const pseudoRandom = hmacSha256(Buffer.alloc(32), key);
    const info = 'caracal/api/cursor/v1';
    const expected = hmacSha256(pseudoRandom, Buffer.concat([Buffer.from(info), Buffer.of(1)]));
    expect(deriveKey(key, info).equals(expected)).toBe(true);
  });
});

describe('joined fields', () => {
  test('are never equal for different lists', () => {
    const parts = fc.array(fc.string({ maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        const same = lengthPrefixed(left).equals(lengthPrefixed(right));
        expect(same).toBe(JSON.stringify(left) === JSON.stringify(right));
      }),
    );
  });

  test('carry big-endian byte lengths', () => {
    expect(lengthPrefixed(['€', Uint8Array.of(1)]).toString('hex')).toBe('00000003e282ac0000000101');
    expect(lengthPrefixed([])).toHaveLength(0);
  });
});

describe('comparing secrets', () => {
  test('tells equal from different, whatever their lengths and forms', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (left, right) => {
        expect(constantTimeEqual(left, right)).toBe(Buffer.from(left).equals(Buffer.from(right)));
        expect(constantTimeEqual(left, Buffer.from(left))).toBe(true);
      }),
    );
    expect(constantTimeEqual('', 'x')).toBe(false);
  });
});
