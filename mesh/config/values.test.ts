import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, isLoopbackHost, parseDuration } from './index.ts';
import { isOnSecretMount, parseMounts } from './secret-files.ts';
import { isPlaceholder, isWeakKey } from './secrets.ts';

describe('durations', () => {
  test('read back as they were written', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms);
      }),
    );
  });

  test.each([
    ['500ms', 500],
    ['5s', 5000],
    ['1.5s', 1500],
    ['1h2m3s4ms', 3_723_004],
    ['0', 0],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
});

describe('keys', () => {
  test.each([
    ['one byte', Buffer.alloc(32, 0x5a)],
    ['two bytes in turn', Buffer.from('a55a'.repeat(16), 'hex')],
    ['a repeated half', Buffer.from('0f3b9c7712ab44e8d05c6a91be237f18'.repeat(2), 'hex')],
    ['counting bytes', Buffer.from(Array.from({ length: 32 }, (_, at) => at + 200))],
    ['bytes counting down by three', Buffer.from(Array.from({ length: 32 }, (_, at) => 256 - 3 * at))],
    ['few different bytes', Buffer.from('01020304050607080102030405060708aa02030405060708010203040506bbcc', 'hex')],
  ])('of %s are weak', (_, key) => {
    expect(isWeakKey(key)).toBe(true);
  });

  test('that are random are not', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(255), { minLength: 32, maxLength: 48 }), (bytes) => {
        const step = ((bytes[1] ?? 0) - (bytes[0] ?? 0) + 256) % 256;
        fc.pre(bytes.some((byte, at) => at > 0 && (byte - (bytes[at - 1] ?? 0) + 256) % 256 !== step));
        expect(isWeakKey(Buffer.from(bytes))).toBe(false);
      }),
    );
  });
});

describe('placeholders', () => {
  test.each(['changeme', 'CHANGE-ME-please', 'password', '<token>', '${TOKEN}', 'your-secret', 'xxxxxxxxxxxx', 'aaaa'])(
    'include %s',
    (text) => {
      expect(isPlaceholder(text)).toBe(true);
    },
  );

  test('do not include what a generator makes', () => {
    for (const text of ['f3Zk9-qLw2Xr7Tt0', '9d0b1f7e4c2a', 'correct horse battery staple']) {
      expect(isPlaceholder(text)).toBe(false);
    }
  });
});

describe('mounts for secrets', () => {
  const mounts = parseMounts(
    [
      '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
      '30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw,size=800000k',
      '31 22 8:2 / /ro ro,relatime - ext4 /dev/sdb1 rw',
      '32 22 8:3 / /sealed rw,relatime - ext4 /dev/sdc1 ro',
      '33 22 8:4 / /with\\040space rw - tmpfs tmpfs rw',
      '34 30 8:5 / /run/disk rw - ext4 /dev/sdd1 rw',
      'broken line',
    ].join('\n'),
  );

  test.each([
    ['/run/secrets/key', true],
    ['/var/run/secrets/key', true],
    ['/run/other/key', true],
    ['/run/disk/key', false],
    ['/ro/key', true],
    ['/rotten/key', false],
    ['/sealed/key', true],
    ['/with space/key', true],
    ['/etc/key', false],
  ])('hold %s: %s', (path, expected) => {
    expect(isOnSecretMount(path, mounts)).toBe(expected);
  });

  test('are only the two well-known folders where the system does not say', () => {
    expect(isOnSecretMount('/run/secrets/key', [])).toBe(true);
    expect(isOnSecretMount('/run/secrets-not/key', [])).toBe(false);
  });
});

describe('loopback', () => {
  test.each([
    ['localhost', true],
    ['LOCALHOST', true],
    ['127.0.0.1', true],
    ['127.255.255.254', true],
    ['[::1]', true],
    ['::1', true],
    ['localhost.', false],
    ['0.0.0.0', false],
    ['[::]', false],
    ['127.0.0.1.example.com', false],
    ['example.com', false],
  ])('%s: %s', (host, expected) => {
    expect(isLoopbackHost(host)).toBe(expected);
  });
});
