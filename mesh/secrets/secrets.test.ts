// Rules of sealed secrets: what opens, and everything that must not.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createKeyring, isCurrent, kekProblem, open, seal, SecretUnreadable, type SecretLocation } from './index.ts';

const newKek = (): string => randomBytes(32).toString('hex');
const kek = newKek();
const keyring = createKeyring({ current: kek });
const here: SecretLocation = { table: 'api.provider_secrets', column: 'envelope', rowId: 'row-1' };
const secret = Buffer.from('upstream credential');

describe('an envelope', () => {
  test('opens in the row it was sealed for, whatever the value', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048 }), (value) => {
        expect(open(keyring, seal(keyring, value, here), here)).toEqual(Buffer.from(value));
      }),
    );
  });

  test('opens for a reader that got it as a view into other bytes', () => {
    const envelope = seal(keyring, secret, here);
    const padded = Buffer.concat([Buffer.from('before'), envelope, Buffer.from('after')]);
    expect(open(keyring, padded.subarray(6, 6 + envelope.length), here)).toEqual(secret);
  });

  test('does not open in another row, column or table', () => {
    const envelope = seal(keyring, secret, here);
    for (const elsewhere of [
      { ...here, rowId: 'row-2' },
      { ...here, column: 'other' },
      { ...here, table: 'sts.zone_keys' },
      { table: 'api.provider_secretse', column: 'nvelope', rowId: 'row-1' },
    ]) {
      expect(() => open(keyring, envelope, elsewhere)).toThrow(SecretUnreadable);
    }
  });

  test('does not open when it was cut, lengthened or changed in any byte', () => {
    const envelope = seal(keyring, secret, here);
    for (let length = 0; length < envelope.length; length += 1) {
      expect(() => open(keyring, envelope.subarray(0, length), here)).toThrow(SecretUnreadable);
    }
    expect(() => open(keyring, Buffer.concat([envelope, Buffer.of(0)]), here)).toThrow(SecretUnreadable);
    for (let at = 0; at < envelope.length; at += 1) {
      const changed = Buffer.from(envelope);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => open(keyring, changed, here)).toThrow(SecretUnreadable);
    }
  });

  test('does not open when its data key came from another envelope of the same row', () => {
    const first = seal(keyring, secret, here);
    const second = seal(keyring, secret, here);
    const wrappedEnd = 1 + 8 + 12 + 32 + 16;
    const mixed = Buffer.concat([first.subarray(0, wrappedEnd), second.subarray(wrappedEnd)]);
    expect(() => open(keyring, mixed, here)).toThrow(SecretUnreadable);
  });

  test('does not open under another key', () => {
    const envelope = seal(keyring, secret, here);
    expect(() => open(createKeyring({ current: newKek() }), envelope, here)).toThrow(SecretUnreadable);
  });

  test('opens under the previous key during a rotation, and says that it is to be sealed anew', () => {
    const envelope = seal(keyring, secret, here);
    const rotated = createKeyring({ current: newKek(), previous: kek });
    expect(open(rotated, envelope, here)).toEqual(secret);
    expect(isCurrent(rotated, envelope)).toBe(false);
    const again = seal(rotated, open(rotated, envelope, here), here);
    expect(isCurrent(rotated, again)).toBe(true);
    expect(() => open(keyring, again, here)).toThrow(SecretUnreadable);
  });

  test('is never the same twice and never shows the value', () => {
    const envelope = seal(keyring, secret, here);
    expect(seal(keyring, secret, here).equals(envelope)).toBe(false);
    expect(envelope.includes(secret)).toBe(false);
  });

  test('holds at most 64 KiB', () => {
    expect(() => seal(keyring, new Uint8Array(65_537), here)).toThrow(RangeError);
  });
});

describe('a key-encryption key', () => {
  test.each([
    ['form', 'ab'],
    ['form', `${'0'.repeat(63)}g`],
    ['zero', '00'.repeat(32)],
    ['repeated', 'a5'.repeat(32)],
    ['sequential', Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('hex')],
    ['sequential', Buffer.from(Array.from({ length: 32 }, (_, index) => (250 - 3 * index) & 255)).toString('hex')],
    ['alternating', '0123456789abcdef'.repeat(4)],
    ['alternating', 'ff00'.repeat(16)],
  ])('is refused as %s: %s', (problem, hex) => {
    expect(kekProblem(hex)).toBe(problem);
    expect(() => createKeyring({ current: hex })).toThrow(problem);
  });

  test('is accepted when it is random', () => {
    expect(kekProblem(newKek())).toBeUndefined();
  });

  test('is not named in the refusal', () => {
    expect(() => createKeyring({ current: 'a5'.repeat(32) })).not.toThrow(/a5a5/);
  });
});
