import Fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addPublishedRoutes } from './published-routes.ts';

function serve(issuer: string) {
  const app = Fastify();
  addPublishedRoutes(app, {
    issuer,
    zoneJwks: async () => ({ keys: [] }),
    issuerMetadata: () => ({ issuer }),
    zoneMetadata: async (zoneId) => ({ issuer, zone: zoneId }),
  });
  return app;
}

describe('metadata of an issuer with a path', () => {
  const app = serve('https://idp.example/tenants/caracal');
  beforeAll(async () => app.ready());
  afterAll(async () => app.close());

  it('is where RFC 8414 §3.1 has a client look, and where a proxy that takes the path away asks', async () => {
    for (const url of [
      '/.well-known/oauth-authorization-server/tenants/caracal',
      '/.well-known/oauth-authorization-server',
    ]) {
      const reply = await app.inject({ url });
      expect({ url, status: reply.statusCode, body: reply.json() }).toEqual({
        url,
        status: 200,
        body: { issuer: 'https://idp.example/tenants/caracal' },
      });
      expect(reply.headers['cache-control']).toBe('public, max-age=300, must-revalidate');
    }
    expect((await app.inject({ url: '/.well-known/oauth-authorization-server/tenants/other' })).statusCode).toBe(404);
  });
});

describe('metadata of an issuer without a path', () => {
  const app = serve('https://sts.example/');
  beforeAll(async () => app.ready());
  afterAll(async () => app.close());

  it('has one place', async () => {
    expect((await app.inject({ url: '/.well-known/oauth-authorization-server' })).statusCode).toBe(200);
    expect((await app.inject({ url: '/.well-known/oauth-authorization-server/' })).statusCode).toBe(404);
  });
});
