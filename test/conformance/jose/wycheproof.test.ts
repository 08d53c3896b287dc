// Project Wycheproof's vectors on the verifiers of mandates and proofs: signatures in JOSE form, and whole tokens of every
// algorithm that is taken. The vectors are not part of this repository.
import { createPublicKey, type webcrypto } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '#mesh/failure';
import {
  decodeBase64Url,
  proofAlgorithms,
  readProofKey,
  readVerificationKey,
  verifyEs256,
  verifyProofSignature,
} from '#mesh/mandate';

type JsonWebKey = webcrypto.JsonWebKey;

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

interface SignatureGroup {
  readonly publicKey: { readonly uncompressed: string };
  readonly tests: readonly (Vector & { readonly msg: string; readonly sig: string })[];
}

interface TokenGroup {
  readonly public?: JsonWebKey;
  readonly tests: readonly (Vector & { readonly jws: unknown })[];
}

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const folder = join(root, '..', 'shared', 'vectors', 'wycheproof');
const isThere = existsSync(folder);
if (!isThere) process.stderr.write('Wycheproof vectors were NOT run: ../shared/vectors is not there\n');

function groups<G>(file: string): readonly G[] {
  if (!isThere) return [];
  return (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { readonly testGroups: readonly G[] }).testGroups;
}

function keyOf(uncompressed: string): JsonWebKey {
  const point = Buffer.from(uncompressed, 'hex');
  const coordinate = (from: number): string => point.subarray(from, from + 32).toString('base64url');
  return { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) };
}

describe('signatures in JOSE form (ecdsa_secp256r1_sha256_p1363)', () => {
  const all = groups<SignatureGroup>('ecdsa_secp256r1_sha256_p1363_test.json');

  it('verifies each valid signature and no invalid one', () => {
    const wrong: string[] = [];
    for (const group of all) {
      const key = createPublicKey({ key: keyOf(group.publicKey.uncompressed), format: 'jwk' });
      for (const { tcId, comment, result, msg, sig } of group.tests) {
        const message = Buffer.from(msg, 'hex').toString('latin1');
        if (verifyEs256(message, Buffer.from(sig, 'hex'), key) !== (result === 'valid'))
          wrong.push(`${tcId} ${comment}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(all.reduce((sum, { tests }) => sum + tests.length, 0)).toBe(isThere ? 262 : 0);
  });
});

// The vectors sign three bytes and no claims, so the parts of the verifier are put together here as it puts them.
function verifies(jws: unknown, jwk: JsonWebKey): boolean {
  const parts = typeof jws === 'string' ? jws.split('.') : [];
  const bytes = parts.map(decodeBase64Url);
  if (parts.length !== 3 || bytes.includes(undefined)) return false;
  const [header, , signature] = bytes;
  const key = readVerificationKey(jwk);
  if (key === undefined || signature?.length !== 64) return false;
  const expected = { alg: 'ES256', kid: key.kid };
  if (!isDeepStrictEqual(JSON.parse(String(header)), expected)) return false;
  return verifyEs256(parts.slice(0, 2).join('.'), signature, key.key);
}

describe('tokens (json_web_signature, keys on P-256)', () => {
  const all = groups<TokenGroup>('json_web_signature_test.json').filter(({ public: key }) => key?.crv === 'P-256');

  it('verifies each valid token and no invalid one', () => {
    const wrong: string[] = [];
    let count = 0;
    for (const { public: key, tests } of all) {
      for (const { tcId, comment, result, jws } of tests) {
        count += 1;
        if (key !== undefined && verifies(jws, key) !== (result === 'valid')) wrong.push(`${tcId} ${comment}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(count).toBe(isThere ? 41 : 0);
  });
});

/** What the token's own header names. */
function algorithmOf(jws: unknown): string | undefined {
  const header = decodeBase64Url(typeof jws === 'string' ? (jws.split('.')[0] ?? '') : '');
  try {
    return (JSON.parse(String(header)) as { readonly alg?: string }).alg;
  } catch {
    return undefined;
  }
}

// A proof's key comes with it, so the key of the vectors is read by the rules for such keys, under the header's algorithm.
function verifiesAsProof(jws: unknown, jwk: JsonWebKey): boolean {
  const parts = typeof jws === 'string' ? jws.split('.') : [];
  const bytes = parts.map(decodeBase64Url);
  const [, , signature] = bytes;
  if (parts.length !== 3 || bytes.includes(undefined) || signature === undefined) return false;
  const alg = algorithmOf(jws);
  if (alg === undefined) return false;
  const taken = proofAlgorithms.find((name) => name === alg);
  const key = taken === undefined ? undefined : readProofKey(jwk as JsonObject, taken);
  return key !== undefined && verifyProofSignature(key, parts.slice(0, 2).join('.'), signature);
}

describe('proofs (json_web_signature, every key)', () => {
  const all = groups<TokenGroup>('json_web_signature_test.json').filter(({ public: key }) => key !== undefined);
  const known = new Set<string | undefined>(proofAlgorithms);

  it('verifies each valid token of an algorithm that is taken, and no other one', () => {
    const wrong: string[] = [];
    let [valid, count] = [0, 0];
    for (const { public: key, tests } of all) {
      if (key === undefined) continue;
      for (const { tcId, comment, result, jws } of tests) {
        // A payload of no bytes at all is a valid signature and no claims: parts are never empty here.
        const isEmpty = typeof jws === 'string' && jws.includes('..');
        const expected = result === 'valid' && known.has(algorithmOf(jws)) && !isEmpty;
        count += 1;
        if (expected) valid += 1;
        if (verifiesAsProof(jws, key) !== expected) wrong.push(`${tcId} ${comment}`);
      }
    }
    expect(wrong).toEqual([]);
    expect([count > 300, valid > 10]).toEqual(isThere ? [true, true] : [false, false]);
  });
});
