/**
 * Fastify behind the listener, with the house's ids, limits, validation and errors.
 *
 * ```ts
 * const http = createHttpServer({ service: 'api', logger, metrics, health, metricsBearer, mode });
 * http.app.post('/v1/zones', { schema: { body: Type.Object({ name: Type.String({ maxLength: 200 }) }) } }, async (request) => {
 *   // request.id is the request id; connectionCallerOf(request.raw) the caller; throw fail('conflict') to refuse
 * });
 * await http.app.register(createRpcRoutes({ … })); // from #mesh/rpc
 * await http.ready();
 * const listener = createListener({ …, handler: http.handler });
 *
 * // The Gateway takes everything but reserved paths before the framework sees it:
 * createHttpServer({ …, handlerBefore: (request, response) => (isReserved(request.url) ? false : (proxy(request, response), true)) });
 * // and answers failures with the same bytes:
 * sendFailure(response, failure, requestIdOf(request));
 * ```
 */
export { bearerToken as parseBearer } from '#mesh/identity';
export { acceptForms } from './bodies.ts';
export { renderFailure, sendFailure } from './failure-reply.ts';
export type { RenderedFailure, ReplyTarget } from './failure-reply.ts';
export { createJsonValidator } from './json-validator.ts';
export type { JsonSchema, JsonValidator, Validated, ValueSource } from './json-validator.ts';
export { traceOf } from './observe.ts';
export { requestIdOf } from './request-id.ts';
export { createHttpServer } from './server.ts';
export type { HttpServer, HttpServerOptions } from './server.ts';
export type { RawResponse } from './raw-response.ts';
