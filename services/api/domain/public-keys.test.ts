import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import { maxPublicKeys, publicKeyProblems } from './public-keys.ts';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const ed = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
const odd = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });

const jwk = (pair: { publicKey: { export(options: { format: 'jwk' }): object } }): JsonObject =>
  pair.publicKey.export({ format: 'jwk' }) as JsonObject;
const secretJwk = (pair: { privateKey: { export(options: { format: 'jwk' }): object } }): JsonObject =>
  pair.privateKey.export({ format: 'jwk' }) as JsonObject;
const pathsOf = (...keys: JsonObject[]): string[] => publicKeyProblems({ keys }).map(({ path }) => path);

describe('a key that may be registered', () => {
  it.each([
    ['EC P-256', jwk(ec), 'ES256'],
    ['EC P-384', jwk(p384), 'ES384'],
    ['Ed25519', jwk(ed), 'EdDSA'],
    ['RSA 2048', jwk(rsa), 'PS256'],
  ])('is %s, plain or with its purpose', (_name, key, alg) => {
    expect(pathsOf(key)).toEqual([]);
    expect(pathsOf({ ...key, alg, use: 'sig', kid: 'k', key_ops: ['verify'] })).toEqual([]);
  });
});

describe('a key that may not', () => {
  it('is private, whatever its kind', () => {
    for (const pair of [ec, p384, ed, rsa]) {
      expect(pathsOf(secretJwk(pair))).toContain('public_keys.keys[0].d');
    }
    expect(pathsOf({ kty: 'oct', k: 'c2VjcmV0' })).toEqual(['public_keys.keys[0].k']);
  });

  it('is weak RSA or has a small exponent', () => {
    expect(pathsOf(jwk(weak))).toEqual(['public_keys.keys[0].n']);
    expect(pathsOf(jwk(odd))).toEqual(['public_keys.keys[0].e']);
    expect(pathsOf({ ...jwk(rsa), n: 'A'.repeat(800) })).toEqual(['public_keys.keys[0].n']);
  });

  it('only pads a short modulus', () => {
    const bytes = Buffer.from(jwk(weak)['n'] as string, 'base64url');
    const padded = Buffer.concat([Buffer.alloc(128), bytes]).toString('base64url');
    expect(pathsOf({ ...jwk(rsa), n: padded })).toEqual(['public_keys.keys[0].n']);
  });

  it.each([
    ['another curve', { kty: 'EC', crv: 'secp256k1', x: 'A'.repeat(43), y: 'A'.repeat(43) }, 'kty'],
    ['no curve', { kty: 'EC' }, 'kty'],
    ['an unknown kind', { kty: 'none' }, 'kty'],
    ['short coordinates', { ...jwk(ec), x: 'AAAA' }, 'x'],
    ['foreign members', { ...jwk(ec), x5u: 'https://elsewhere.test' }, 'x5u'],
    ['an algorithm of another kind', { ...jwk(ec), alg: 'RS256' }, 'alg'],
    ['a symmetric algorithm', { ...jwk(rsa), alg: 'HS256' }, 'alg'],
    ['another use', { ...jwk(ec), use: 'enc' }, 'use'],
    ['another operation', { ...jwk(ec), key_ops: ['sign'] }, 'key_ops'],
    ['a kid with a line break', { ...jwk(ec), kid: 'a\nb' }, 'kid'],
    ['an endless kid', { ...jwk(ec), kid: 'k'.repeat(129) }, 'kid'],
  ])('has %s', (_name, key, member) => {
    expect(pathsOf(key as JsonObject)).toEqual([`public_keys.keys[0].${member}`]);
  });
});

describe('a set', () => {
  it('holds at least one key and a bounded number', () => {
    expect(pathsOf()).toEqual(['public_keys.keys']);
    const many = Array.from({ length: maxPublicKeys + 1 }, (_, at) => ({ ...jwk(ec), kid: `k${at}` }));
    expect(pathsOf(...many)).toEqual(['public_keys.keys']);
  });

  it('names each of several keys once', () => {
    expect(pathsOf(jwk(ec), { ...jwk(rsa), kid: 'b' })).toEqual(['public_keys.keys[0].kid']);
    expect(pathsOf({ ...jwk(ec), kid: 'a' }, { ...jwk(rsa), kid: 'a' })).toEqual(['public_keys.keys[1].kid']);
    expect(pathsOf({ ...jwk(ec), kid: 'a' }, { ...jwk(rsa), kid: 'b' })).toEqual([]);
  });

  it('never makes the check fail, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), fc.jsonValue())), (keys) => {
        publicKeyProblems({ keys: keys as JsonObject[] });
      }),
    );
  });
});
