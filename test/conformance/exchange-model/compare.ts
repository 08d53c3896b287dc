// Sets what a service answered beside what the model says, in the same words, and counts what was met on the way.
import { ReferenceModel } from './reference-model.ts';
import type { Outcome } from './reference-model.ts';
import type { Ask, Change, World } from './world.ts';

/** What one exchange came to at the service. `fault` is an answer that no request may ever get. */
export type Observed = Exclude<Outcome, { kind: 'left_out' }> | { readonly kind: 'fault'; readonly because: string };

/** A service with a world in it. */
export interface Subject {
  ask(ask: Ask, step: number): Promise<Observed>;
  change(change: Change): void | Promise<void>;
}

export interface Tally {
  exchanges: number;
  granted: number;
  partly: number;
  refused: number;
  leftOut: number;
  /** How often each rule refused, by the model's words: a generator that never meets a rule proves nothing of it. */
  readonly because: Record<string, number>;
  /** How often something was granted in each way there is to come by it. */
  readonly by: Record<string, number>;
  readonly divergences: string[];
}

export function emptyTally(): Tally {
  return { exchanges: 0, granted: 0, partly: 0, refused: 0, leftOut: 0, because: {}, by: {}, divergences: [] };
}

/**
 * Runs a world's script at both. The model's time passes only when a script says so; where the service's passes by itself,
 * a life may be shorter by as much as has passed, and never longer.
 */
export async function runWorld(
  world: World,
  service: Subject,
  {
    tally,
    label,
    passedSeconds,
  }: { readonly tally: Tally; readonly label: string; readonly passedSeconds: () => number },
): Promise<void> {
  const model = new ReferenceModel(world);
  for (const [at, step] of world.steps.entries()) {
    if (step.kind !== 'ask') {
      model.change(step);
      await service.change(step);
      continue;
    }
    const expected = model.ask(step, at);
    if (expected.kind === 'left_out') {
      tally.leftOut += 1;
      continue;
    }
    const observed = await service.ask(step, at);
    count(tally, expected, { ask: step, world });
    if (!isSame(expected, observed, passedSeconds())) {
      tally.divergences.push(`${label}, step ${at}: ${JSON.stringify({ step, expected, observed })}`);
      // What follows rests on a difference and would only repeat it.
      return;
    }
  }
}

function count(
  tally: Tally,
  expected: Exclude<Outcome, { kind: 'left_out' }>,
  about: { readonly ask: Ask; readonly world: World },
): void {
  tally.exchanges += 1;
  if (expected.kind === 'refused') {
    tally.refused += 1;
    tally.because[expected.because] = (tally.because[expected.because] ?? 0) + 1;
    return;
  }
  if (expected.denied.length > 0) tally.partly += 1;
  else tally.granted += 1;
  for (const way of waysOf(about)) tally.by[way] = (tally.by[way] ?? 0) + 1;
}

/** By what an ask may come by its authority. */
function waysOf({ ask, world }: { readonly ask: Ask; readonly world: World }): readonly string[] {
  const above = ask.subject === undefined ? undefined : world.steps[ask.subject];
  const ways = {
    'an id token': ask.user !== undefined,
    'an ambient mandate': above !== undefined,
    "a user's mandate": above?.kind === 'ask' && above.user !== undefined,
    'an actor': ask.actor !== undefined,
    'an agent session': ask.session !== undefined,
    'a delegation': ask.edge !== undefined,
  };
  return Object.entries(ways).flatMap(([way, taken]) => (taken ? [way] : []));
}

function isSame(expected: Outcome, observed: Observed, passedSeconds: number): boolean {
  if (expected.kind !== 'granted' || observed.kind !== 'granted') return expected.kind === observed.kind;
  const sets = ['scopes', 'targets', 'denied'] as const;
  return (
    sets.every((name) => isSameSet(expected[name], observed[name])) &&
    observed.expiresIn <= expected.expiresIn &&
    observed.expiresIn >= expected.expiresIn - passedSeconds
  );
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join('\n') === b.toSorted().join('\n');
}
