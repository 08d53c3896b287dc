/**
 * The Fastify plugin that serves a service's RPCs in all three protocols, with health and reflection beside them.
 * It stands alone because protocols, limits and the gate belong together and no service may vary them.
 */
import { constants } from 'node:http2';
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify';
import { createContextKey } from '@connectrpc/connect';
import type { ConnectRouter, HandlerContext } from '@connectrpc/connect';
import type { DescService } from '@bufbuild/protobuf';
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { Health as HealthService } from '#gen/grpc/health/v1/health_pb';
import { asFailure } from '#mesh/failure';
import type { Health } from '#mesh/health';
import { callerName, connectionOf } from '#mesh/identity';
import type { Identity, RawRequest, RefusedCall } from '#mesh/identity';
import { traceFrom } from '#mesh/telemetry';
import type { Logger, Metrics } from '#mesh/telemetry';
import { callValues, factsOfValues } from './call-context.ts';
import { createGate } from './call-gate.ts';
import { healthImplementation } from './health-service.ts';
import { codeName, createCallRecorder, createServerInterceptor } from './interceptors.ts';
import type { RecordCall } from './interceptors.ts';
import { withDocumentedErrors } from './protocol-errors.ts';
import type { ReportProtocolError } from './protocol-errors.ts';
import { createReflectionIndex } from './reflection-index.ts';
import type { ReflectionIndex } from './reflection-index.ts';
import { addReflection } from './reflection-service.ts';

export interface RpcRoutesOptions {
  /** Registers the service's own RPCs: `router.service(AuditService, { … })`. */
  readonly routes: (router: ConnectRouter) => void;
  readonly identity: Identity;
  readonly health: Health;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** In dev reflection is open to anyone. */
  readonly mode: 'dev' | 'rc' | 'stable';
  /** Evidence of a call that topology does not allow. Must not throw. */
  readonly onRefused?:
    ((refused: RefusedCall & { readonly requestId: string; readonly traceId: string }) => void) | undefined;
}

/** Messages over 1 MiB are refused (surfaces.md), in both directions. */
const maxMessageBytes = 1_048_576;

const reflectionRpcs: ReadonlySet<string> = new Set([
  'grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  'grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
]);

const rawKey = createContextKey<RawRequest | undefined>(undefined, { description: 'raw request' });

/** Register it once on the service's app: `await http.app.register(createRpcRoutes({ … }))`. */
export function createRpcRoutes(options: RpcRoutesOptions): FastifyPluginAsync {
  const { identity, logger, metrics, mode } = options;
  const record = createCallRecorder({ logger, metrics });
  const gate = createGate(
    {
      identity,
      openRpcs: mode === 'dev' ? reflectionRpcs : new Set(),
      onRefused: (refused) => {
        logger.warn({ ...refused, caller: callerName(refused.caller) }, 'a call outside the topology was refused');
        options.onRefused?.(refused);
      },
      onTurnedAway: (rpc, error, { requestId, trace }) => {
        const failure = asFailure(error);
        const { code } = failure.entry;
        record({ rpc, code, error: failure, requestId, traceId: trace.traceId, caller: 'refused', durationMs: 0 });
      },
    },
    (context: HandlerContext) => context.values.get(rawKey),
  );
  return async (app) => {
    markRoutes(app);
    // Bodies of RPCs are Connect's to read: the JSON parser of the HTTP routes must not see them.
    app.removeAllContentTypeParsers();
    app.addHook('onRequest', async ({ raw }) => keepReadable(raw));
    await app.register(fastifyConnectPlugin, {
      routes: (router) => {
        addAll(router, options);
        documentErrors(router, record);
      },
      contextValues: valuesOf,
      requestGate: gate,
      interceptors: [createServerInterceptor(record)],
      readMaxBytes: maxMessageBytes,
      writeMaxBytes: maxMessageBytes,
      // Compressed messages cost more than they save between services, and every inflated byte is an attack surface.
      acceptCompression: [],
      // A client that asks for longer than it gets is not refused: the bound is ours (interceptors.ts).
      jsonOptions: { ignoreUnknownFields: false },
    });
  };
}

function markRoutes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, isRpc: true };
  });
}

/**
 * A body that is refused half read must not be destroyed: on HTTP/1.1 its rest would block the connection for the next
 * request. The listener discards the rest after the answer.
 */
function keepReadable(raw: RawRequest): void {
  raw[Symbol.asyncIterator] = () => raw.iterator({ destroyOnReturn: false });
}

/** Errors that arise before any interceptor get their form, and their count, here. */
function documentErrors({ handlers }: ConnectRouter, record: RecordCall): void {
  const report: ReportProtocolError = (rpc, error, { contextValues }) => {
    const facts = contextValues === undefined ? undefined : factsOfValues(contextValues);
    const { requestId = '', trace } = facts ?? {};
    const told = { requestId, traceId: trace?.traceId ?? '', caller: 'unread', durationMs: 0 };
    record({ rpc, code: codeName(error.code), error, ...told });
  };
  for (const [at, handler] of handlers.entries()) handlers[at] = withDocumentedErrors(handler, report);
}

/** Of an HTTP/2 connection only the stream ends. */
function abandon(raw: RawRequest): void {
  if ('stream' in raw) raw.stream.close(constants.NGHTTP2_CANCEL);
  else raw.destroy();
}

function valuesOf(request: FastifyRequest) {
  const header = request.headers['traceparent'];
  const trace = traceFrom(typeof header === 'string' ? header : undefined);
  const facts = {
    requestId: request.id,
    trace,
    connection: connectionOf(request.raw),
    abandon: () => abandon(request.raw),
  };
  return callValues(facts).set(rawKey, request.raw);
}

function addAll(router: ConnectRouter, { routes, health }: RpcRoutesOptions): void {
  let index: ReflectionIndex | undefined;
  const served = () => [...new Set<DescService>(router.handlers.map(({ service }) => service))];
  routes(router);
  const own = served().map(({ typeName }) => typeName);
  router.service(
    HealthService,
    healthImplementation(health, () => own),
  );
  addReflection(router, () => (index ??= createReflectionIndex(served())));
}
