// The numbers a process tells about itself, in Prometheus' form, with names and labels that cannot run away.
// It stands alone so that the metrics library is named here only and every series follows one naming rule.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { createLabelBound, type LabelBound } from './label-bound.ts';

/** Values of the labels a metric was declared with; one that is left out is written as empty. */
export type Labels<L extends string> = Readonly<Partial<Record<L, string>>>;

interface Described<L extends string> {
  /** Snake case without prefix; counters end in `_total`, durations in `_seconds`, sizes in `_bytes`. */
  readonly name: string;
  readonly help: string;
  /**
   * Names of the labels. Each keeps at most 100 distinct values, later ones are counted under `other`: never put an id,
   * path or address there.
   */
  readonly labels?: readonly L[] | undefined;
}

export type CounterOptions<L extends string> = Described<L>;

export interface GaugeOptions<L extends string> extends Described<L> {
  /** Read at each scrape instead of being set; only for gauges without labels. */
  readonly read?: (() => number) | undefined;
}

export interface HistogramOptions<L extends string> extends Described<L> {
  /** Upper bounds in growing order; by default seconds from 0.5 ms to 10 s. */
  readonly buckets?: readonly number[] | undefined;
}

export interface CounterMetric<L extends string = never> {
  /** Adds `by`, 1 when left out. */
  inc(labels?: Labels<L>, by?: number): void;
}

export interface GaugeMetric<L extends string = never> {
  set(value: number, labels?: Labels<L>): void;
  add(by: number, labels?: Labels<L>): void;
}

export interface HistogramMetric<L extends string = never> {
  observe(value: number, labels?: Labels<L>): void;
}

export interface Metrics {
  /** Declaring the same metric again gives the same series; the same name with other labels or kind throws. */
  counter<L extends string = never>(options: CounterOptions<L>): CounterMetric<L>;
  gauge<L extends string = never>(options: GaugeOptions<L>): GaugeMetric<L>;
  histogram<L extends string = never>(options: HistogramOptions<L>): HistogramMetric<L>;
  /** All series as Prometheus text. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

export interface MetricsOptions {
  /** False leaves out what Node tells about itself (CPU, memory, event loop, collections). */
  readonly process?: boolean | undefined;
}

/** From below a warm call's share of one stage to the longest wait anything here allows. */
const secondsBuckets: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

const nameForm = /^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/;

type Series = Counter | Gauge | Histogram;

interface Declared<S extends Series = Series> {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: string;
  readonly series: S;
  /** Shared by everyone who declares the metric, so that the bound holds for all of them together. */
  readonly bound: LabelBound;
}

/** Metrics of one process, named `caracal_<service>_<name>`, in a registry of their own. */
export function createMetrics(service: string, options: MetricsOptions = {}): Metrics {
  const prefix = `caracal_${service.replaceAll('-', '_')}_`;
  const registry = new Registry();
  const declared = new Map<string, Declared>();
  if (options.process !== false) collectDefaultMetrics({ register: registry, prefix });

  function declare<S extends Series>(
    kind: Declared['kind'],
    { name, labels = [] }: Described<string>,
    create: (fullName: string, labelNames: string[]) => S,
  ): Declared<S> {
    if (!nameForm.test(name)) throw new RangeError('a metric name is snake case');
    const key = labels.join(',');
    const known = declared.get(name);
    if (known === undefined) {
      const series = create(prefix + name, [...labels]);
      const made: Declared<S> = { kind, labels: key, series, bound: createLabelBound(labels) };
      declared.set(name, made);
      return made;
    }
    if (known.kind !== kind || known.labels !== key)
      throw new RangeError(`metric ${name} is declared twice, differently`);
    // Same kind, so what was created then has the type created now.
    return known as Declared<S>;
  }

  return {
    counter(described) {
      const { series, bound } = declare('counter', described, (name, labelNames) => {
        return new Counter({ name, help: described.help, labelNames, registers: [registry] });
      });
      return { inc: (labels, by = 1) => series.inc(bound(labels), by) };
    },
    gauge(described) {
      const { help, read } = described;
      const { series, bound } = declare('gauge', described, (name, labelNames) => {
        const collect = read === undefined ? {} : { collect: collectInto(read) };
        return new Gauge({ name, help, labelNames, registers: [registry], ...collect });
      });
      return {
        set: (value, labels) => series.set(bound(labels), value),
        add: (by, labels) => series.inc(bound(labels), by),
      };
    },
    histogram(described) {
      const buckets = [...(described.buckets ?? secondsBuckets)];
      const { series, bound } = declare('histogram', described, (name, labelNames) => {
        return new Histogram({ name, help: described.help, labelNames, buckets, registers: [registry] });
      });
      return { observe: (value, labels) => series.observe(bound(labels), value) };
    },
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

/** prom-client calls `collect` with the gauge as `this`. */
function collectInto(read: () => number): (this: Gauge) => void {
  return function collect(this: Gauge): void {
    this.set(read());
  };
}

/** Metrics that nobody reads; for tests and tools. */
export function silentMetrics(): Metrics {
  return createMetrics('test', { process: false });
}
