// Keeps the number of series of a metric bounded whatever its labels are given.
// It stands alone because one label with an id in it can take down the metrics store of a whole installation.

/** Reasons, kinds, outcomes and methods all fit; anything that does not is no label. */
const maxValues = 100;

/** Longer than any word of ours; a longer value is somebody's data. */
const maxValueLength = 64;

const elsewhere = 'other';

/** The label values to write for the ones that were given. */
export type LabelBound = (labels?: Readonly<Partial<Record<string, string>>>) => Record<string, string>;

/**
 * A function that gives the values to write for a metric with these labels: missing ones empty, undeclared ones dropped,
 * and everything beyond 100 distinct values a label, or longer than 64 characters, as `other`.
 */
export function createLabelBound(names: readonly string[]): LabelBound {
  const seen = new Map(names.map((name) => [name, new Set<string>()]));

  function bounded(known: Set<string>, value: string): string {
    if (known.has(value)) return value;
    if (value.length > maxValueLength || known.size >= maxValues) return elsewhere;
    known.add(value);
    return value;
  }

  return (labels = {}) => {
    const values: Record<string, string> = {};
    for (const [name, known] of seen) values[name] = bounded(known, labels[name] ?? '');
    return values;
  };
}
