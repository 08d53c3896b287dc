// Decides when an answer of the STS may be given again without asking. It keeps only allows that the STS marked
// reusable, and drops them when anything they were decided on may have changed; denials are never kept.

/** What an allow was decided on; all of it must be unchanged for the answer to stand. */
export interface DecidedOn {
  readonly policySetVersionId: string;
  readonly delegationEpoch: number;
  readonly resourceVersion: number;
}

/** The question a verdict answers. The same mandate, resource version, method and policy path are the same input. */
export interface VerdictKey {
  readonly mandateDigest: string;
  readonly zoneId: string;
  readonly resourceId: string;
  readonly resourceVersion: number;
  readonly method: string;
  readonly policyPath: string;
}

interface Kept<V> {
  readonly verdict: V;
  readonly zoneId: string;
  readonly validUntilMs: number;
  readonly generation: number;
}

interface ZoneState {
  /** Grows whenever something about the zone changed. */
  generation: number;
  policySetVersionId: string | undefined;
  delegationEpoch: number;
}

/** One string for a question; parts cannot run into each other because none of them holds a line feed. */
export function verdictKey(key: VerdictKey): string {
  return `${key.mandateDigest}\n${key.zoneId}\n${key.resourceId}\n${key.resourceVersion}\n${key.method}\n${key.policyPath}`;
}

export interface VerdictMemoryLimits {
  readonly maxVerdicts: number;
  readonly maxZones: number;
}

/** Bounded, least recently used goes first. Time comes in as a value. */
export class VerdictMemory<V> {
  readonly #kept = new Map<string, Kept<V>>();
  readonly #zones = new Map<string, ZoneState>();
  readonly #limits: VerdictMemoryLimits;
  // Stands in for every zone whose state was dropped, so that dropping a state can never revive an old verdict.
  #floor = 0;

  constructor(limits: VerdictMemoryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Taken before a question is asked and given back to `keep`: what changed meanwhile keeps the answer out. */
  generation(zoneId: string): number {
    return this.#zones.get(zoneId)?.generation ?? this.#floor;
  }

  recall(key: string, nowMs: number): V | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (kept.validUntilMs <= nowMs || kept.generation !== this.generation(kept.zoneId)) return undefined;
    this.#kept.set(key, kept);
    return kept.verdict;
  }

  /** True when an allow rests on another policy version than the one this Gateway has heard of last. */
  isOutdated(zoneId: string, policySetVersionId: string): boolean {
    const known = this.#zones.get(zoneId)?.policySetVersionId;
    return known !== undefined && known !== policySetVersionId;
  }

  /** Drops what may not be given again any more: an allow holds a credential, which stays no longer than its verdict. */
  sweep(nowMs: number): void {
    for (const [key, { validUntilMs, zoneId, generation }] of this.#kept) {
      if (validUntilMs <= nowMs || generation !== this.generation(zoneId)) this.#kept.delete(key);
    }
  }

  /** Keeps an allow; says whether it was kept. An answer older than what this Gateway has heard of is not. */
  keep(key: VerdictKey, verdict: V, facts: DecidedOn & { validUntilMs: number; generation: number }): boolean {
    const zone = this.#zones.get(key.zoneId);
    if (facts.generation !== this.generation(key.zoneId)) return false;
    if (facts.resourceVersion !== key.resourceVersion) return false;
    if (zone !== undefined && facts.delegationEpoch < zone.delegationEpoch) return false;
    if (this.isOutdated(key.zoneId, facts.policySetVersionId)) return false;
    const { validUntilMs, generation } = facts;
    this.#kept.set(verdictKey(key), { verdict, zoneId: key.zoneId, validUntilMs, generation });
    this.#trim();
    return true;
  }

  /** The zone's policy version changed; an empty id means that no version is active, and then nothing can be kept. */
  policyChanged(zoneId: string, policySetVersionId: string): void {
    this.#touch(zoneId).policySetVersionId = policySetVersionId;
  }

  delegationsChanged(zoneId: string, epoch: number): void {
    const zone = this.#touch(zoneId);
    zone.delegationEpoch = Math.max(zone.delegationEpoch, epoch);
  }

  /** A resource, application, provider or the zone itself changed. */
  resourcesChanged(zoneId: string): void {
    this.#touch(zoneId);
  }

  /** Nothing remembered can be relied on any more: a stream had a hole or began anew. */
  forgetAll(): void {
    this.#floor = this.#nextGeneration();
    this.#zones.clear();
    this.#kept.clear();
  }

  #touch(zoneId: string): ZoneState {
    const generation = this.#nextGeneration();
    const known = this.#zones.get(zoneId);
    const state = known ?? { generation, policySetVersionId: undefined, delegationEpoch: 0 };
    state.generation = generation;
    this.#zones.delete(zoneId);
    this.#zones.set(zoneId, state);
    if (this.#zones.size > this.#limits.maxZones) {
      const oldest = this.#zones.keys().next().value;
      if (oldest !== undefined) this.#zones.delete(oldest);
      this.#floor = this.#nextGeneration();
    }
    return state;
  }

  #counter = 0;
  #nextGeneration(): number {
    this.#counter += 1;
    return this.#counter;
  }

  #trim(): void {
    while (this.#kept.size > this.#limits.maxVerdicts) {
      const oldest = this.#kept.keys().next().value;
      if (oldest === undefined) return;
      this.#kept.delete(oldest);
    }
  }
}
