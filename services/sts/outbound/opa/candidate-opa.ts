// Policies that nobody enforces, in OPA: loaded beside the enforced versions under a random package, asked in batches of one
// query, and taken out again. It stands alone because nothing here may cost an enforced decision its place or its turn.
import { randomBytes } from 'node:crypto';
import { Failure, fail } from '#mesh/failure';
import type { JsonValue } from '#mesh/failure';
import { packagePath } from '../../domain/policy-set.ts';
import type { Evaluation } from '../../ports/policy-engine.ts';
import type { CandidateOpening, PolicyCandidate, PolicyTrials } from '../../ports/policy-trials.ts';
import type { ModuleSet, SourceProblem } from './module-set.ts';
import { OpaAway, isJsonObject } from './opa-client.ts';
import type { OpaClient } from './opa-client.ts';
import type { SetLoader } from './set-loader.ts';

/** One OPA, and what loads sets into it. */
export interface TrialEndpoint {
  readonly client: OpaClient;
  readonly loader: Pick<SetLoader, 'hold' | 'release'>;
}

export interface CandidateOptions {
  /** One evaluation (authority.md: 250). */
  readonly timeoutMs: number;
  /** The zone's own OPA first. */
  readonly inOrder: (zoneId: string) => readonly TrialEndpoint[];
}

/** An OPA that does not say within this that it lives is left alone: whoever waits here is a person. */
const pingTimeoutMs = 1500;
/** An OPA that answers and does not load, for minutes or for good: below the 20 s that the API gives a validation. */
const loadPatienceMs = 15_000;
/** Candidates open at once: a replay is rare and long, and each one keeps its modules in every compilation. */
const maxOpen = 4;
const maxOpenPerZone = 2;
/** Evaluations of one query at most, and the longest one query may take, however many it holds. */
const batchSize = 256;
const batchTimeoutMs = 5000;
/** Queries of one candidate at once: OPA uses a core for each, and the enforced decisions need theirs. */
const concurrency = 2;
/** A candidate that took too long so often is slow throughout; what is left is answered without asking. */
const maxTimeouts = 16;
/** As for one enforced decision; a batch whose answers are larger is halved. */
const answerLimits = { maxBytes: 1024 * 1024, maxDepth: 64 };

type Asked = readonly Evaluation[] | 'not_loaded' | 'halve' | { readonly failed: 'timeout' | 'policy_unavailable' };

const answersName = 'replay';

function answersModule(base: readonly string[]): string {
  const path = base.join('.');
  return [
    `package ${path}.${answersName}`,
    `sentinel := data.${path}.driver.sentinel`,
    `answers := [answer | some one in input.inputs; answer := data.${path}.driver.results with input as one]`,
    '',
  ].join('\n');
}

function readAnswers(body: JsonValue, sentinel: string, count: number): Asked {
  const result = isJsonObject(body) ? body['result'] : undefined;
  if (!isJsonObject(result) || result['sentinel'] !== sentinel) return 'not_loaded';
  const { answers } = result;
  if (!Array.isArray(answers) || answers.length !== count) return 'halve';
  return answers.map((results): Evaluation => ({
    kind: 'answered',
    results: isJsonObject(results) ? results : {},
    remembered: false,
  }));
}

async function ask(client: OpaClient, set: ModuleSet, about: { inputs: readonly string[]; timeoutMs: number }) {
  const { inputs, timeoutMs } = about;
  try {
    const reply = await client.call({
      method: 'POST',
      path: `/v1/data/${set.base.join('/')}/${answersName}?strict-builtin-errors=true`,
      body: `{"input":{"inputs":[${inputs.join(',')}]}}`,
      timeoutMs,
      answer: answerLimits,
    });
    if (reply.status === 200) return readAnswers(reply.body, set.sentinel, inputs.length);
    return 'halve';
  } catch (error) {
    if (!(error instanceof OpaAway)) throw error;
    if (error.timedOut) return { failed: 'timeout' } as const;
    return error.cause instanceof RangeError ? 'halve' : ({ failed: 'policy_unavailable' } as const);
  }
}

/** What is left of a candidate's patience, over all its batches. */
interface Patience {
  timeouts: number;
}

class Candidate {
  readonly #endpoint: TrialEndpoint;
  readonly #set: ModuleSet;
  readonly #timeoutMs: number;
  readonly #patience: Patience = { timeouts: maxTimeouts };
  readonly #leave: () => void;

  constructor(endpoint: TrialEndpoint, about: { set: ModuleSet; timeoutMs: number; leave: () => void }) {
    this.#endpoint = endpoint;
    this.#set = about.set;
    this.#timeoutMs = about.timeoutMs;
    this.#leave = about.leave;
  }

  /** Loads it; with problems nothing stays. */
  async load(): Promise<readonly SourceProblem[]> {
    const { client, loader } = this.#endpoint;
    const problems = await loader.hold(this.#set);
    if (problems.length > 0) return problems;
    const path = `/v1/policies/${this.#set.base.join('/')}/${answersName}`;
    const reply = await client.call({
      method: 'PUT',
      path,
      body: answersModule(this.#set.base),
      contentType: 'text/plain',
      timeoutMs: batchTimeoutMs,
    });
    if (reply.status !== 200) throw new OpaAway(false, undefined);
    return [];
  }

  async evaluateBatch(inputs: readonly string[]): Promise<readonly Evaluation[]> {
    const parts: (readonly string[])[] = [];
    const size = Math.min(batchSize, Math.ceil(inputs.length / concurrency));
    for (let at = 0; at < inputs.length; at += size) parts.push(inputs.slice(at, at + size));
    const answers: (readonly Evaluation[])[] = [];
    for (let at = 0; at < parts.length; at += concurrency) {
      const pending = parts.slice(at, at + concurrency).map(async (part) => this.#evaluate(part));
      answers.push(...(await Promise.all(pending)));
    }
    return answers.flat();
  }

  async #evaluate(inputs: readonly string[], reloaded = false): Promise<readonly Evaluation[]> {
    const timeoutMs = Math.min(batchTimeoutMs, this.#timeoutMs * inputs.length);
    const asked: Asked =
      this.#patience.timeouts > 0
        ? await ask(this.#endpoint.client, this.#set, { inputs, timeoutMs })
        : { failed: 'timeout' };
    if (asked === 'not_loaded') {
      if (reloaded || (await this.load()).length > 0) return all(inputs, 'undefined');
      return this.#evaluate(inputs, true);
    }
    if (asked === 'halve') return inputs.length === 1 ? all(inputs, 'evaluation_error') : this.#halves(inputs);
    if (!('failed' in asked)) return asked;
    if (asked.failed === 'policy_unavailable') throw fail('policy_unavailable');
    this.#patience.timeouts -= 1;
    return inputs.length === 1 || this.#patience.timeouts <= 0 ? all(inputs, 'timeout') : this.#halves(inputs);
  }

  async #halves(inputs: readonly string[]): Promise<readonly Evaluation[]> {
    const middle = Math.ceil(inputs.length / 2);
    const first = await this.#evaluate(inputs.slice(0, middle));
    return [...first, ...(await this.#evaluate(inputs.slice(middle)))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { client, loader } = this.#endpoint;
    const path = `/v1/policies/${this.#set.base.join('/')}/${answersName}`;
    try {
      await client.call({ method: 'DELETE', path, timeoutMs: batchTimeoutMs });
      await loader.release(this.#set);
    } catch {
      // What stays in an OPA that is away is asked by nobody, and gone with its restart.
    } finally {
      this.#leave();
    }
  }
}

function all(inputs: readonly string[], status: 'undefined' | 'evaluation_error' | 'timeout'): readonly Evaluation[] {
  return inputs.map(() => ({ kind: 'failed', status }));
}

function trialSet({ zoneId, policies, params }: PolicyCandidate): ModuleSet {
  const name = randomBytes(16).toString('hex');
  return {
    zoneId,
    // `t` is in no digest's alphabet: no version has this package.
    base: packagePath(zoneId, `trial${name}`),
    sentinel: `trial ${name}`,
    params,
    sources: policies.map(({ content }) => content),
  };
}

async function isAlive({ client }: TrialEndpoint): Promise<boolean> {
  try {
    return (await client.call({ method: 'GET', path: '/health', timeoutMs: pingTimeoutMs })).status === 200;
  } catch {
    return false;
  }
}

/** The first OPA that answers at all. Throws `policy_unavailable`. */
async function livingEndpoint(endpoints: readonly TrialEndpoint[]): Promise<TrialEndpoint> {
  for (const endpoint of endpoints) if (await isAlive(endpoint)) return endpoint;
  throw fail('policy_unavailable', { privateDetail: 'no OPA answers' });
}

/** Counts what is open, for a zone and in all. */
function createShares(): (zoneId: string) => () => void {
  const open = new Map<string, number>();
  let total = 0;
  return (zoneId) => {
    const count = open.get(zoneId) ?? 0;
    if (count >= maxOpenPerZone || total >= maxOpen) {
      throw fail('rate_limited', { retryAfterMs: 1000, privateDetail: 'policy candidates' });
    }
    open.set(zoneId, count + 1);
    total += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      total -= 1;
      const rest = (open.get(zoneId) ?? 1) - 1;
      if (rest > 0) open.set(zoneId, rest);
      else open.delete(zoneId);
    };
  };
}

/** Rejects when a load takes longer than a person waits; what it still puts is taken out when it ends. */
async function soonEnough<T>(load: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(fail('policy_unavailable', { privateDetail: 'OPA takes too long' })),
      loadPatienceMs,
    );
  });
  try {
    return await Promise.race([load, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function open(
  candidate: PolicyCandidate,
  options: CandidateOptions,
  leave: () => void,
): Promise<CandidateOpening> {
  const endpoint = await livingEndpoint(options.inOrder(candidate.zoneId));
  const loaded = new Candidate(endpoint, { set: trialSet(candidate), timeoutMs: options.timeoutMs, leave });
  const loading = loaded.load();
  try {
    const problems = await soonEnough(loading);
    if (problems.length === 0) return { kind: 'loaded', candidate: loaded };
    leave();
    return {
      kind: 'refused',
      problems: problems.map(({ index, ...problem }) => ({
        ...problem,
        policyVersionId: candidate.policies[index]?.policyVersionId ?? '',
      })),
    };
  } catch (error) {
    // Whoever asked is answered now: an OPA that hangs would hang once more over what is to be taken out.
    void loading.catch(() => undefined).then(async () => loaded[Symbol.asyncDispose]());
    throw error instanceof Failure ? error : fail('policy_unavailable', { cause: error });
  }
}

/** Candidates on the OPAs of the process. */
export function createCandidates(options: CandidateOptions): PolicyTrials {
  const enter = createShares();
  return {
    async open(candidate) {
      const leave = enter(candidate.zoneId);
      try {
        return await open(candidate, options, leave);
      } catch (error) {
        leave();
        throw error;
      }
    },
  };
}

/** Everything wrong with a set as it would be loaded; keeps nothing. Waits in the zone's line of loads. */
export async function validateCandidate(
  candidate: PolicyCandidate,
  options: CandidateOptions,
): Promise<Extract<CandidateOpening, { kind: 'refused' }>['problems']> {
  const opening = await open(candidate, options, () => undefined);
  if (opening.kind === 'refused') return opening.problems;
  await opening.candidate[Symbol.asyncDispose]();
  return [];
}
