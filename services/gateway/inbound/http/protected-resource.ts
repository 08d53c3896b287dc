// The metadata documents that tell a client where to get a mandate (RFC 9728).
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#mesh/failure';
import { protectedResource, publicBase, type CommonMetadata } from '../../domain/challenge.ts';
import type { Resource } from '../../domain/routing.ts';

export interface ProtectedResourceOptions extends CommonMetadata {
  readonly publicUrls: readonly string[];
  readonly bySlugs: (zoneSlug: string, resourceSlug: string) => Resource | undefined;
}

const path = '/.well-known/oauth-protected-resource';
// Long enough to spare probing clients a round trip, short enough for a resource that is renamed.
const cacheControl = 'public, max-age=60';

export function addProtectedResource(app: FastifyInstance, options: ProtectedResourceOptions): void {
  const answer = async (request: FastifyRequest, reply: FastifyReply, resource?: Resource): Promise<FastifyReply> => {
    const base = publicBase(options.publicUrls, request.host);
    // Without an outside address there is no `resource` value that a client could compare.
    if (base === '') throw fail('not_found');
    return await reply.header('cache-control', cacheControl).send(protectedResource(base, options, resource));
  };
  app.get(path, async (request, reply) => await answer(request, reply));
  app.get<{ Params: { zone: string; resource: string } }>(`${path}/r/:zone/:resource`, async (request, reply) => {
    const resource = options.bySlugs(request.params.zone, request.params.resource);
    if (resource === undefined) throw fail('not_found');
    return await answer(request, reply, resource);
  });
}
