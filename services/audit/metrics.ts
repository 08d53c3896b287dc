// Every metric Audit emits, beside those of the mesh libraries it stands on.
import type { CounterMetric, Metrics } from '#mesh/telemetry';

export interface AuditMetrics {
  readonly stored: CounterMetric;
  readonly duplicates: CounterMetric;
  readonly deadLetters: CounterMetric;
  readonly findings: CounterMetric<'kind'>;
}

export function createAuditMetrics(metrics: Metrics): AuditMetrics {
  return {
    stored: metrics.counter({ name: 'events_stored_total', help: 'Events that were chained and stored.' }),
    duplicates: metrics.counter({ name: 'events_duplicate_total', help: 'Events that had been stored before.' }),
    deadLetters: metrics.counter({ name: 'events_dead_total', help: 'Stream entries that went to the dead letters.' }),
    findings: metrics.counter({
      name: 'findings_total',
      help: 'Places of the ledger that did not verify.',
      labels: ['kind'],
    }),
  };
}
