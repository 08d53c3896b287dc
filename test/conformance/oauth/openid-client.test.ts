// openid-client against a real STS, as an application would use it: one configuration, discovered once.
import { webcrypto } from 'node:crypto';
import * as client from 'openid-client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { aheadSeconds } from '../../support/assertions.ts';
import { accessTokenType, resource, startForeignClientWorld, tokenExchange } from './foreign-client.ts';
import type { ForeignClientWorld } from './foreign-client.ts';

let world: ForeignClientWorld;
let bySecret: client.Configuration;
let byAssertion: client.Configuration;
let bound: client.Configuration;

async function configure(clientId: string, authentication: client.ClientAuth): Promise<client.Configuration> {
  return client.discovery(world.issuer, clientId, undefined, authentication, {
    algorithm: 'oauth2',
    [client.customFetch]: world.fetch,
  });
}

beforeAll(async () => {
  world = await startForeignClientWorld();
  const { secretClient, signingClient, boundClient, signingKey } = world;
  const jwk = signingKey.privateKey.export({ format: 'jwk' });
  const key = await webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  bySecret = await configure(secretClient.id, client.ClientSecretBasic(secretClient.secret));
  byAssertion = await configure(
    signingClient.id,
    client.PrivateKeyJwt(
      { key, kid: signingKey.kid },
      { [client.modifyAssertion]: (_header, payload) => void (payload['iat'] = Number(payload['iat']) + aheadSeconds) },
    ),
  );
  bound = await configure(boundClient.id, client.ClientSecretPost(boundClient.secret));
  await vi.waitFor(async () => exchange(byAssertion), { timeout: 30_000, interval: 300 });
}, 120_000);
afterAll(async () => world?.[Symbol.asyncDispose]());

async function exchange(
  config: client.Configuration,
  parameters: Record<string, string> = {},
  options: client.DPoPOptions = {},
): Promise<client.TokenEndpointResponse> {
  const asked = { zone_id: world.zone.id, resource, ...parameters };
  return client.genericGrantRequest(config, tokenExchange, asked, options);
}

const zone = (): Record<string, string> => ({ zone_id: world.zone.id });

describe('an application with openid-client', () => {
  it('exchanges, introspects and revokes by secret and by assertion', async () => {
    for (const config of [bySecret, byAssertion]) {
      const ambient = await exchange(config);
      const subject = { subject_token: ambient.access_token, subject_token_type: accessTokenType };
      const perCall = await exchange(config, subject);
      expect(perCall).toMatchObject({ token_type: 'bearer', issued_token_type: accessTokenType });
      expect(await client.tokenIntrospection(config, perCall.access_token, zone())).toMatchObject({ active: true });
      await client.tokenRevocation(config, ambient.access_token, { ...zone(), wait: 'applied' });
      expect(await client.tokenIntrospection(config, perCall.access_token, zone())).toEqual({ active: false });
      await expect(exchange(config, subject)).rejects.toMatchObject({
        status: 401,
        cause: [{ parameters: { error: 'invalid_token' } }],
      });
    }
  });

  it('proves its key with the nonces it is given, all by itself', async () => {
    const DPoP = client.getDPoPHandle(bound, await client.randomDPoPKeyPair('ES256'));
    const ambient = await exchange(bound, {}, { DPoP });
    const subject = { subject_token: ambient.access_token, subject_token_type: accessTokenType };
    const perCall = await exchange(bound, subject, { DPoP });
    expect([ambient.token_type, perCall.token_type]).toEqual(['dpop', 'dpop']);
    const told = await client.tokenIntrospection(bound, perCall.access_token, zone());
    expect(told).toMatchObject({ active: true, cnf: { jkt: expect.any(String) } });
  });

  it('meets the errors it knows', async () => {
    const wrong = await configure(world.secretClient.id, client.ClientSecretPost('wrong'));
    await expect(exchange(wrong)).rejects.toMatchObject({ status: 401, cause: [{ scheme: 'basic' }] });
    await expect(exchange(bySecret, { scope: 'calendar:delete' })).rejects.toMatchObject({ error: 'invalid_scope' });
    await expect(exchange(bySecret, { subject_token: 'x.y.z', subject_token_type: accessTokenType })).rejects.toThrow();
  });
});
