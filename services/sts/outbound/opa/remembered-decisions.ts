// Remembers what policy answered. A decision is a pure function of version and input, so the same question is asked once;
// only whole answers are kept, never failures.
import { LRUCache } from 'lru-cache';
import { loadedDigest } from '../../domain/policy-set.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation, PolicyEngine } from '../../ports/policy-engine.ts';

export interface RememberedOptions {
  readonly max: number;
  readonly onLookup?: (hit: boolean) => void;
}

// Usual answers have a few hundred characters; the whole memory is bounded by this many for each entry it may have. One
// that is much larger was written to fill the memory and is asked for each time.
const charactersPerEntry = 2048;
const largestEntry = 65_536;

type Answered = Extract<Evaluation, { kind: 'answered' }>;

/** `engine` with a bounded memory by (version digest, input digest); questions asked at once are asked once. */
export function rememberDecisions(engine: PolicyEngine, options: RememberedOptions): PolicyEngine {
  const known = new LRUCache<string, Answered>({
    max: options.max,
    maxSize: Math.max(largestEntry, options.max * charactersPerEntry),
    maxEntrySize: largestEntry,
    sizeCalculation: ({ results }, key) => key.length + JSON.stringify(results).length,
  });
  const underWay = new Map<string, Promise<Evaluation>>();
  const digests = new WeakMap<PolicySetVersion, string>();

  function keyOf(version: PolicySetVersion, inputDigest: string): string {
    const digest = digests.get(version) ?? loadedDigest(version);
    digests.set(version, digest);
    return `${version.zoneId} ${digest} ${inputDigest}`;
  }

  return {
    ...engine,
    async evaluate(question) {
      const key = keyOf(question.version, question.inputDigest);
      const hit = known.get(key);
      options.onLookup?.(hit !== undefined);
      if (hit) return { ...hit, remembered: true };
      const asked = underWay.get(key);
      if (asked) return asked;
      const asking = engine.evaluate(question).finally(() => underWay.delete(key));
      underWay.set(key, asking);
      const evaluation = await asking;
      if (evaluation.kind === 'answered') known.set(key, evaluation);
      return evaluation;
    },
  };
}
