// Decides which refusals made before any mandate was verified become evidence. Anyone can cause them without end, so a
// source address gets ten a second; the rest are counted, and the count goes with the address's next sample.

// Ten a second is what a person debugging by hand causes at most; a flood shows by its count instead.
const samplesPerWindow = 10;
const windowMs = 1000;

interface Source {
  windowStartMs: number;
  inWindow: number;
  suppressed: number;
}

export interface Suppressed {
  readonly source: string;
  readonly count: number;
}

/** Bounded: above `maxSources` addresses, further ones share one allowance. */
export class RefusalSampler {
  readonly #sources = new Map<string, Source>();
  readonly #maxSources: number;

  constructor(maxSources: number) {
    this.#maxSources = maxSources;
  }

  /** The number suppressed since the last sample when this refusal is to be recorded; undefined when it is not. */
  sample(address: string, nowMs: number): number | undefined {
    const source = this.#source(address, nowMs);
    if (nowMs - source.windowStartMs >= windowMs) {
      source.windowStartMs = nowMs;
      source.inWindow = 0;
    }
    source.inWindow += 1;
    if (source.inWindow > samplesPerWindow) {
      source.suppressed += 1;
      return undefined;
    }
    const { suppressed } = source;
    source.suppressed = 0;
    return suppressed;
  }

  /** Forgets sources that have been quiet for a window and gives the counts nobody has reported yet. */
  settle(nowMs: number): Suppressed[] {
    const left: Suppressed[] = [];
    for (const [address, source] of this.#sources) {
      if (nowMs - source.windowStartMs < windowMs) continue;
      if (source.suppressed > 0) left.push({ source: address, count: source.suppressed });
      this.#sources.delete(address);
    }
    return left;
  }

  #source(address: string, nowMs: number): Source {
    const key = this.#sources.has(address) || this.#sources.size < this.#maxSources ? address : 'others';
    let source = this.#sources.get(key);
    if (source === undefined) {
      source = { windowStartMs: nowMs, inWindow: 0, suppressed: 0 };
      this.#sources.set(key, source);
    }
    return source;
  }
}
