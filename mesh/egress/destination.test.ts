// The address guard against every range it names, and against the forms in which such an address can be dressed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classifyAddress, judgeDestination, type DestinationRules, type OwnAddresses } from './destination.ts';
import { bareHost, parseHostEntry } from './host-entry.ts';

const nothing: OwnAddresses = { endpoints: [] };
const judge = (address: string, own = nothing, dev: readonly string[] = []): string =>
  judgeDestination({ host: 'upstream.test', port: 443, address, encrypted: true }, own, {
    loopbackHosts: dev.flatMap((entry) => parseHostEntry(entry) ?? []),
    privateHosts: 'any',
    plaintext: 'anywhere',
  }).kind;

const blocked = [
  '0.0.0.0',
  '0.1.2.3',
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.0.1',
  '169.254.169.254',
  '192.0.0.192',
  '192.88.99.1',
  '198.18.0.1',
  '198.19.255.255',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'fec0::1',
  'ff02::1',
  'fd00:ec2::254',
  'fd20:ce::254',
  '100::1',
  '64:ff9b:1::a00:1',
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2002:808:808::1',
];

const reachable = [
  '1.1.1.1',
  '8.8.8.8',
  '10.0.0.1',
  '10.255.255.255',
  '100.63.255.255',
  '100.128.0.1',
  '126.255.255.255',
  '128.0.0.1',
  '169.253.255.255',
  '169.255.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.1.1',
  '192.168.1.1',
  '198.17.255.255',
  '198.20.0.1',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2001:1::1',
  '2003::1',
  'fc00::1',
  'fd12:3456:789a::1',
];

describe('blocked ranges', () => {
  test.each(blocked)('refuses %s', (address) => expect(judge(address)).toBe('refused'));
  test.each(reachable)('reaches %s', (address) => expect(judge(address)).toBe('allowed'));
  test.each(['', 'localhost', '127.1', '0x7f.0.0.1', '2130706433', '1.2.3', '::g'])('refuses the text %j', (text) =>
    expect(judge(text)).toBe('refused'),
  );
});

const octet = fc.integer({ min: 0, max: 255 });
const anyIpv4 = fc.tuple(octet, octet, octet, octet);

describe('embedded forms', () => {
  test('an IPv4 address is judged alike in every IPv6 dress that can carry it', () => {
    fc.assert(
      fc.property(anyIpv4, fc.constantFrom('::ffff:', '64:ff9b::', '::ffff:0:'), ([a, b, c, d], prefix) => {
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        expect(judge(prefix + hex)).toBe(judge(`${a}.${b}.${c}.${d}`));
      }),
      { numRuns: 500 },
    );
  });

  test('an IPv4-compatible address is judged as the IPv4 address', () => {
    expect(judge('::7f00:1')).toBe('refused');
    expect(judge('::169.254.169.254')).toBe('refused');
    expect(judge('::808:808')).toBe('allowed');
  });

  test('every IPv4 address has one kind and is never both blocked and reachable', () => {
    fc.assert(
      fc.property(anyIpv4, (parts) => {
        const text = parts.join('.');
        expect(classifyAddress(text).canonical).toBe(text);
        expect(judge(text)).toBe(['public', 'private'].includes(classifyAddress(text).kind) ? 'allowed' : 'refused');
      }),
    );
  });
});

describe('loopback', () => {
  test('is reached for a host that dev names, on every port or on the one named', () => {
    expect(judge('127.0.0.1', nothing, ['upstream.test'])).toBe('allowed');
    expect(judge('::1', nothing, ['upstream.test:443'])).toBe('allowed');
    expect(judge('127.0.0.1', nothing, ['upstream.test:80', 'other.test'])).toBe('refused');
  });

  test('never leads to metadata, whatever dev names', () => {
    expect(judge('169.254.169.254', nothing, ['upstream.test'])).toBe('refused');
  });
});

describe('where private ranges are reached by name only', () => {
  const rules = (hosts: readonly string[], loopback: readonly string[] = []): DestinationRules => ({
    loopbackHosts: loopback.flatMap((entry) => parseHostEntry(entry) ?? []),
    privateHosts: hosts.flatMap((entry) => parseHostEntry(entry) ?? []),
    plaintext: 'loopback',
  });
  const at = (address: string, hosts: readonly string[], encrypted = true): string =>
    judgeDestination({ host: 'idp.test', port: 443, address, encrypted }, nothing, rules(hosts)).kind;

  test('a host that is not named reaches public addresses alone', () => {
    expect(at('10.0.0.1', [])).toBe('refused');
    expect(at('fd12::1', ['other.test'])).toBe('refused');
    expect(at('64:ff9b::a00:1', [])).toBe('refused');
    expect(at('8.8.8.8', [])).toBe('allowed');
  });

  test('a named host reaches private ranges, and still no blocked one and no loopback', () => {
    expect(at('10.0.0.1', ['idp.test'])).toBe('allowed');
    expect(at('10.0.0.1', ['idp.test:8443'])).toBe('refused');
    for (const address of blocked) expect(at(address, ['idp.test'])).toBe('refused');
  });

  test('nothing unencrypted leaves this machine', () => {
    expect(at('8.8.8.8', [], false)).toBe('refused');
    expect(at('10.0.0.1', ['idp.test'], false)).toBe('refused');
    const local = { host: 'idp.test', port: 80, address: '127.0.0.1', encrypted: false };
    expect(judgeDestination(local, nothing, rules([], ['idp.test'])).kind).toBe('allowed');
    expect(judgeDestination(local, nothing, rules(['idp.test'])).kind).toBe('refused');
  });
});

describe('the installation itself', () => {
  const own = (address: string, port: number): OwnAddresses => ({ endpoints: [{ address, port }] });

  test('is refused by address alone where it is not on loopback', () => {
    expect(judge('10.1.2.3', own('10.1.2.3', 5432))).toBe('refused');
    expect(judge('::ffff:10.1.2.3', own('10.1.2.3', 5432))).toBe('refused');
    expect(judge('10.1.2.4', own('10.1.2.3', 5432))).toBe('allowed');
  });

  test('is refused by address and port on loopback, under every name of loopback', () => {
    const dev = ['upstream.test'];
    expect(judge('127.0.0.1', own('127.0.0.1', 443), dev)).toBe('refused');
    expect(judge('127.0.0.9', own('127.0.0.1', 443), dev)).toBe('refused');
    expect(judge('::1', own('127.0.0.1', 443), dev)).toBe('refused');
    expect(judge('::ffff:127.0.0.1', own('::1', 443), dev)).toBe('refused');
    expect(judge('127.0.0.1', own('127.0.0.1', 6379), dev)).toBe('allowed');
  });
});

describe('host entries', () => {
  test.each([
    ['LOCALHOST', { host: 'localhost', port: undefined }],
    ['127.0.0.1:9000', { host: '127.0.0.1', port: 9000 }],
    ['[::1]:9000', { host: '::1', port: 9000 }],
    ['::1', { host: '::1', port: undefined }],
    ['api.example.com', { host: 'api.example.com', port: undefined }],
    ['API.example.com.:443', { host: 'api.example.com', port: 443 }],
  ])('reads %s', (text, entry) => expect(parseHostEntry(text)).toEqual(entry));
  test('a host is compared without brackets, case and final dot', () => {
    expect(['[::1]', 'API.Example.', 'a.b'].map(bareHost)).toEqual(['::1', 'api.example', 'a.b']);
  });
  test.each(['', '.', 'http://x', 'a b', 'x:0', 'x:70000', 'user@host'])('refuses %j', (text) =>
    expect(parseHostEntry(text)).toBeUndefined(),
  );
});
