// oauth4webapi against a real STS: discovery, three ways of authenticating, token exchange, DPoP, introspection, revocation.
// It checks every answer against the standards by itself, and throws where one is not conform.
import { webcrypto } from 'node:crypto';
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { aheadSeconds } from '../../support/assertions.ts';
import { accessTokenType, resource, startForeignClientWorld, tokenExchange } from './foreign-client.ts';
import type { ForeignClientWorld } from './foreign-client.ts';

let world: ForeignClientWorld;
let as: oauth.AuthorizationServer;
let http: { [oauth.customFetch]: ForeignClientWorld['fetch'] };
let assertionKey: webcrypto.CryptoKey;

beforeAll(async () => {
  world = await startForeignClientWorld();
  http = { [oauth.customFetch]: world.fetch };
  const { issuer, zone, signingKey } = world;
  const document = new URL(`/zones/${zone.id}/.well-known/oauth-authorization-server`, issuer);
  as = await oauth.processDiscoveryResponse(issuer, await world.fetch(document));
  const jwk = signingKey.privateKey.export({ format: 'jwk' });
  assertionKey = await webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  // What was signed before a fresh Redis began to remember counts as used.
  await vi.waitFor(async () => exchange(world.signingClient.id, signed()), { timeout: 30_000, interval: 300 });
}, 120_000);
afterAll(async () => world?.[Symbol.asyncDispose]());

const signed = (): oauth.ClientAuth =>
  oauth.PrivateKeyJwt(
    { key: assertionKey, kid: world.signingKey.kid },
    // A fresh Redis has just begun to remember: see aheadSeconds.
    { [oauth.modifyAssertion]: (_header, payload) => void (payload['iat'] = Number(payload['iat']) + aheadSeconds) },
  );
const zoneParameter = (): Record<string, string> => ({ zone_id: world.zone.id });

interface Exchange {
  readonly parameters?: Record<string, string>;
  readonly DPoP?: oauth.DPoPHandle;
}

async function exchange(
  clientId: string,
  authentication: oauth.ClientAuth,
  { parameters = {}, DPoP }: Exchange = {},
): Promise<oauth.TokenEndpointResponse> {
  const client: oauth.Client = { client_id: clientId };
  const asked = { ...zoneParameter(), resource, scope: 'calendar:read', ...parameters };
  const request = async (): Promise<Response> =>
    oauth.genericTokenEndpointRequest(as, client, authentication, tokenExchange, asked, {
      ...http,
      ...(DPoP ? { DPoP } : {}),
    });
  try {
    return await oauth.processGenericTokenEndpointResponse(as, client, await request());
  } catch (error) {
    if (!DPoP || !oauth.isDPoPNonceError(error)) throw error;
    return oauth.processGenericTokenEndpointResponse(as, client, await request());
  }
}

async function introspect(
  clientId: string,
  authentication: oauth.ClientAuth,
  token: string,
): Promise<oauth.IntrospectionResponse> {
  const client: oauth.Client = { client_id: clientId };
  const options = { ...http, additionalParameters: zoneParameter() };
  const response = await oauth.introspectionRequest(as, client, authentication, token, options);
  return oauth.processIntrospectionResponse(as, client, response);
}

/** RFC 9110 §15.5.2: every 401 says how to authenticate, which this client reads before the body. */
const challenged = (scheme: string): object => ({
  code: oauth.WWW_AUTHENTICATE_CHALLENGE,
  status: 401,
  cause: [{ scheme }],
});

const methods = (): readonly (readonly [string, string, oauth.ClientAuth])[] => {
  const { secretClient, signingClient } = world;
  return [
    ['client_secret_basic', secretClient.id, oauth.ClientSecretBasic(secretClient.secret)],
    ['client_secret_post', secretClient.id, oauth.ClientSecretPost(secretClient.secret)],
    ['private_key_jwt', signingClient.id, signed()],
  ];
};

describe('metadata (RFC 8414)', () => {
  it('is found from the issuer alone, and says what is true of every zone', async () => {
    const response = await oauth.discoveryRequest(world.issuer, { ...http, algorithm: 'oauth2' });
    const global = await oauth.processDiscoveryResponse(world.issuer, response);
    expect(global).toMatchObject({
      introspection_endpoint: `${as.issuer}/oauth/2/introspect`,
      revocation_endpoint: `${as.issuer}/oauth/2/revoke`,
      grant_types_supported: [tokenExchange],
      tls_client_certificate_bound_access_tokens: true,
    });
    expect(global.jwks_uri).toBeUndefined();
    expect(global['dpop_signing_alg_values_supported']).toContain('ES256');
    expect(new URL(as.jwks_uri ?? '').pathname).toContain(world.zone.id);
    expect({ ...as, jwks_uri: undefined }).toEqual({ ...global, jwks_uri: undefined });
  });

  it('names every method that works, and no other', () => {
    const known = methods().map(([name]) => name);
    for (const endpoint of ['token', 'introspection', 'revocation']) {
      expect(as[`${endpoint}_endpoint_auth_methods_supported`]).toEqual(known);
      const algorithms = as[`${endpoint}_endpoint_auth_signing_alg_values_supported`] as string[];
      expect(algorithms).toContain('ES256');
      expect(algorithms.filter((name) => name === 'none' || name.startsWith('HS'))).toEqual([]);
    }
  });
});

describe('token exchange (RFC 8693)', () => {
  it('is conform for a client that authenticates by each method', async () => {
    for (const [name, clientId, authentication] of methods()) {
      const ambient = await exchange(clientId, authentication);
      expect({ name, ...ambient }).toMatchObject({
        name,
        token_type: 'bearer',
        issued_token_type: accessTokenType,
        scope: 'calendar:read',
        expires_in: 900,
      });
      const perCall = await exchange(clientId, authentication, {
        parameters: { subject_token: ambient.access_token, subject_token_type: accessTokenType },
      });
      expect(perCall.token_type).toBe('bearer');
      expect(perCall.access_token).not.toBe(ambient.access_token);
    }
  });

  it('refuses in the words of RFC 6749 §5.2', async () => {
    const { secretClient } = world;
    const wrong = oauth.ClientSecretPost('wrong');
    await expect(exchange(secretClient.id, wrong)).rejects.toMatchObject(challenged('basic'));
    const right = oauth.ClientSecretPost(secretClient.secret);
    const refused = async (parameters: Record<string, string>): Promise<unknown> =>
      exchange(secretClient.id, right, { parameters }).catch((error: unknown) => (error as { error?: string }).error);
    expect(await refused({ scope: 'calendar:delete' })).toBe('invalid_scope');
    expect(await refused({ resource: 'https://elsewhere.test' })).toBe('invalid_target');
    const other = oauth.genericTokenEndpointRequest(
      as,
      { client_id: secretClient.id },
      right,
      'client_credentials',
      zoneParameter(),
      http,
    );
    const unsupported = oauth.processGenericTokenEndpointResponse(as, { client_id: secretClient.id }, await other);
    await expect(unsupported).rejects.toMatchObject({ error: 'unsupported_grant_type' });
  });

  it('gives mandates that verify by the published keys', async () => {
    const { secretClient, zone } = world;
    const authentication = oauth.ClientSecretPost(secretClient.secret);
    const ambient = await exchange(secretClient.id, authentication);
    const { access_token: token } = await exchange(secretClient.id, authentication, {
      parameters: { subject_token: ambient.access_token, subject_token_type: accessTokenType },
    });
    const keys = createRemoteJWKSet(new URL(as.jwks_uri ?? ''), { [joseFetch]: world.fetch });
    const verified = await jwtVerify(token, keys, {
      issuer: as.issuer,
      audience: resource,
      algorithms: ['ES256'],
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id', 'zone_id'],
    });
    expect(verified.payload).toMatchObject({ client_id: secretClient.id, zone_id: zone.id, scope: 'calendar:read' });
  });
});

describe('DPoP (RFC 9449)', () => {
  it('binds to the key that is proven, with the nonce where one is wanted, and stays bound', async () => {
    const { boundClient } = world;
    const authentication = oauth.ClientSecretBasic(boundClient.secret);
    const keyPair = await oauth.generateKeyPair('ES256');
    const DPoP = oauth.DPoP({}, keyPair);
    const ambient = await exchange(boundClient.id, authentication, { DPoP });
    expect(ambient.token_type).toBe('dpop');
    const parameters = { subject_token: ambient.access_token, subject_token_type: accessTokenType };
    const perCall = await exchange(boundClient.id, authentication, { DPoP, parameters });
    expect(perCall.token_type).toBe('dpop');
    const told = await introspect(boundClient.id, authentication, perCall.access_token);
    expect(told).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: expect.any(String) } });
    const stranger = oauth.DPoP({}, await oauth.generateKeyPair('ES256'));
    await expect(exchange(boundClient.id, authentication, { DPoP: stranger, parameters })).rejects.toMatchObject(
      challenged('bearer'),
    );
    await expect(exchange(boundClient.id, authentication)).rejects.toMatchObject({ error: 'invalid_dpop_proof' });
  });
});

describe('introspection (RFC 7662) and revocation (RFC 7009)', () => {
  it('tell, by each method of authentication, and end what they tell of', async () => {
    for (const [name, clientId, authentication] of methods()) {
      const { access_token: token } = await exchange(clientId, authentication);
      expect({ name, ...(await introspect(clientId, authentication, token)) }).toMatchObject({
        name,
        active: true,
        client_id: clientId,
        iss: as.issuer,
        scope: 'calendar:read',
      });
      const client: oauth.Client = { client_id: clientId };
      const options = { ...http, additionalParameters: { ...zoneParameter(), wait: 'applied' } };
      const revoked = await oauth.revocationRequest(as, client, authentication, token, options);
      await oauth.processRevocationResponse(revoked);
      expect(await introspect(clientId, authentication, token)).toEqual({ active: false });
    }
  });

  it('tell a resource server of the mandates made out to it', async () => {
    const { secretClient, signingClient } = world;
    const authentication = oauth.ClientSecretPost(secretClient.secret);
    const ambient = await exchange(secretClient.id, authentication);
    const { access_token: token } = await exchange(secretClient.id, authentication, {
      parameters: { subject_token: ambient.access_token, subject_token_type: accessTokenType },
    });
    const told = await introspect(signingClient.id, signed(), token);
    expect(told).toMatchObject({ active: true, aud: [resource], client_id: secretClient.id });
    expect(await introspect(signingClient.id, signed(), ambient.access_token)).toEqual({ active: false });
  });

  it('are refused to whoever is no client', async () => {
    const { secretClient } = world;
    const wrong = oauth.ClientSecretBasic('wrong');
    await expect(introspect(secretClient.id, wrong, 'x')).rejects.toMatchObject(challenged('basic'));
    const client: oauth.Client = { client_id: secretClient.id };
    const options = { ...http, additionalParameters: zoneParameter() };
    const response = await oauth.revocationRequest(as, client, oauth.ClientSecretPost('wrong'), 'x', options);
    await expect(oauth.processRevocationResponse(response)).rejects.toBeDefined();
  });
});
