// Headers of mesh proxies: what is read, what is refused, and that nothing survives.
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { assertedIdentity, isLocalHop, stripAssertions } from './mesh-asserted.ts';

function requestWith(rawHeaders: string[]): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.rawHeaders.push(...rawHeaders);
  for (let at = 0; at < rawHeaders.length; at += 2) request.headers[rawHeaders[at]!.toLowerCase()] = rawHeaders[at + 1];
  return request;
}

function hop(remoteAddress: string, localAddress: string): Connection {
  const exportKeyingMaterial = () => undefined;
  const rest = {
    secure: false,
    protocol: 'h2',
    remotePort: 1,
    peer: { kind: 'anonymous' },
    certificate: undefined,
  } as const;
  return { ...rest, remoteAddress, localAddress, exportKeyingMaterial };
}

describe('the local hop', () => {
  test.each([
    ['10.1.2.3', '10.1.2.3', true],
    ['127.0.0.6', '10.1.2.3', true],
    ['::ffff:127.0.0.6', '::ffff:10.1.2.3', true],
    ['::1', 'fd00::1', true],
    ['10.1.2.4', '10.1.2.3', false],
    ['128.0.0.1', '10.1.2.3', false],
    ['', '', false],
    ['::ffff:10.0.0.1', '10.0.0.2', false],
  ])('%s towards %s: %s', (remote, local, expected) => {
    expect(isLocalHop(hop(remote, local))).toBe(expected);
  });
});

describe('an x-forwarded-client-cert value', () => {
  const read = (...values: string[]) =>
    assertedIdentity(requestWith(values.flatMap((value) => ['X-Forwarded-Client-Cert', value])), 'istio');

  test('speaks by the URI of its last element, in the last header', () => {
    expect(read('URI=spiffe://a')).toBe('spiffe://a');
    expect(read('URI=spiffe://a,URI=spiffe://b')).toBe('spiffe://b');
    expect(read('URI=spiffe://a', 'By=x;URI=spiffe://b')).toBe('spiffe://b');
    expect(read('Hash=1;Subject="CN=\\"x\\",O=y;URI=spiffe://no";URI="spiffe://q"')).toBe('spiffe://q');
  });

  test.each([
    [''],
    ['Hash=1'],
    ['URI='],
    ['URI=""'],
    ['URI=spiffe://a;URI=spiffe://a'],
    ['URI=spiffe://a,'],
    ['x="unclosed,URI=spiffe://a'],
    ['x="a"b,URI=spiffe://a'],
    ['x"=a",URI=spiffe://a'],
    [`Hash=${'a'.repeat(20_000)};URI=spiffe://a`],
  ])('says nothing as %s', (value) => {
    expect(read(value)).toBeUndefined();
  });

  test('cannot be bent by what stands before the last element', () => {
    const appended = 'By=spiffe://us;Hash=ff;Subject="";URI=spiffe://honest';
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('"', '\\', ',', ';', '=', 'URI=spiffe://evil', 'a') }),
        (before) => {
          return [undefined, 'spiffe://honest'].includes(read(`${before},${appended}`));
        },
      ),
    );
  });
});

test('two Linkerd identities are none', () => {
  expect(assertedIdentity(requestWith(['l5d-client-id', 'a']), 'linkerd')).toBe('a');
  expect(assertedIdentity(requestWith(['l5d-client-id', 'a', 'L5d-Client-Id', 'a']), 'linkerd')).toBeUndefined();
  expect(assertedIdentity(requestWith(['l5d-client-id', 'a,b']), 'linkerd')).toBeUndefined();
});

test('stripping leaves no copy in any spelling and touches nothing else', () => {
  const names = fc.constantFrom('l5d-client-id', 'L5D-Client-ID', 'X-Forwarded-Client-Cert', 'x-forwarded-for', 'Host');
  fc.assert(
    fc.property(fc.array(names), (sent) => {
      const request = requestWith(sent.flatMap((name, at) => [name, String(at)]));
      stripAssertions(request);
      const left = request.rawHeaders.filter((_text, at) => at % 2 === 0);
      expect(left).toEqual(sent.filter((name) => !/^(?:l5d|x-forwarded-client)/i.test(name)));
      expect(Object.keys(request.headers).some((name) => /^(?:l5d|x-forwarded-client)/i.test(name))).toBe(false);
    }),
  );
});
