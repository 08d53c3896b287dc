// The need: that somebody looks at what the version a zone watches would have decided, without anybody waiting for it.
import type { Decision } from '../domain/decision.ts';

/** A decision that was taken, with what it was taken on. */
export interface SeenDecision {
  readonly zoneId: string;
  readonly applicationId: string;
  readonly resource: string;
  readonly scopes: readonly string[];
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly decision: Decision;
  /** What decided; undefined when the zone enforces nothing. */
  readonly versionId: string | undefined;
  readonly policySetId: string | undefined;
  readonly digest: string | undefined;
  readonly inputJson: string;
  readonly inputDigest: string;
}

export interface ShadowWatch {
  /** Returns at once and never throws, whatever the watched version does. */
  note(seen: SeenDecision): void;
}
