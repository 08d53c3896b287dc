// What a candidate set would decide: one input (simulation), or recorded inputs in batches (replay). Nothing is enforced and
// nothing recorded; equal inputs are evaluated once.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { fail } from '#mesh/failure';
import type { JsonObject } from '#mesh/failure';
import { combine, denial } from '../domain/decision.ts';
import type { Decision } from '../domain/decision.ts';
import type { Evaluation, VersionProblem } from '../ports/policy-engine.ts';
import type { LoadedCandidate, PolicyCandidate, PolicyTrials } from '../ports/policy-trials.ts';

export interface TryDeps {
  readonly policyTrials: PolicyTrials;
}

export type Simulation =
  | { readonly kind: 'decided'; readonly decision: Decision; readonly inputDigest: string }
  | { readonly kind: 'refused'; readonly problems: readonly VersionProblem[] };

function decisionOf(names: readonly string[], evaluation: Evaluation | undefined): Decision {
  if (evaluation === undefined) return denial('undefined');
  return evaluation.kind === 'failed' ? denial(evaluation.status) : combine(names, evaluation.results);
}

/** Decides one input. Throws `policy_unavailable` when nobody can say, `rate_limited`. */
export async function simulatePolicy(
  deps: TryDeps,
  candidate: PolicyCandidate,
  input: JsonObject,
): Promise<Simulation> {
  const inputJson = canonicalJson(input);
  const opening = await deps.policyTrials.open(candidate);
  if (opening.kind === 'refused') return opening;
  await using loaded = opening.candidate;
  const [evaluation] = await loaded.evaluateBatch([inputJson]);
  const names = candidate.policies.map(({ name }) => name);
  return { kind: 'decided', decision: decisionOf(names, evaluation), inputDigest: sha256Hex(inputJson) };
}

export interface ReplayInput {
  readonly inputDigest: string;
  /** Undefined when this replay has carried it before. */
  readonly inputJson: string | undefined;
}

export type ReplayStep =
  | { readonly kind: 'checked'; readonly problems: readonly VersionProblem[] }
  | {
      readonly kind: 'answered';
      /** In the order of the batch. */
      readonly answers: readonly ReplayAnswer[];
      /** Inputs of the batch that were really evaluated. */
      readonly evaluated: number;
    };

export type ReplayAnswer = Pick<Decision, 'kind' | 'status' | 'determining'>;

/** What one replay may ask at most (audit.proto: 100,000 decisions). */
const maxDistinct = 100_000;

class Replay {
  readonly #loaded: LoadedCandidate;
  readonly #names: readonly string[];
  readonly #known = new Map<string, ReplayAnswer>();
  /** Most decisions of a replay are the same few; one object stands for all that are equal. */
  readonly #same = new Map<string, ReplayAnswer>();

  constructor(loaded: LoadedCandidate, names: readonly string[]) {
    this.#loaded = loaded;
    this.#names = names;
  }

  #keep(digest: string, { kind, status, determining }: Decision): void {
    const text = JSON.stringify([kind, status, determining]);
    const answer = this.#same.get(text) ?? { kind, status, determining };
    this.#same.set(text, answer);
    this.#known.set(digest, answer);
  }

  /** The inputs of a batch that were never asked, each once. A text that is not what its digest says is refused. */
  #unknown(batch: readonly ReplayInput[]): ReadonlyMap<string, string> {
    const unknown = new Map<string, string>();
    for (const [at, { inputDigest, inputJson }] of batch.entries()) {
      if (this.#known.has(inputDigest) || unknown.has(inputDigest)) continue;
      const path = `inputs[${at}]`;
      if (inputJson === undefined) throw invalid(`${path}.input_json`, 'required the first time a digest is named');
      if (sha256Hex(inputJson) !== inputDigest) throw invalid(`${path}.input_digest`, 'the SHA-256 of input_json');
      unknown.set(inputDigest, inputJson);
    }
    if (this.#known.size + unknown.size > maxDistinct) throw invalid('inputs', `at most ${maxDistinct} different ones`);
    return unknown;
  }

  async answer(batch: readonly ReplayInput[]): Promise<Extract<ReplayStep, { kind: 'answered' }>> {
    const unknown = this.#unknown(batch);
    if (unknown.size > 0) {
      const evaluations = await this.#loaded.evaluateBatch([...unknown.values()]);
      for (const [at, digest] of [...unknown.keys()].entries()) {
        this.#keep(digest, decisionOf(this.#names, evaluations[at]));
      }
    }
    const answers = batch.map(({ inputDigest }) => this.#known.get(inputDigest) ?? denial('undefined'));
    return { kind: 'answered', answers, evaluated: unknown.size };
  }
}

function invalid(path: string, rule: string): Error {
  return fail('invalid_request', { fields: [{ path, rule }] });
}

/** Decides batch after batch; the first step says whether the candidate can be loaded, and with problems it is the last. */
export async function* replayPolicy(
  deps: TryDeps,
  candidate: PolicyCandidate,
  batches: AsyncIterable<readonly ReplayInput[]>,
): AsyncGenerator<ReplayStep, void, undefined> {
  const opening = await deps.policyTrials.open(candidate);
  if (opening.kind === 'refused') {
    yield { kind: 'checked', problems: opening.problems };
    return;
  }
  await using loaded = opening.candidate;
  yield { kind: 'checked', problems: [] };
  const replay = new Replay(
    loaded,
    candidate.policies.map(({ name }) => name),
  );
  for await (const batch of batches) yield await replay.answer(batch);
}
