// What crosses the Gateway and what does not, in both directions.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  credentialIsPlaceable,
  requestHeaders,
  responseHeaders,
  responseTrailers,
  type Credential,
  type OutgoingFacts,
  type ResponseFacts,
} from './header-rules.ts';

const facts: OutgoingFacts = {
  requestId: 'req-1',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  remoteAddress: '192.0.2.7',
  scheme: 'https',
  authority: 'gateway.test',
  contentLength: undefined,
  keepTraceState: false,
};
const none: Credential = { headerName: '', headerValue: '', identityMandate: '' };

function sent(raw: readonly string[], credential = none, more: Partial<OutgoingFacts> = {}): Map<string, string[]> {
  const verdict = requestHeaders(raw, { ...facts, ...more }, credential);
  if (verdict.kind === 'refused') throw new Error(verdict.rule);
  return grouped(verdict.headers);
}

function grouped(list: readonly string[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (let at = 0; at < list.length; at += 2) {
    const name = list[at]!.toLowerCase();
    map.set(name, [...(map.get(name) ?? []), list[at + 1]!]);
  }
  return map;
}

describe('request headers', () => {
  test.each([
    'Authorization',
    'authorization',
    'DPoP',
    'Host',
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Proxy-Authorization',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'HTTP2-Settings',
    'Expect',
    'Forwarded',
    'X-Real-IP',
    'X-Forwarded-Client-Cert',
    'X-Forwarded-User',
    'True-Client-IP',
    'Client-Cert',
    'X-HTTP-Method-Override',
    'X_HTTP_Method_Override',
    'X-HTTP-Method',
    'X-Method-Override',
    'X-Original-URL',
    'X-Original-Method',
    'X-Rewrite-URL',
    'X_Forwarded_User',
    'X-Caracal-Identity',
    'x-caracal-anything',
    'X_Caracal_Identity',
    'l5d-client-id',
    'L5d-Dst-Override',
  ])('drops %s of the caller', (name) => {
    const headers = sent([name, 'spoofed']);
    expect([...headers.values()].flat()).not.toContain('spoofed');
  });

  test('drops what Connection names and keeps what it does not', () => {
    const headers = sent([
      'Connection',
      'close, X-Drop',
      'X-Drop',
      '1',
      'X-Keep',
      '2',
      'connection',
      'x-also',
      'X-Also',
      '3',
    ]);
    expect(headers.has('x-drop')).toBe(false);
    expect(headers.has('x-also')).toBe(false);
    expect(headers.get('x-keep')).toEqual(['2']);
  });

  test('naming our own headers in Connection does not remove them', () => {
    const headers = sent(['Connection', 'x-request-id, traceparent, x-forwarded-for, authorization'], {
      ...none,
      headerName: 'authorization',
      headerValue: 'Bearer upstream-secret',
    });
    expect(headers.get('x-request-id')).toEqual(['req-1']);
    expect(headers.get('x-forwarded-for')).toEqual(['192.0.2.7']);
    expect(headers.get('authorization')).toEqual(['Bearer upstream-secret']);
  });

  test('sets identity of request, trace and caller itself, once each', () => {
    const headers = sent(['X-Request-Id', 'theirs', 'Traceparent', 'theirs', 'X-Forwarded-For', '1.2.3.4']);
    expect(headers.get('x-request-id')).toEqual(['req-1']);
    expect(headers.get('traceparent')).toEqual([facts.traceparent]);
    expect(headers.get('x-forwarded-for')).toEqual(['192.0.2.7']);
    expect(headers.get('x-forwarded-proto')).toEqual(['https']);
    expect(headers.get('x-forwarded-host')).toEqual(['gateway.test']);
  });

  test('the credential stands alone under its name, however the caller spells that name', () => {
    const credential = { ...none, headerName: 'x-api-key', headerValue: 'real-key-1' };
    const headers = sent(['X-Api-Key', 'fake', 'x_api_key', 'fake', 'X-API-KEY', 'fake'], credential);
    expect(headers.get('x-api-key')).toEqual(['real-key-1']);
    expect([...headers.values()].flat()).not.toContain('fake');
  });

  test('the identity mandate goes under its own name', () => {
    expect(sent([], { ...none, identityMandate: 'a.b.c' }).get('x-caracal-identity')).toEqual(['a.b.c']);
  });

  test.each([
    'host',
    'content-length',
    'content-type',
    'content-encoding',
    'transfer-encoding',
    'connection',
    'te',
    'trailer',
    'upgrade',
    'via',
    'traceparent',
    'tracestate',
    'baggage',
    'expect',
    'forwarded',
    'x-real-ip',
    'x-request-id',
    'x-caracal-identity',
    'x-forwarded-for',
    'proxy-authorization',
    'keep-alive',
    'l5d-client-id',
    'x_request_id',
    'bad name',
    'bad:name',
    'X-Upper',
    '',
  ])('no credential goes under %j', (name) => expect(credentialIsPlaceable(name, 'value')).toBe(false));

  test.each(['a\r\nX-Evil: 1', 'a\nb', 'a\u0000b', ''])('no credential has the value %j', (value) =>
    expect(credentialIsPlaceable('x-api-key', value)).toBe(false),
  );

  test('a reserved credential name refuses the call', () => {
    expect(requestHeaders([], facts, { ...none, headerName: 'host', headerValue: 'evil' }).kind).toBe('refused');
  });

  test('joins cookies that HTTP/2 has split', () => {
    expect(sent([':path', '/', 'cookie', 'a=1', 'cookie', 'b=2']).get('cookie')).toEqual(['a=1; b=2']);
  });

  test('drops baggage under our name and trace state without its trace', () => {
    const raw = ['Baggage', 'caracal.zone=z, user=1', 'Tracestate', 'v=1'];
    expect(sent(raw).get('baggage')).toEqual([' user=1']);
    expect(sent(raw).has('tracestate')).toBe(false);
    expect(sent(raw, none, { keepTraceState: true }).get('tracestate')).toEqual(['v=1']);
  });

  test('never lets a caller header of a protected family through, in any spelling', () => {
    const name = fc
      .tuple(fc.constantFrom('x-caracal-', 'x-forwarded-', 'l5d-'), fc.stringMatching(/^[a-z0-9-]{0,12}$/))
      .map(([prefix, rest]) => prefix + rest);
    const spelt = fc.tuple(name, fc.infiniteStream(fc.constantFrom(0, 1, 2))).map(([text, choices]) =>
      Array.from(text)
        .map((c) => {
          const choice = choices.next().value;
          if (choice === 1) return c.toUpperCase();
          return choice === 2 && c === '-' ? '_' : c;
        })
        .join(''),
    );
    fc.assert(
      fc.property(spelt, (header) => {
        expect([...sent([header, 'spoofed']).values()].flat()).not.toContain('spoofed');
      }),
    );
  });
});

const answer: ResponseFacts = {
  requestId: 'req-1',
  origin: 'http://10.0.0.5:8000',
  basePath: '/base',
  mount: '/r/zone/res',
  secrets: ['Bearer upstream-secret', 'identity-mandate'],
};
const returned = (raw: readonly string[], more: Partial<ResponseFacts> = {}): Map<string, string[]> =>
  grouped(responseHeaders(raw, { ...answer, ...more }));

describe('response headers', () => {
  test.each([
    'Server',
    'X-Powered-By',
    'DPoP-Nonce',
    'X-AspNet-Version',
    'Connection',
    'Keep-Alive',
    'Transfer-Encoding',
    'Upgrade',
    'Proxy-Authenticate',
    'Trailer',
    'X-Caracal-Identity',
    'X-Caracal-Other',
    'Alt-Svc',
    'Refresh',
  ])('drops %s', (name) => expect(returned([name, 'value']).has(name.toLowerCase())).toBe(false));

  test('keeps repeated headers apart and in order', () => {
    expect(returned(['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']).get('set-cookie')).toEqual(['a=1', 'b=2']);
  });

  test('drops what the upstream names in Connection', () => {
    expect(returned(['Connection', 'x-inner', 'X-Inner', '1']).has('x-inner')).toBe(false);
  });

  test('drops a header that repeats the credential, and the trailer too', () => {
    for (const secret of ['upstream-secret', 'identity-mandate']) {
      expect(returned(['X-Echo', `got ${secret}`]).has('x-echo')).toBe(false);
      expect(responseTrailers(['X-Echo', secret, 'X-Sum', '1'], answer.secrets)).toEqual(['X-Sum', '1']);
    }
  });

  test.each([
    ['http://10.0.0.5:8000/base/next?a=1#f', '/r/zone/res/next?a=1#f'],
    ['//10.0.0.5:8000/base/next', '/r/zone/res/next'],
    ['/base/next', '/r/zone/res/next'],
    ['/base', '/r/zone/res/'],
    ['next', 'next'],
    ['../next', '../next'],
  ])('returns Location %s as %s', (value, expected) =>
    expect(returned(['Location', value]).get('location')).toEqual([expected]),
  );

  test.each([
    'http://169.254.169.254/latest',
    'https://10.0.0.5:8000/base/x',
    'http://evil.test/',
    '//evil.test/x',
    '\\\\evil.test',
    'javascript:alert(1)',
    'http://10.0.0.5:8000/elsewhere',
    '/elsewhere',
    '/basement',
    'http://',
    '\t//evil.test/x',
    'ht\ttps://evil.test/x',
    '/base\t/x',
  ])('drops Location %s', (value) => expect(returned(['Location', value]).has('location')).toBe(false));

  test('on the header route the upstream’s own paths stay as they are', () => {
    const facts2 = { basePath: '', mount: '' };
    expect(returned(['Location', 'http://10.0.0.5:8000/x'], facts2).get('location')).toEqual(['/x']);
    for (const value of ['http://10.0.0.5:8000//evil.test/x', 'http://10.0.0.5:8000/\\evil.test']) {
      expect(returned(['Location', value], facts2).has('location')).toBe(false);
    }
  });

  test('says the request id once, whatever the upstream says', () => {
    expect(returned(['X-Request-Id', 'theirs']).get('x-request-id')).toEqual(['req-1']);
  });
});
