// Clients that authenticate with assertions they sign (RFC 7523): their keys, and assertions right and wrong.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { JsonObject } from '#mesh/failure';

export const clientAssertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export interface SigningClientKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
  /** As it is registered. */
  readonly publicJwk: JsonObject;
}

/** A key of a client for this algorithm, named. */
export function clientKey(alg: string, kid = `key-${randomUUID()}`): SigningClientKey {
  const pair = keyPair(alg);
  return {
    alg,
    kid,
    privateKey: pair.privateKey,
    publicJwk: { ...(pair.publicKey.export({ format: 'jwk' }) as JsonObject), kid },
  };
}

function keyPair(alg: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (alg === 'ES384') return generateKeyPairSync('ec', { namedCurve: 'P-384' });
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** An RSA public key of any strength, as it would be registered. */
export function rsaPublicJwk(modulusLength: number, publicExponent = 65_537): JsonObject {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent });
  return publicKey.export({ format: 'jwk' }) as JsonObject;
}

/**
 * How far the test client's clock is ahead, within what clocks may differ by: what may be older than Redis' memory counts
 * as used, and the Redis of a test has just begun to remember.
 */
export const aheadSeconds = 55;

export interface AssertionParts {
  readonly clientId: string;
  readonly issuer: string;
  /** Members over or, when undefined, out of what is right. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
}

/** An assertion of this client for this issuer; everything in it is right unless changed. */
export async function clientAssertion(key: SigningClientKey, parts: AssertionParts): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const { clientId, issuer } = parts;
  const parties = { iss: clientId, sub: clientId, aud: issuer };
  const right = { ...parties, iat: now + aheadSeconds, exp: now + 120, jti: randomUUID() };
  const claims = { ...right, ...parts.claims };
  const header = { alg: key.alg, kid: key.kid, typ: 'client-authentication+jwt', ...parts.header };
  return new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
}
