// Names in certificates: which are ours, which only look so, and that no text crashes the reader.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { services } from '#mesh/topology';
import { claimsTrustDomain, parseIdentity, serviceIdentity, uriNames } from './spiffe.ts';

const domain = 'caracal.test';

describe('uriNames', () => {
  test('reads every URI and nothing else', () => {
    expect(uriNames('DNS:localhost, URI:spiffe://a/b, IP Address:127.0.0.1, URI:https://x')).toEqual([
      'spiffe://a/b',
      'https://x',
    ]);
    expect(uriNames(undefined)).toEqual([]);
  });

  test('a quoted name is one entry, whatever it holds', () => {
    expect(uriNames(String.raw`DNS:"a, URI:spiffe://caracal.test/caracal/api", URI:"spiffe://x\", URI:y"`)).toEqual([
      String.raw`"spiffe://x\", URI:y"`,
    ]);
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(uriNames(text))));
  });
});

describe('parseIdentity', () => {
  test.each(services)('knows the service %s', (service) => {
    expect(parseIdentity(serviceIdentity(domain, service), domain)).toMatchObject({ kind: 'peer', service });
  });

  test.each([
    'spiffe://caracal.test',
    'spiffe://caracal.test/',
    'spiffe://caracal.test/caracal',
    'spiffe://caracal.test/caracal/',
    'spiffe://caracal.test/caracal//api',
    'spiffe://caracal.test//caracal/api',
    'spiffe://caracal.test/caracal/api/',
    'spiffe://caracal.test/caracal/API',
    'spiffe://caracal.test/caracal/ap%69',
    'spiffe://caracal.test/caracal/api?x',
    'spiffe://caracal.test/caracal/api#x',
    'spiffe://caracal.test/./caracal/api',
    'spiffe://caracal.test/operator/',
    'spiffe://caracal.test/operator/Olga',
    'spiffe://caracal.test/operator/..',
    'spiffe://caracal.test.evil/caracal/api',
    'spiffe://evil/caracal.test/caracal/api',
    'SPIFFE://caracal.test/caracal/api',
    'https://caracal.test/caracal/api',
    'spiffe://caracal.test/caracal/__proto__',
    'spiffe://caracal.test/caracal/constructor',
    `spiffe://caracal.test/operator/${'a'.repeat(65)}`,
  ])('refuses %s', (uri) => {
    expect(parseIdentity(uri, domain)).toBeUndefined();
  });

  test('gives an identity only to what is written back the same', () => {
    const names = fc.constantFrom('caracal', 'operator', 'envoy', 'x', '');
    fc.assert(
      fc.property(names, fc.string({ maxLength: 20 }), (group, name) => {
        const uri = `spiffe://${domain}/${group}/${name}`;
        const identity = parseIdentity(uri, domain);
        if (identity === undefined) return true;
        return identity.kind === 'peer'
          ? identity.spiffeId === uri
          : uri.endsWith(`/${identity.kind}/${identity.name}`);
      }),
    );
  });
});

describe('claimsTrustDomain', () => {
  test.each([
    'spiffe://caracal.test/x',
    'SPIFFE://CARACAL.TEST',
    'spiffe://a@caracal.test:1/x',
    '"spiffe://caracal.test/a b"',
    'spiffe://caracal.test./x',
  ])('sees the claim of %s', (uri) => {
    expect(claimsTrustDomain(uri, domain)).toBe(true);
  });

  test.each(['spiffe://caracal.test.evil/x', 'spiffe://x/caracal.test', 'https://caracal.test/x', ''])(
    'lets %s be',
    (uri) => {
      expect(claimsTrustDomain(uri, domain)).toBe(false);
    },
  );

  test('whatever gets an identity has claimed the domain', () => {
    fc.assert(
      fc.property(fc.constantFrom('spiffe://', 'SPIFFE://', ''), fc.string(), fc.string(), (scheme, before, path) => {
        const uri = `${scheme}${before}${domain}/${path}`;
        return parseIdentity(uri, domain) === undefined || claimsTrustDomain(uri, domain);
      }),
    );
  });
});
