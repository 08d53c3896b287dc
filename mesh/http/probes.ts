/**
 * The three routes every service has: is it alive, should it get work, what does it count.
 * They stand alone because probes and scrapers must work when everything else does not.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { constantTimeEqual } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { Health } from '#mesh/health';
import { bearerToken } from '#mesh/identity';
import type { Metrics } from '#mesh/telemetry';

export interface ProbeOptions {
  readonly service: string;
  readonly health: Health;
  readonly metrics: Metrics;
  /** METRICS_BEARER; without it `/metrics` is open in dev and closed elsewhere. */
  readonly metricsBearer: string | undefined;
  readonly mode: 'dev' | 'rc' | 'stable';
}

export function addProbes(app: FastifyInstance, options: ProbeOptions): void {
  const { service, health, metrics } = options;
  app.get('/health', async (_request, reply) => {
    return await noStore(reply).send({ status: health.live() ? 'ok' : 'down', service });
  });
  app.get('/ready', async (_request, reply) => {
    const { ready, reason, dependencies } = await health.ready();
    const body = {
      status: ready ? 'ready' : 'not_ready',
      service,
      ...(reason === undefined ? {} : { reason }),
      dependencies,
    };
    return await noStore(reply)
      .code(ready ? 200 : 503)
      .send(body);
  });
  app.get('/metrics', async (request, reply) => {
    if (!mayRead(request, options)) throw fail('unauthenticated');
    const { contentType, text } = await metrics.render();
    return await noStore(reply).header('content-type', contentType).send(text);
  });
}

function noStore(reply: FastifyReply): FastifyReply {
  return reply.header('cache-control', 'no-store');
}

function mayRead(request: FastifyRequest, { metricsBearer, mode }: ProbeOptions): boolean {
  if (metricsBearer === undefined) return mode === 'dev';
  const token = bearerToken(request.headers.authorization);
  return token !== undefined && constantTimeEqual(token, metricsBearer);
}
