// Every metric the STS emits of its own; those of libraries (HTTP, RPC, Postgres, revocation, trail) are theirs.
import type { CounterMetric, GaugeMetric, HistogramMetric, Metrics } from '#mesh/telemetry';

export interface StsMetrics {
  /** Token exchanges by outcome: `granted` or the failure's reason. */
  readonly exchanges: CounterMetric<'outcome'>;
  readonly exchangeSeconds: HistogramMetric;
  /** Governed calls by outcome: `allowed` or the failure's reason. */
  readonly verdicts: CounterMetric<'outcome'>;
  readonly verdictSeconds: HistogramMetric;
  readonly sessionMints: CounterMetric<'outcome'>;
  readonly derivationSeconds: HistogramMetric;
  /** Policy questions by whether the answer was remembered. */
  readonly policyLookups: CounterMetric<'answer'>;
  readonly policyLoads: CounterMetric<'outcome'>;
  /** Policy questions that were computed, by what computed them. */
  readonly policyAnswers: CounterMetric<'by'>;
  /** Questions to each OPA server by position in OPA_URL, and what became of them. */
  readonly opaQuestions: CounterMetric<'server' | 'outcome'>;
  /** Decisions looked at with the watched version: same, differs, failed or skipped. */
  readonly shadowDecisions: CounterMetric<'outcome'>;
  readonly cacheLookups: CounterMetric<'kind' | 'outcome'>;
  readonly unopenableKeys: CounterMetric;
  /** Sealed values that ZONE_KEK does not open, while ZONE_KEK_PREVIOUS is set. */
  readonly underPreviousKey: GaugeMetric;
  readonly authorizeStreams: GaugeMetric;
  /** Verifiers outside that follow revocation through this replica. */
  readonly revocationStreams: GaugeMetric;
  /** Answers about tokens by what was asked, and active, inactive, revoked, nothing or the failure's reason. */
  readonly tokenQuestions: CounterMetric<'question' | 'outcome'>;
  /** Holds raised, joined, refused and spent, and what presented ones were worth. */
  readonly approvals: CounterMetric<'outcome'>;
  /** Requests that wait for an approver's word. */
  readonly approvalWaits: GaugeMetric;
  /** Requests to providers' token endpoints, by outcome. */
  readonly tokenRequests: CounterMetric<'outcome'>;
  /** Tokens of providers given out: held, renewed, or waited for while another replica renewed. */
  readonly providerTokens: CounterMetric<'source'>;
  readonly providerCircuitsOpened: CounterMetric;
}

/** Those of mandates that exist: what is asked about them, and who follows their end. */
function tokenMetrics(metrics: Metrics): Pick<StsMetrics, 'revocationStreams' | 'tokenQuestions'> {
  return {
    revocationStreams: metrics.gauge({ name: 'revocation_streams', help: 'Open streams of revocations.' }),
    tokenQuestions: metrics.counter({
      name: 'token_questions_total',
      help: 'Introspections and revocations by outcome.',
      labels: ['question', 'outcome'],
    }),
  };
}

/** Those of approvals. */
function approvalMetrics(metrics: Metrics): Pick<StsMetrics, 'approvals' | 'approvalWaits'> {
  return {
    approvals: metrics.counter({
      name: 'approvals_total',
      help: 'Approvals asked for and presented, by outcome.',
      labels: ['outcome'],
    }),
    approvalWaits: metrics.gauge({ name: 'approval_waits', help: 'Requests that wait for the word of an approver.' }),
  };
}

export function createStsMetrics(metrics: Metrics): StsMetrics {
  return {
    exchanges: metrics.counter({ name: 'exchanges_total', help: 'Token exchanges by outcome.', labels: ['outcome'] }),
    exchangeSeconds: metrics.histogram({ name: 'exchange_seconds', help: 'Time of a token exchange.' }),
    verdicts: metrics.counter({
      name: 'verdicts_total',
      help: 'Governed calls decided, by outcome.',
      labels: ['outcome'],
    }),
    verdictSeconds: metrics.histogram({ name: 'verdict_seconds', help: 'Time to decide a governed call.' }),
    sessionMints: metrics.counter({
      name: 'session_mints_total',
      help: 'Session mandates by outcome.',
      labels: ['outcome'],
    }),
    derivationSeconds: metrics.histogram({
      name: 'secret_derivation_seconds',
      help: 'Time of an Argon2id derivation.',
    }),
    policyLookups: metrics.counter({
      name: 'policy_lookups_total',
      help: 'Policy questions by whether the answer was remembered.',
      labels: ['answer'],
    }),
    policyLoads: metrics.counter({
      name: 'policy_loads_total',
      help: 'Policy sets loaded into OPA.',
      labels: ['outcome'],
    }),
    policyAnswers: metrics.counter({
      name: 'policy_answers_total',
      help: 'Policy answers computed, by compiled policy or by OPA and why.',
      labels: ['by'],
    }),
    opaQuestions: metrics.counter({
      name: 'opa_questions_total',
      help: 'Questions to each OPA, by its position in OPA_URL, and what became of them.',
      labels: ['server', 'outcome'],
    }),
    shadowDecisions: metrics.counter({
      name: 'shadow_decisions_total',
      help: 'Decisions looked at with the version a zone watches: same, differs, failed, or skipped for want of time.',
      labels: ['outcome'],
    }),
    cacheLookups: metrics.counter({
      name: 'cache_lookups_total',
      help: 'Look-ups in the memory of zones and sessions.',
      labels: ['kind', 'outcome'],
    }),
    ...sealingMetrics(metrics),
    ...approvalMetrics(metrics),
    authorizeStreams: metrics.gauge({ name: 'authorize_streams', help: 'Open authorization streams.' }),
    ...tokenMetrics(metrics),
    ...providerMetrics(metrics),
  };
}

function sealingMetrics(metrics: Metrics): Pick<StsMetrics, 'unopenableKeys' | 'underPreviousKey'> {
  return {
    unopenableKeys: metrics.counter({ name: 'unopenable_keys_total', help: 'Zone keys whose envelope did not open.' }),
    underPreviousKey: metrics.gauge({
      name: 'envelopes_under_previous_key',
      help: 'Values that a re-seal has still to reach, counted each minute by the replica that leads.',
    }),
  };
}

function providerMetrics(
  metrics: Metrics,
): Pick<StsMetrics, 'tokenRequests' | 'providerTokens' | 'providerCircuitsOpened'> {
  return {
    tokenRequests: metrics.counter({
      name: 'provider_token_requests_total',
      help: 'Requests to token endpoints of providers, by outcome.',
      labels: ['outcome'],
    }),
    providerTokens: metrics.counter({
      name: 'provider_tokens_total',
      help: 'Tokens of providers given out, by where they came from.',
      labels: ['source'],
    }),
    providerCircuitsOpened: metrics.counter({
      name: 'provider_circuits_opened_total',
      help: 'Times a failing provider was left alone.',
    }),
  };
}

/** Sizes of the memories, read at each scrape. */
export function observeSizes(metrics: Metrics, sizes: () => Readonly<Record<string, number>>): void {
  for (const kind of Object.keys(sizes())) {
    metrics.gauge({
      name: `cache_${kind}_entries`,
      help: `Entries in memory: ${kind}.`,
      read: () => sizes()[kind] ?? 0,
    });
  }
}
