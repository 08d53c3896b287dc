// An OpenID provider on this machine, as far as a subject issuer needs one: it publishes a key and signs id tokens by it.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PeopleIssuer extends AsyncDisposable {
  readonly url: string;
  readonly jwksUrl: string;
  readonly audience: string;
  /** As UPSTREAM_DEV_LOOPBACK_HOSTS names it. */
  readonly host: string;
  /** A token that says the user signed in just now, good for longer than any mandate made from it. */
  idToken(user: string): string;
}

/** Twice the longest life of a mandate. */
const lifeSeconds = 7200;
/**
 * Its clock is ahead, as far as is tolerated of others: what it signs is then surely younger than a Redis that has only just
 * started, which remembers no use from before.
 */
const aheadSeconds = 58;

export async function startPeopleIssuer(): Promise<PeopleIssuer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomUUID();
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] });
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json').end(jwks);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `http://${host}`;
  const audience = 'caracal';
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return {
    url,
    jwksUrl: `${url}/keys`,
    audience,
    host,
    idToken(user) {
      const iat = Math.floor(Date.now() / 1000) + aheadSeconds;
      const claims = { iss: url, aud: audience, sub: user, iat, exp: iat + lifeSeconds, jti: randomUUID() };
      const input = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`;
      const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${input}.${signature.toString('base64url')}`;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
