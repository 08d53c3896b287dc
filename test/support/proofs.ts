/** Keys and DPoP proofs (RFC 9449) put together by hand, right or wrong in any part, for tests of whatever reads them. */
import { createHash, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto';

export interface HolderKey {
  readonly alg: 'ES256' | 'ES384' | 'EdDSA' | 'PS256' | 'RS256';
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
  /** RFC 7638 thumbprint. */
  readonly jkt: string;
}

const made = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const;

const required = { EC: ['crv', 'kty', 'x', 'y'], OKP: ['crv', 'kty', 'x'], RSA: ['e', 'kty', 'n'] } as const;

export function holderKey(alg: HolderKey['alg'] = 'ES256'): HolderKey {
  const { privateKey, publicKey } = made[alg]();
  const jwk = publicKey.export({ format: 'jwk' }) as Readonly<Record<string, unknown>>;
  const members = required[jwk['kty'] as keyof typeof required].map((name) => [name, jwk[name]]);
  const jkt = createHash('sha256')
    .update(JSON.stringify(Object.fromEntries(members)))
    .digest('base64url');
  return { alg, privateKey, jwk, jkt };
}

export interface ProofParts {
  readonly key: HolderKey;
  readonly method?: string;
  readonly url: string;
  /** Seconds. */
  readonly iat: number;
  readonly nonce?: string | undefined;
  readonly accessToken?: string | undefined;
  /** Members that replace or join those above; undefined takes one away. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
}

function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function signProof(key: HolderKey, input: string): Buffer {
  const data = Buffer.from(input);
  switch (key.alg) {
    case 'ES256':
      return sign('sha256', data, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    case 'ES384':
      return sign('sha384', data, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
    case 'EdDSA':
      return sign(null, data, key.privateKey);
    case 'PS256':
      return sign('sha256', data, { key: key.privateKey, padding: 6, saltLength: 32 });
    case 'RS256':
      return sign('sha256', data, key.privateKey);
  }
}

const encoded = (text: string): string => Buffer.from(text).toString('base64url');

/** A compact JWS of any header and payload text, signed with the key. */
export function forgeProof(header: string, payload: string, key: HolderKey): string {
  const input = `${encoded(header)}.${encoded(payload)}`;
  return `${input}.${signProof(key, input).toString('base64url')}`;
}

export function makeProof({ key, method = 'POST', url, iat, nonce, accessToken, claims, header }: ProofParts): string {
  const ath = accessToken === undefined ? undefined : tokenHash(accessToken);
  const payload = { jti: randomUUID(), htm: method, htu: url, iat, nonce, ath, ...claims };
  const joined = { typ: 'dpop+jwt', alg: key.alg, jwk: key.jwk, ...header };
  return forgeProof(JSON.stringify(joined), JSON.stringify(payload), key);
}
