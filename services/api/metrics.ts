// Every metric that is the control plane's own; HTTP, Postgres and outbox count for themselves.
import type { CounterMetric, Metrics } from '#mesh/telemetry';

export interface ApiMetrics {
  readonly authenticationFailures: CounterMetric;
  readonly limited: CounterMetric<'limit'>;
  readonly limiterFallbacks: CounterMetric;
  readonly replays: CounterMetric;
}

export function createApiMetrics(metrics: Metrics): ApiMetrics {
  return {
    authenticationFailures: metrics.counter({
      name: 'authentication_failures_total',
      help: 'Requests whose admin token was not accepted.',
    }),
    limited: metrics.counter({ name: 'limited_total', help: 'Requests refused by a limit.', labels: ['limit'] }),
    limiterFallbacks: metrics.counter({
      name: 'limiter_fallbacks_total',
      help: 'Counts kept in the process because Redis was away.',
    }),
    replays: metrics.counter({
      name: 'idempotent_replays_total',
      help: 'Answers repeated for an idempotency key that was used before.',
    }),
  };
}
