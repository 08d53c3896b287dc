// What anyone may read over HTTP: JWK sets at the three paths clients know, and RFC 8414 metadata.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { isTextId } from '#mesh/ids';

export interface PublishedDeps {
  /** ISSUER_URL; its path, if it has one, decides where its metadata is looked for. */
  readonly issuer: string;
  /** With the key that the reader has met and does not know, if it says so. */
  readonly zoneJwks: (zoneId: string, wantedKid?: string) => Promise<object>;
  readonly issuerMetadata: () => JsonObject;
  readonly zoneMetadata: (zoneId: string) => Promise<JsonObject>;
}

/** Five minutes: how long a verifier may go on without learning of a new key. */
const cacheControl = 'public, max-age=300, must-revalidate';

function published(reply: FastifyReply): void {
  void reply.header('cache-control', cacheControl).header('x-content-type-options', 'nosniff');
}

function zoneIdOf(value: unknown, path: string): string {
  if (!isTextId(value)) throw fail('invalid_request', { fields: [{ path, rule: '1 to 128 of A-Z a-z 0-9 _ . : -' }] });
  return value;
}

/** A hint and nothing else: what is no key id is passed over. */
function wantedKid(query: Record<string, unknown>): string | undefined {
  const { kid } = query;
  return isTextId(kid) ? kid : undefined;
}

/**
 * RFC 8414 §3.1 puts the well-known part between host and path of an issuer. The plain path stays beside it, for a proxy that
 * takes the issuer's path away before it asks.
 */
function metadataPaths(issuer: string): readonly string[] {
  const plain = '/.well-known/oauth-authorization-server';
  const path = new URL(issuer).pathname.replace(/\/$/, '');
  return path === '' ? [plain] : [plain, `${plain}${path}`];
}

/** Adds the routes; refusals are never cached, answers five minutes. */
export function addPublishedRoutes(app: FastifyInstance, deps: PublishedDeps): void {
  app.get<{ Querystring: Record<string, unknown> }>('/.well-known/jwks.json', async (request, reply) => {
    const jwks = await deps.zoneJwks(zoneIdOf(request.query['zone_id'], 'zone_id'), wantedKid(request.query));
    published(reply);
    return jwks;
  });
  for (const path of ['/zones/:zone/.well-known/jwks.json', '/v1/zones/:zone/jwks']) {
    app.get<{ Params: { zone: string }; Querystring: Record<string, unknown> }>(path, async (request, reply) => {
      const jwks = await deps.zoneJwks(zoneIdOf(request.params.zone, 'zone'), wantedKid(request.query));
      published(reply);
      return jwks;
    });
  }
  for (const path of metadataPaths(deps.issuer)) {
    app.get(path, async (_request, reply) => {
      published(reply);
      return deps.issuerMetadata();
    });
  }
  app.get<{ Params: { zone: string } }>(
    '/zones/:zone/.well-known/oauth-authorization-server',
    async (request, reply) => {
      const metadata = await deps.zoneMetadata(zoneIdOf(request.params.zone, 'zone'));
      published(reply);
      return metadata;
    },
  );
}
