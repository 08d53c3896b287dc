// What a replay found: which recorded decisions would have gone another way, grouped by who asked for what, so that an author
// sees in a page what a candidate changes. Bounded whatever the candidate flips.

export type DecisionKind = 'allow' | 'hold' | 'deny';

export interface RecordedDecision {
  readonly eventId: string;
  readonly decision: DecisionKind;
  readonly evaluationStatus: string;
  readonly inputDigest: string;
  readonly policyDigest: string;
  readonly applicationId: string;
  readonly resource: string;
  readonly scopes: readonly string[];
}

export interface RecordedBatch {
  readonly decisions: readonly RecordedDecision[];
  /** Inputs that no earlier batch has carried. */
  readonly inputs: readonly { readonly inputDigest: string; readonly inputJson: string }[];
  /** Decisions so far whose input was not recorded. */
  readonly withoutInput: number;
  /** The limit ended the reading before the range did. */
  readonly cut: boolean;
}

export interface CandidateAnswer {
  readonly decision: DecisionKind;
  readonly evaluationStatus: string;
  readonly determiningPolicies: readonly string[];
}

export interface FlipGroup {
  readonly applicationId: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly from: DecisionKind;
  readonly to: DecisionKind;
  readonly count: number;
  /** The first few, to look at in the ledger. */
  readonly sampleEventIds: readonly string[];
  /** The candidate's policies that decided, of the first few. */
  readonly determiningPolicies: readonly string[];
}

export interface ReplaySummary {
  /** Recorded decisions that the candidate answered. */
  readonly decisions: number;
  /** Inputs that were really evaluated; equal ones are evaluated once. */
  readonly evaluated: number;
  readonly unchanged: number;
  readonly flipped: number;
  /** Recorded while policy could not be asked or gave no whole answer: they compare with nothing. */
  readonly recordedWithoutAnswer: number;
  /** The candidate gave no whole answer and so would deny, by status. */
  readonly candidateWithoutAnswer: Readonly<Record<string, number>>;
  /** Flips by direction, such as `allow_to_deny`. */
  readonly transitions: Readonly<Record<string, number>>;
  /** Most frequent first. */
  readonly groups: readonly FlipGroup[];
  /** Flips in groups that are not listed. */
  readonly flipsNotListed: number;
}

/** Groups kept while counting, and listed in the end; a candidate that flips more is not read group by group. */
const maxGroups = 10_000;
const maxListed = 200;
const maxSamples = 5;
/** What the outage of something says about the candidate is nothing. */
const outages: ReadonlySet<string> = new Set(['timeout', 'policy_unavailable', 'evaluation_error']);

interface Counting {
  readonly about: Omit<FlipGroup, 'count' | 'sampleEventIds' | 'determiningPolicies'>;
  readonly samples: string[];
  readonly determining: Set<string>;
  count: number;
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Counts answers as they come. */
export class ReplayTally {
  readonly #groups = new Map<string, Counting>();
  readonly #transitions = new Map<string, number>();
  readonly #withoutAnswer = new Map<string, number>();
  #decisions = 0;
  #evaluated = 0;
  #flipped = 0;
  #recordedWithoutAnswer = 0;

  get decisions(): number {
    return this.#decisions;
  }

  get flipped(): number {
    return this.#flipped;
  }

  get evaluated(): number {
    return this.#evaluated;
  }

  addEvaluated(count: number): void {
    this.#evaluated += count;
  }

  add(recorded: RecordedDecision, answer: CandidateAnswer): void {
    this.#decisions += 1;
    if (answer.evaluationStatus !== 'complete') increment(this.#withoutAnswer, answer.evaluationStatus);
    if (outages.has(recorded.evaluationStatus)) {
      this.#recordedWithoutAnswer += 1;
      return;
    }
    if (recorded.decision === answer.decision) return;
    this.#flipped += 1;
    increment(this.#transitions, `${recorded.decision}_to_${answer.decision}`);
    this.#group(recorded, answer);
  }

  #group(
    { eventId, applicationId, resource, scopes, decision: from }: RecordedDecision,
    answer: CandidateAnswer,
  ): void {
    const to = answer.decision;
    const key = JSON.stringify([applicationId, resource, scopes, from, to]);
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (this.#groups.size >= maxGroups) return;
      group = { about: { applicationId, resource, scopes, from, to }, samples: [], determining: new Set(), count: 0 };
      this.#groups.set(key, group);
    }
    group.count += 1;
    if (group.samples.length >= maxSamples) return;
    group.samples.push(eventId);
    for (const name of answer.determiningPolicies.slice(0, maxSamples)) group.determining.add(name);
  }

  summary(): ReplaySummary {
    const sorted = [...this.#groups.values()].toSorted((left, right) => right.count - left.count);
    const groups = sorted.slice(0, maxListed).map(({ about, count, samples, determining }) => ({
      ...about,
      count,
      sampleEventIds: [...samples],
      determiningPolicies: [...determining],
    }));
    const listed = groups.reduce((sum, { count }) => sum + count, 0);
    return {
      decisions: this.#decisions,
      evaluated: this.#evaluated,
      unchanged: this.#decisions - this.#flipped - this.#recordedWithoutAnswer,
      flipped: this.#flipped,
      recordedWithoutAnswer: this.#recordedWithoutAnswer,
      candidateWithoutAnswer: Object.fromEntries(this.#withoutAnswer),
      transitions: Object.fromEntries(this.#transitions),
      groups,
      flipsNotListed: this.#flipped - listed,
    };
  }
}

/** The inputs of a batch in the order of its decisions: the text stands where a digest is named first. */
export function orderedInputs(batch: RecordedBatch): { readonly inputDigest: string; readonly inputJson: string }[] {
  const texts = new Map(batch.inputs.map(({ inputDigest, inputJson }) => [inputDigest, inputJson]));
  return batch.decisions.map(({ inputDigest }) => {
    const inputJson = texts.get(inputDigest) ?? '';
    texts.delete(inputDigest);
    return { inputDigest, inputJson };
  });
}
