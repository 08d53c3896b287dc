/**
 * Wires Fastify as one handler behind the listener: request ids, limits, strict bodies, one place for errors.
 * It stands alone because the framework's defaults differ from the house in each of these.
 */
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import type { Health } from '#mesh/health';
import type { RawRequest } from '#mesh/identity';
import type { Logger, Metrics } from '#mesh/telemetry';
import { createMethodTable } from './allowed-methods.ts';
import type { MethodTable } from './allowed-methods.ts';
import { acceptStrictJson } from './bodies.ts';
import { sendFailure } from './failure-reply.ts';
import { failureOf } from './framework-errors.ts';
import { createJsonValidator } from './json-validator.ts';
import type { ValueSource } from './json-validator.ts';
import { observeRequests } from './observe.ts';
import { addProbes } from './probes.ts';
import { requestIdOf } from './request-id.ts';
import type { RawResponse } from './raw-response.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set on routes of the RPC plugin, which counts and logs for itself. */
    isRpc?: boolean;
  }
}

export interface HttpServerOptions {
  readonly service: string;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  readonly metricsBearer: string | undefined;
  readonly mode: 'dev' | 'rc' | 'stable';
  /** Bodies of JSON routes; 1 MiB when absent, the bound of RPC messages. */
  readonly bodyLimitBytes?: number;
  /** Sees every request first; true when it takes it. The Gateway's proxy stages stand here. */
  readonly handlerBefore?: ((request: RawRequest, response: RawResponse) => boolean) | undefined;
}

export interface HttpServer extends AsyncDisposable {
  /** Register routes and plugins here before `ready`. */
  readonly app: FastifyInstance;
  /** For the listener. Answers only after `ready`. */
  readonly handler: (request: RawRequest, response: RawResponse) => void;
  /** Fails when a plugin or a route's schema cannot be used. */
  ready(): Promise<void>;
}

const defaultBodyLimitBytes = 1_048_576;
/** A path parameter is an id of at most 128 characters, percent-encoded at worst threefold. */
const maxParameterLength = 384;

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const bodyLimit = options.bodyLimitBytes ?? defaultBodyLimitBytes;
  const app = createApp(options, bodyLimit);
  const methods = createMethodTable();
  app.addHook('onRoute', ({ url, method }) => methods.add(url, [method].flat()));
  acceptStrictJson(app, bodyLimit);
  validateStrictly(app);
  observeRequests(app, options);
  app.setErrorHandler((error, request, reply) => answerError(error, { request, reply, logger: options.logger }));
  app.setNotFoundHandler((request, reply) => answerNotFound(request, reply, methods));
  addProbes(app, options);

  return {
    app,
    handler: (request, response) => {
      response.setHeader('x-request-id', requestIdOf(request));
      if (options.handlerBefore?.(request, response) === true) return;
      // The framework is written against http; the compatible requests of http2 differ in nothing that it uses.
      app.routing(request as Parameters<typeof app.routing>[0], response as Parameters<typeof app.routing>[1]);
    },
    ready: async () => {
      await app.ready();
    },
    [Symbol.asyncDispose]: async () => await app.close(),
  };
}

function createApp({ logger }: HttpServerOptions, bodyLimit: number): FastifyInstance {
  return fastify({
    logger: false,
    requestIdHeader: false,
    genReqId: (request) => requestIdOf(request),
    bodyLimit,
    // Draining is the listener's; the framework would answer 503 by itself.
    return503OnClosing: false,
    exposeHeadRoutes: true,
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: maxParameterLength },
    frameworkErrors: (error, request, reply) => answerError(error, { request, reply, logger }),
  });
}

function validateStrictly(app: FastifyInstance): void {
  app.setValidatorCompiler(({ schema, httpPart }) => {
    const validate = createJsonValidator(schema, sourceOf(httpPart));
    return (value: unknown) => {
      const result = validate(value);
      return result.kind === 'valid' ? { value: result.value } : { error: result.failure };
    };
  });
}

function sourceOf(httpPart: string | undefined): ValueSource {
  if (httpPart === 'headers') return 'headers';
  return httpPart === 'querystring' || httpPart === 'params' ? 'texts' : 'json';
}

interface ErrorContext {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly logger: Logger;
}

function answerError(error: unknown, { request, reply, logger }: ErrorContext): void {
  const failure = failureOf(error);
  // The framework asks for a closed connection after an oversized body, in a header that h2 does not have.
  if (request.raw.httpVersionMajor === 2) void reply.removeHeader('connection');
  logFailure(failure, request, logger);
  sendFailure(reply, failure, requestIdOf(request.raw));
}

function logFailure(failure: Failure, request: FastifyRequest, logger: Logger): void {
  const fields = { requestId: request.id, reason: failure.reason, route: request.routeOptions.url, error: failure };
  if (failure.entry.httpStatus >= 500) logger.error(fields, 'request failed');
  else logger.debug(fields, 'request refused');
}

function answerNotFound(request: FastifyRequest, reply: FastifyReply, methods: MethodTable): void {
  const path = request.url.split('?', 1)[0] ?? '';
  const allowed = methods.methodsFor(path);
  if (allowed.length > 0) void reply.header('allow', allowed.join(', '));
  sendFailure(reply, fail(allowed.length > 0 ? 'method_not_allowed' : 'not_found'), requestIdOf(request.raw));
}
