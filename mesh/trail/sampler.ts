// Thins out refusals made before any mandate was verified: a flood from one address must not become a flood of evidence.
// Nothing else is ever sampled.
import type { Clock } from '#mesh/time';
import { LRUCache } from 'lru-cache';

export interface RefusalSampler {
  /**
   * Undefined when this refusal is left out; otherwise the number left out for this source since its last sample, to be
   * carried in the event's metadata.
   */
  admit(source: string): { readonly suppressed: number } | undefined;
}

export interface RefusalSamplerOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly perSecond?: number;
  readonly maxSources?: number;
}

// ledger.md: per source address above 10 a second.
const PER_SECOND = 10;
// An address at rest is forgotten first; a hundred bytes each.
const MAX_SOURCES = 10_000;
const SECOND_MS = 1_000;

interface SourceWindow {
  startedAt: number;
  admitted: number;
  suppressed: number;
}

export function createRefusalSampler(options: RefusalSamplerOptions): RefusalSampler {
  const { clock, perSecond = PER_SECOND, maxSources = MAX_SOURCES } = options;
  const windows = new LRUCache<string, SourceWindow>({ max: maxSources });

  return {
    admit(source) {
      const now = clock.monotonic();
      const window = windows.get(source) ?? { startedAt: now, admitted: 0, suppressed: 0 };
      windows.set(source, window);
      if (now - window.startedAt >= SECOND_MS) {
        window.startedAt = now;
        window.admitted = 0;
      }
      if (window.admitted >= perSecond) {
        window.suppressed += 1;
        return undefined;
      }
      window.admitted += 1;
      const { suppressed } = window;
      window.suppressed = 0;
      return { suppressed };
    },
  };
}
