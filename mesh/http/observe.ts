/**
 * Counts, times and logs every request that a route answered.
 * It stands alone so that labels and log fields of HTTP requests are decided in one place.
 */
import type { FastifyInstance } from 'fastify';
import { callerName, connectionCallerOf } from '#mesh/identity';
import { traceFrom } from '#mesh/telemetry';
import type { Logger, Metrics, TraceContext } from '#mesh/telemetry';
import type { RawRequest } from '#mesh/identity';

const traces = new WeakMap<RawRequest, TraceContext>();

/** The request's place in its trace: the caller's `traceparent` continued, or a new trace. The same at every call. */
export function traceOf(request: RawRequest): TraceContext {
  const known = traces.get(request);
  if (known !== undefined) return known;
  const header = request.headers['traceparent'];
  const trace = traceFrom(typeof header === 'string' ? header : undefined);
  traces.set(request, trace);
  return trace;
}

export function observeRequests(app: FastifyInstance, { logger, metrics }: { logger: Logger; metrics: Metrics }): void {
  const seconds = metrics.histogram({
    name: 'http_request_seconds',
    help: 'Time to answer HTTP requests by route, method and status.',
    labels: ['route', 'method', 'status'],
  });
  app.addHook('onResponse', async (request, reply) => {
    const { url: route = 'none', config } = request.routeOptions;
    if (config?.isRpc === true) return;
    const status = reply.statusCode;
    seconds.observe(reply.elapsedTime / 1000, { route, method: request.method, status: String(status) });
    const fields = {
      requestId: request.id,
      traceId: traceOf(request.raw).traceId,
      method: request.method,
      route,
      status,
      durationMs: Math.round(reply.elapsedTime * 10) / 10,
      caller: callerName(connectionCallerOf(request.raw)),
    };
    // One line a request is too much at full load; refusals and failures are always worth one.
    if (status < 400) logger.debug(fields, 'request');
    else logger.info(fields, 'request');
  });
}
