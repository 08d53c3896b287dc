// A candidate over the decisions a zone has recorded: the ledger's inputs are fed to the STS, its answers counted against what
// was decided at the time. Nothing is enforced and nothing recorded.
import { fail } from '#mesh/failure';
import { ReplayTally, orderedInputs } from '../../domain/replay-summary.ts';
import type { RecordedDecision, ReplaySummary } from '../../domain/replay-summary.ts';
import type { ApiDeps } from '../../ports/deps.ts';
import type { ReplayInput, ReplayStep } from '../../ports/policy-trials.ts';
import type { ZoneCall } from '../admin-call.ts';
import { chooseCandidate, shownProblems } from './candidate.ts';
import type { CandidateChoice, ChosenCandidate } from './candidate.ts';

export interface ReplayWish extends CandidateChoice {
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly limit: number;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

export interface ReplayProgress {
  readonly decisions: number;
  readonly evaluated: number;
  readonly flipped: number;
  readonly withoutInput: number;
  readonly elapsedMs: number;
  readonly done: boolean;
  /** On the last one. */
  readonly summary?: ReplayReport;
}

export interface ReplayReport extends ReplaySummary {
  readonly versionId: string | undefined;
  readonly digest: string | undefined;
  readonly withoutInput: number;
  /** The limit ended the reading before the range did. */
  readonly cut: boolean;
  readonly elapsedMs: number;
  readonly decisionsPerSecond: number;
}

/** One replay under way. */
class Replay {
  readonly #deps: ApiDeps;
  readonly #call: ZoneCall;
  readonly #wish: ReplayWish;
  readonly #tally = new ReplayTally();
  /** Batches that were sent and not answered yet. */
  readonly #sent: (readonly RecordedDecision[])[] = [];
  readonly #startedAtMs: number;
  #withoutInput = 0;
  #cut = false;

  constructor(deps: ApiDeps, call: ZoneCall, wish: ReplayWish) {
    this.#deps = deps;
    this.#call = call;
    this.#wish = wish;
    this.#startedAtMs = deps.monotonicMs();
  }

  async *#inputs(): AsyncGenerator<readonly ReplayInput[]> {
    const { sinceMs, untilMs, limit, signal } = this.#wish;
    const { facts, zoneId } = this.#call;
    const range = { zoneId, sinceMs, untilMs, eventId: undefined, limit };
    for await (const batch of this.#deps.recorded.read(range, { facts, signal })) {
      this.#withoutInput = batch.withoutInput;
      this.#cut = batch.cut;
      if (batch.decisions.length === 0) continue;
      this.#sent.push(batch.decisions);
      yield orderedInputs(batch);
    }
  }

  async *run(candidate: ChosenCandidate): AsyncGenerator<ReplayProgress> {
    const { facts } = this.#call;
    const { signal } = this.#wish;
    for await (const step of this.#deps.trials.replay(candidate, this.#inputs(), { facts, signal })) {
      if (this.#take(step)) yield this.#progress();
    }
    yield { ...this.#progress(), done: true, summary: this.#report(candidate) };
  }

  /** True when it was an answer. */
  #take(step: ReplayStep): boolean {
    if (step.kind === 'checked') {
      if (step.problems.length === 0) return false;
      const problems = shownProblems(step.problems).map(({ policyVersionId, ...problem }) => ({
        policy_version_id: policyVersionId,
        ...problem,
      }));
      throw fail('policy_invalid', { details: { problems } });
    }
    const decisions = this.#sent.shift();
    if (decisions?.length !== step.answers.length) {
      throw fail('sts_unavailable', { privateDetail: 'a replay was answered out of step' });
    }
    this.#tally.addEvaluated(step.evaluated);
    for (const [at, answer] of step.answers.entries()) {
      const decision = decisions[at];
      if (decision !== undefined) this.#tally.add(decision, answer);
    }
    return true;
  }

  get #elapsedMs(): number {
    return Math.round(this.#deps.monotonicMs() - this.#startedAtMs);
  }

  #progress(): ReplayProgress {
    const { decisions, evaluated, flipped } = this.#tally;
    const withoutInput = this.#withoutInput;
    return { decisions, evaluated, flipped, withoutInput, elapsedMs: this.#elapsedMs, done: false };
  }

  #report({ versionId, digest }: ChosenCandidate): ReplayReport {
    const elapsedMs = this.#elapsedMs;
    const summary = this.#tally.summary();
    return {
      ...summary,
      versionId,
      digest,
      withoutInput: this.#withoutInput,
      cut: this.#cut,
      elapsedMs,
      decisionsPerSecond: Math.round((summary.decisions * 1000) / Math.max(1, elapsedMs)),
    };
  }
}

/**
 * Progress as it comes; the last one carries the summary.
 * @throws not_found, invalid_request, policy_invalid, audit_unavailable, sts_unavailable, policy_engine_unavailable, rate_limited.
 */
export async function* replayPolicySet(
  deps: ApiDeps,
  call: ZoneCall,
  wish: ReplayWish,
): AsyncGenerator<ReplayProgress> {
  const { sinceMs, untilMs } = wish;
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs >= untilMs) {
    throw fail('invalid_request', { fields: [{ path: 'until', rule: 'later than since' }] });
  }
  yield* new Replay(deps, call, wish).run(await chooseCandidate(deps, call, wish));
}
