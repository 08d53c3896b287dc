// Sends finished spans to a tracing backend when one is configured, and costs nothing when none is.
// It stands alone because OpenTelemetry's SDK is heavy: it is loaded only once an endpoint is set.
import type { Attributes } from '@opentelemetry/api';
import type { TraceContext } from './trace-context.ts';

export interface FinishedSpan {
  /** A route template or an RPC's name, never a path with values in it. */
  readonly name: string;
  readonly trace: TraceContext;
  /** Epoch milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  readonly kind?: 'server' | 'client' | 'internal' | undefined;
  readonly attributes?: Attributes | undefined;
  /** The failure's reason; marks the span as failed. */
  readonly error?: string | undefined;
}

/** Where finished spans go. */
export interface Tracing extends AsyncDisposable {
  /** False when no endpoint is set: callers may then skip the work of describing a span. */
  readonly enabled: boolean;
  record(span: FinishedSpan): void;
}

export interface TracingOptions {
  /** Base address of an OTLP/HTTP receiver; spans go to its `/v1/traces`. Undefined switches tracing off. */
  readonly endpoint: string | undefined;
  readonly service: string;
  readonly mode?: string | undefined;
  readonly replica?: string | undefined;
}

const off: Tracing = {
  enabled: false,
  record: () => {},
  [Symbol.asyncDispose]: async () => {},
};

/** Starts sending spans; disposing flushes what is left. Failing to reach the backend never reaches the caller. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  if (options.endpoint === undefined) return off;
  const [api, { NodeSDK }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ]);
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } = api;
  // Ids were given when the work began, because they travel with it; the SDK takes them instead of making its own.
  let current: TraceContext | undefined;
  const take = (part: 'traceId' | 'spanId'): string => {
    if (current === undefined) throw new TypeError('a span is recorded outside of record()');
    return current[part];
  };
  const sdk = new NodeSDK({
    serviceName: `caracal-${options.service}`,
    autoDetectResources: false,
    instrumentations: [],
    metricReaders: [],
    logRecordProcessors: [],
    textMapPropagator: null,
    traceExporter: new OTLPTraceExporter({ url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces` }),
    idGenerator: { generateTraceId: () => take('traceId'), generateSpanId: () => take('spanId') },
  });
  sdk.start();
  const tracer = trace.getTracer('caracal');
  const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };
  const everywhere: Attributes = {
    'service.namespace': 'caracal',
    ...(options.mode === undefined ? {} : { 'deployment.environment.name': options.mode }),
    ...(options.replica === undefined ? {} : { 'service.instance.id': options.replica }),
  };

  function parentOf({ traceId, parentSpanId, traceparent }: TraceContext) {
    if (parentSpanId === undefined) return ROOT_CONTEXT;
    const traceFlags = traceparent.endsWith('-01') ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentSpanId, traceFlags, isRemote: true });
  }

  return {
    enabled: true,
    record({ name, trace: context, startMs, endMs, kind = 'internal', attributes, error }) {
      current = context;
      const described = { ...everywhere, ...attributes };
      const span = tracer.startSpan(
        name,
        { kind: kinds[kind], startTime: startMs, attributes: described },
        parentOf(context),
      );
      current = undefined;
      if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
      span.end(endMs);
    },
    [Symbol.asyncDispose]: () => sdk.shutdown().catch(() => {}),
  };
}
