// Every metric the Gateway emits beside those of its mesh libraries.
import type { CounterMetric, HistogramMetric, Metrics } from '#mesh/telemetry';

export interface GatewayMetrics {
  /** Governed calls by what came of them: passed, a refusal's reason, or why the answer ended early. */
  readonly calls: CounterMetric<'outcome' | 'status'>;
  /** From the request's head to the end of its answer, by whether the decision was reused. */
  readonly callSeconds: HistogramMetric<'decided_by'>;
  /** What happened to streams to the STS: opened, failed, ended. */
  readonly stsStreams: CounterMetric<'event'>;
  /** Reads of a zone's keys by outcome. */
  readonly zoneKeyReads: CounterMetric<'outcome'>;
  /** Reads of the resource snapshot by outcome. */
  readonly catalogueReads: CounterMetric<'outcome'>;
}

/** Sizes that are read when somebody looks. */
export interface GatewaySizes {
  readonly openResponses: () => number;
  readonly rememberedVerdicts: () => number;
  readonly rememberedMandates: () => number;
  readonly resources: () => number;
  readonly openStsStreams: () => number;
}

export function createGatewayMetrics(metrics: Metrics): GatewayMetrics {
  return {
    calls: metrics.counter({
      name: 'calls_total',
      help: 'Governed calls by what came of them.',
      labels: ['outcome', 'status'],
    }),
    callSeconds: metrics.histogram({
      name: 'call_seconds',
      help: 'Seconds from the head of a governed call to the end of its answer.',
      labels: ['decided_by'],
    }),
    stsStreams: metrics.counter({
      name: 'sts_streams_total',
      help: 'Streams to the STS that were opened, failed to open, or ended.',
      labels: ['event'],
    }),
    zoneKeyReads: metrics.counter({
      name: 'zone_key_reads_total',
      help: 'Reads of zone keys from the STS by outcome.',
      labels: ['outcome'],
    }),
    catalogueReads: metrics.counter({
      name: 'catalogue_reads_total',
      help: 'Reads of zones and resources from the database by outcome.',
      labels: ['outcome'],
    }),
  };
}

export function observeSizes(metrics: Metrics, sizes: GatewaySizes): void {
  metrics.gauge({ name: 'open_responses', help: 'Answers under way.', read: sizes.openResponses });
  metrics.gauge({
    name: 'remembered_verdicts',
    help: 'Allows that may be given again.',
    read: sizes.rememberedVerdicts,
  });
  metrics.gauge({ name: 'remembered_mandates', help: 'Verified mandates held.', read: sizes.rememberedMandates });
  metrics.gauge({ name: 'resources', help: 'Protected resources known.', read: sizes.resources });
  metrics.gauge({
    name: 'sts_streams_open',
    help: 'Streams to the STS that take questions.',
    read: sizes.openStsStreams,
  });
}
