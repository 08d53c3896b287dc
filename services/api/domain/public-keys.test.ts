import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { clientKey, rsaPublicJwk } from '../../../test/support/assertions.ts';
import type { SigningClientKey } from '../../../test/support/assertions.ts';
import { maxPublicKeys, publicKeyProblems } from './public-keys.ts';

const pairs = ['ES256', 'ES384', 'EdDSA', 'RS256'].map((alg) => clientKey(alg));
const weak = rsaPublicJwk(1024);

/** Without its name. */
const jwk = (alg: string): JsonObject => {
  const { kid: _, ...key } = pairs.find((pair) => pair.alg === alg)?.publicJwk ?? {};
  return key;
};
const secretJwk = ({ privateKey }: SigningClientKey): JsonObject => privateKey.export({ format: 'jwk' }) as JsonObject;
const pathsOf = (...keys: JsonObject[]): string[] => publicKeyProblems({ keys }).map(({ path }) => path);

describe('a key that may be registered', () => {
  it.each([
    ['EC P-256', jwk('ES256'), 'ES256'],
    ['EC P-384', jwk('ES384'), 'ES384'],
    ['Ed25519', jwk('EdDSA'), 'EdDSA'],
    ['RSA 2048', jwk('RS256'), 'PS256'],
  ])('is %s, plain or with its purpose', (_name, key, alg) => {
    expect(pathsOf(key)).toEqual([]);
    expect(pathsOf({ ...key, alg, use: 'sig', kid: 'k', key_ops: ['verify'] })).toEqual([]);
  });
});

describe('a key that may not', () => {
  it('is private, whatever its kind', () => {
    for (const pair of pairs) {
      expect(pathsOf(secretJwk(pair))).toContain('public_keys.keys[0].d');
    }
    expect(pathsOf({ kty: 'oct', k: 'c2VjcmV0' })).toEqual(['public_keys.keys[0].k']);
  });

  it('is weak RSA or has a small exponent', () => {
    expect(pathsOf(weak)).toEqual(['public_keys.keys[0].n']);
    expect(pathsOf(rsaPublicJwk(2048, 3))).toEqual(['public_keys.keys[0].e']);
    expect(pathsOf({ ...jwk('RS256'), n: 'A'.repeat(800) })).toEqual(['public_keys.keys[0].n']);
  });

  it('only pads a short modulus', () => {
    const bytes = Buffer.from(weak['n'] as string, 'base64url');
    const padded = Buffer.concat([Buffer.alloc(128), bytes]).toString('base64url');
    expect(pathsOf({ ...jwk('RS256'), n: padded })).toEqual(['public_keys.keys[0].n']);
  });

  it.each([
    ['another curve', { kty: 'EC', crv: 'secp256k1', x: 'A'.repeat(43), y: 'A'.repeat(43) }, 'kty'],
    ['no curve', { kty: 'EC' }, 'kty'],
    ['an unknown kind', { kty: 'none' }, 'kty'],
    ['short coordinates', { ...jwk('ES256'), x: 'AAAA' }, 'x'],
    ['foreign members', { ...jwk('ES256'), x5u: 'https://elsewhere.test' }, 'x5u'],
    ['an algorithm of another kind', { ...jwk('ES256'), alg: 'RS256' }, 'alg'],
    ['a symmetric algorithm', { ...jwk('RS256'), alg: 'HS256' }, 'alg'],
    ['another use', { ...jwk('ES256'), use: 'enc' }, 'use'],
    ['another operation', { ...jwk('ES256'), key_ops: ['sign'] }, 'key_ops'],
    ['a kid with a line break', { ...jwk('ES256'), kid: 'a\nb' }, 'kid'],
    ['an endless kid', { ...jwk('ES256'), kid: 'k'.repeat(129) }, 'kid'],
  ])('has %s', (_name, key, member) => {
    expect(pathsOf(key as JsonObject)).toEqual([`public_keys.keys[0].${member}`]);
  });
});

describe('a set', () => {
  it('holds at least one key and a bounded number', () => {
    expect(pathsOf()).toEqual(['public_keys.keys']);
    const many = Array.from({ length: maxPublicKeys + 1 }, (_, at) => ({ ...jwk('ES256'), kid: `k${at}` }));
    expect(pathsOf(...many)).toEqual(['public_keys.keys']);
  });

  it('names each of several keys once', () => {
    expect(pathsOf(jwk('ES256'), { ...jwk('RS256'), kid: 'b' })).toEqual(['public_keys.keys[0].kid']);
    expect(pathsOf({ ...jwk('ES256'), kid: 'a' }, { ...jwk('RS256'), kid: 'a' })).toEqual(['public_keys.keys[1].kid']);
    expect(pathsOf({ ...jwk('ES256'), kid: 'a' }, { ...jwk('RS256'), kid: 'b' })).toEqual([]);
  });

  it('never makes the check fail, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), fc.jsonValue())), (keys) => {
        publicKeyProblems({ keys: keys as JsonObject[] });
      }),
    );
  });
});
