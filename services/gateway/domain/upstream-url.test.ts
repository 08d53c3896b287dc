// Which URLs may be upstreams by their text, and what is asked of them.
import { describe, expect, test } from 'vitest';
import { readUpstream, upstreamTarget, type HostRules } from './upstream-url.ts';

const open: HostRules = { allowlist: new Set(), denylist: [] };
const kind = (url: string, rules = open, hosts: readonly string[] = []): string => readUpstream(url, rules, hosts).kind;

describe('upstream URLs', () => {
  test.each([
    'ftp://a.test/',
    'file:///etc/passwd',
    'http://user@a.test/',
    'http://user:pass@a.test/',
    'http://a.test/?key=1',
    'not a url',
    '',
    'http:///',
    'javascript:1',
    'unix:/socket',
    'gopher://a.test',
  ])('refuses %j', (url) => expect(kind(url)).toBe('refused'));

  test('an odd spelling of an address is read as the address it is', () => {
    expect(readUpstream('http://2130706433/', open, [])).toMatchObject({ upstream: { host: '127.0.0.1', port: 80 } });
    expect(readUpstream('http://0x7f.1/', open, [])).toMatchObject({ upstream: { host: '127.0.0.1' } });
    expect(readUpstream('http://[::ffff:7f00:1]:81/', open, [])).toMatchObject({
      upstream: { host: '::ffff:7f00:1', port: 81 },
    });
  });

  test('the allowlist is exact, whatever the port and the case', () => {
    const rules = { ...open, allowlist: new Set(['a.test']) };
    expect(kind('https://A.test:8443/x', rules)).toBe('upstream');
    expect(kind('https://a.test./', rules)).toBe('upstream');
    expect(kind('https://b.a.test/', rules)).toBe('refused');
    expect(kind('https://a.test.evil.test/', rules)).toBe('refused');
  });

  test('the denylist takes a host, or a host and port', () => {
    const rules = {
      ...open,
      denylist: [
        { host: 'a.test', port: undefined },
        { host: 'b.test', port: 81 },
      ],
    };
    expect(kind('http://a.test:1/', rules)).toBe('refused');
    expect(kind('http://b.test:81/', rules)).toBe('refused');
    expect(kind('http://b.test/', rules)).toBe('upstream');
  });

  test('a credential goes only to its hosts', () => {
    expect(kind('https://api.test/v1', open, ['api.test'])).toBe('upstream');
    expect(kind('https://api.test/v1', open, ['API.test:443'])).toBe('upstream');
    expect(kind('https://api.test:8443/v1', open, ['api.test:443'])).toBe('refused');
    expect(kind('https://other.test/v1', open, ['api.test'])).toBe('refused');
  });

  test('base path, received path and query are joined byte for byte', () => {
    const read = readUpstream('https://a.test/v1/', open, []);
    if (read.kind === 'refused') throw new Error(read.rule);
    expect(upstreamTarget(read.upstream, '/%7ex/', '?b=2&a=1&&')).toBe('/v1/%7ex/?b=2&a=1&&');
  });
});
