// Telemetry: log lines, metrics and traces, each behind a small interface of ours.
export {
  createLogger,
  logLevels,
  silentLogger,
  type LogFields,
  type LogLevel,
  type Logger,
  type LoggerOptions,
} from './logger.ts';
export {
  createMetrics,
  silentMetrics,
  type CounterMetric,
  type CounterOptions,
  type GaugeMetric,
  type GaugeOptions,
  type HistogramMetric,
  type HistogramOptions,
  type Labels,
  type Metrics,
  type MetricsOptions,
} from './metrics.ts';
export { isSecretName, redactText } from './redact.ts';
export { childTrace, parseTraceparent, traceFrom, type TraceContext } from './trace-context.ts';
export { startTracing, type FinishedSpan, type Tracing, type TracingOptions } from './tracing.ts';
