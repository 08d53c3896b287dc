// How a request names its resource, and which paths are the Gateway's own.
import { describe, expect, test } from 'vitest';
import { readBearer, readDecidingHeaders } from './bearer.ts';
import { challenge, protectedResource, publicBase } from './challenge.ts';
import { chooseRoute, isReservedPath, type Resource } from './routing.ts';

const target = (path: string) => ({ path, query: '?q=1' });

const resource: Resource = {
  id: 'id',
  zoneId: 'zone-id',
  zoneSlug: 'acme',
  identifier: 'https://api.acme.test',
  slug: 'api',
  name: 'API',
  kind: 'http',
  scopes: ['read', 'write'],
  rateLimitPerMinute: undefined,
  oddPathsAllowed: false,
  version: 1,
};

describe('routes', () => {
  test('a mount names zone and resource, and the rest is the upstream’s', () => {
    expect(chooseRoute(target('/r/acme/api/v1/x'), undefined)).toMatchObject({
      kind: 'mount',
      zoneSlug: 'acme',
      resourceSlug: 'api',
      mount: '/r/acme/api',
      target: { path: '/v1/x', query: '?q=1' },
    });
    expect(chooseRoute(target('/r/acme/api'), undefined)).toMatchObject({ target: { path: '/' } });
  });

  test('the header wins and leaves the path whole', () => {
    expect(chooseRoute(target('/r/acme/api'), 'res')).toMatchObject({
      kind: 'header',
      identifier: 'res',
      target: { path: '/r/acme/api' },
    });
  });

  test.each([
    '/',
    '/x',
    '/r',
    '/r/',
    '/r/acme',
    '/r/acme/',
    '/r//api',
    '/r/ACME/api',
    '/r/ac%6de/api',
    '/r/acme/api%2f',
    '/R/acme/api',
  ])('%s names nothing', (path) => expect(chooseRoute(target(path), undefined).kind).toBe('refused'));

  test.each(['', 'a b', 'a\u0000', 'é', 'x'.repeat(513)])('refuses the header value %j', (value) =>
    expect(chooseRoute(target('/'), value).kind).toBe('refused'),
  );

  test.each([
    '/health',
    '/ready?x=1',
    '/metrics',
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/r/a/b',
  ])('%s is the Gateway’s own', (path) => expect(isReservedPath(path)).toBe(true));
  test.each(['/healthz', '/health/', '/r/a/health', '//health', '/./health', '/.well-known/oauth-protected-resourcex'])(
    '%s is a governed call',
    (path) => expect(isReservedPath(path)).toBe(false),
  );
});

describe('deciding headers', () => {
  test.each([
    [['Authorization', 'a', 'authorization', 'b'], 'authorization'],
    [['X-Caracal-Resource', 'a', 'x-caracal-resource', 'a'], 'x-caracal-resource'],
    [['DPoP', 'a', 'dpop', 'b'], 'dpop'],
    [['Host', 'a', 'host', 'b'], 'host'],
    [['Content-Type', 'a', 'content-type', 'b'], 'content-type'],
  ])('sees a repeated one in %j', (raw, name) => expect(readDecidingHeaders(raw).repeated).toBe(name));

  test.each([
    ['Bearer a.b.c', 'bearer'],
    ['bearer  a.b.c ', 'bearer'],
    ['BEARER a.b.c', 'bearer'],
    ['DPoP a.b.c', 'dpop'],
    ['dpop a.b.c', 'dpop'],
  ])('reads %j as %s', (value, scheme) => expect(readBearer(value)).toEqual({ kind: 'token', token: 'a.b.c', scheme }));
  test.each([
    'Bearer',
    'Bearer ',
    'Basic a.b.c',
    'DPoP',
    'DPoP a.b',
    'Bearer a.b',
    'Bearer a.b.c.d',
    'Bearer a.b.c, Bearer d.e.f',
    'a.b.c',
    'Bearer a.b.c=',
    `Bearer ${'a'.repeat(9000)}.b.c`,
    'Bearer\ta.b.c',
  ])('does not take %j', (value) => expect(readBearer(value).kind).toBe('unreadable'));
  test('tells no credential from a bad one', () => expect(readBearer(undefined).kind).toBe('none'));
});

describe('challenges and metadata', () => {
  const base = 'https://gw.test';

  test('point to the metadata of the resource', () => {
    expect(challenge({ base, resource, error: 'invalid_token', requiredScopes: [], proofAlgorithms: [] })).toBe(
      'Bearer error="invalid_token", resource_metadata="https://gw.test/.well-known/oauth-protected-resource/r/acme/api"',
    );
  });
  test('carry no error word when there was no credential', () => {
    expect(challenge({ base, resource: undefined, error: undefined, requiredScopes: [], proofAlgorithms: [] })).toBe(
      'Bearer resource_metadata="https://gw.test/.well-known/oauth-protected-resource"',
    );
  });
  test('name the scopes that are needed', () => {
    expect(
      challenge({ base: '', resource, error: 'insufficient_scope', requiredScopes: ['a', 'b'], proofAlgorithms: [] }),
    ).toBe('Bearer error="insufficient_scope", scope="a b"');
  });
  test('name the algorithms of proofs where a proof is wanted', () => {
    const facts = { base: '', resource, error: 'use_dpop_nonce', requiredScopes: [] } as const;
    expect(challenge({ ...facts, proofAlgorithms: ['ES256', 'EdDSA'] })).toBe(
      'DPoP error="use_dpop_nonce", algs="ES256 EdDSA"',
    );
  });
  test('speak of the outside address that was used', () => {
    const urls = ['https://one.test/', 'https://two.test:8443'];
    expect(publicBase(urls, 'TWO.test:8443')).toBe('https://two.test:8443');
    expect(publicBase(urls, 'evil.test')).toBe('https://one.test');
    expect(publicBase([], 'evil.test')).toBe('');
  });
  test('a resource’s document names the address it was asked under, never the upstream', () => {
    const common = { issuer: 'https://issuer.test', proofAlgorithms: ['ES256'], seesCertificates: true };
    expect(protectedResource(base, common, resource)).toEqual({
      resource: 'https://gw.test/r/acme/api',
      authorization_servers: ['https://issuer.test'],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256'],
      tls_client_certificate_bound_access_tokens: true,
      scopes_supported: ['read', 'write'],
      resource_name: 'API',
    });
  });
});
