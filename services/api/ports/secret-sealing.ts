// The need: everything sealed anew under the present key-encryption key, by the STS, which alone holds it.
import type { CallFacts } from './control-store.ts';

export interface ResealProgress {
  /** Envelopes looked at so far. */
  readonly checked: number;
  readonly resealed: number;
  /** Under the present key already. */
  readonly current: number;
  /** Opened by no key that the STS has; the ledger names each. */
  readonly failed: number;
  readonly done: boolean;
}

export interface SecretSealing {
  /** The last step says done. `zoneId` undefined means all zones. Rejects with `sts_unavailable`; repeating it is harmless. */
  reseal(zoneId: string | undefined, facts: CallFacts, signal: AbortSignal): AsyncIterable<ResealProgress>;
}
