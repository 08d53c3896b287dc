// Keeps set versions loaded in one OPA and takes the least recently used ones out again. Loads of the same version coalesce,
// loads of one OPA run one after another (each PUT recompiles everything), and a zone has a share of the waiting line.
import { fail } from '#mesh/failure';
import { LRUCache } from 'lru-cache';
import { checkAndPut, remove } from './module-set.ts';
import type { LoadTarget, ModuleSet, SourceProblem } from './module-set.ts';

/** A set that cannot be loaded, and why. */
export class SetRefused extends Error {
  readonly problems: readonly SourceProblem[];
  constructor(problems: readonly SourceProblem[]) {
    super('the policy set cannot be loaded');
    this.name = 'SetRefused';
    this.problems = problems;
  }
}

/** Loads of one zone that may wait at once; the rest are told to come back. */
const waitingPerZone = 4;

export interface SetLoader {
  /** Loads the set, or waits for the load under way. Throws SetRefused, OpaAway or `rate_limited`. */
  load(set: ModuleSet): Promise<void>;
  /**
   * Loads a set that is not among those kept, until `release`. With problems nothing of it stays. Throws OpaAway or
   * `rate_limited`.
   */
  hold(set: ModuleSet): Promise<readonly SourceProblem[]>;
  /** Takes out what was held. */
  release(set: ModuleSet): Promise<void>;
  /** Notes a use, so that the set stays. */
  touch(set: ModuleSet): void;
  readonly size: number;
}

/** One load after another, and only so many of a zone waiting. */
function createLine(): <T>(zoneId: string, work: () => Promise<T>) => Promise<T> {
  const waiting = new Map<string, number>();
  let line: Promise<unknown> = Promise.resolve();
  return async (zoneId, work) => {
    const count = waiting.get(zoneId) ?? 0;
    if (count >= waitingPerZone) {
      throw fail('rate_limited', { retryAfterMs: 1000, privateDetail: 'policy loads of one zone' });
    }
    waiting.set(zoneId, count + 1);
    const turn = line.then(work);
    line = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      const left = (waiting.get(zoneId) ?? 1) - 1;
      if (left > 0) waiting.set(zoneId, left);
      else waiting.delete(zoneId);
    }
  };
}

/** A loader for one OPA that keeps at most `maxLoadedSets` versions in it. */
export function createSetLoader(target: LoadTarget, maxLoadedSets: number): SetLoader {
  const { client } = target;
  const underWay = new Map<string, Promise<void>>();
  const inLine = createLine();
  const removals: ModuleSet[] = [];
  const loaded = new LRUCache<string, ModuleSet>({
    max: maxLoadedSets,
    disposeAfter: (set, _key, reason) => {
      if (reason === 'evict') removals.push(set);
    },
  });

  async function loadNow(set: ModuleSet): Promise<void> {
    const problems = await checkAndPut(target, set);
    if (problems.length > 0) {
      await remove(client, set);
      throw new SetRefused(problems);
    }
    loaded.set(set.sentinel, set);
    for (let gone = removals.pop(); gone; gone = removals.pop()) await remove(client, gone);
  }

  return {
    async load(set) {
      const before = underWay.get(set.sentinel);
      if (before) return before;
      const load = inLine(set.zoneId, async () => loadNow(set)).finally(() => underWay.delete(set.sentinel));
      underWay.set(set.sentinel, load);
      return load;
    },
    async hold(set) {
      return inLine(set.zoneId, async () => {
        let problems: readonly SourceProblem[] | undefined;
        try {
          problems = await checkAndPut(target, set);
          return problems;
        } finally {
          if (problems?.length !== 0) await remove(client, set);
        }
      });
    },
    release: async (set) => remove(client, set),
    touch(set) {
      loaded.get(set.sentinel);
    },
    get size() {
      return loaded.size;
    },
  };
}
