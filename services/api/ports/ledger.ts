// The ledger as the control plane reads it, through Audit.
import type { JsonObject } from '#mesh/failure';
import type { CallFacts } from './control-store.ts';

/** An event in the ledger's own field names, with its place in the chain. */
export type LedgerEntry = JsonObject;

export interface LedgerSearch {
  readonly zoneId: string;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly decision: string | undefined;
  readonly eventTypes: readonly string[];
  readonly requestId: string | undefined;
  readonly applicationId: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface VerifyProgress {
  readonly checked: number;
  readonly total: number;
  readonly findings: readonly JsonObject[];
  readonly done: boolean;
  readonly findingCount: number;
}

/** Everything rejects with `audit_unavailable` when Audit cannot be asked. */
export interface LedgerReader {
  search(search: LedgerSearch, facts: CallFacts): Promise<{ entries: readonly LedgerEntry[]; nextCursor?: string }>;
  /** Empty when no event has the request id. */
  trace(zoneId: string, requestId: string, facts: CallFacts): Promise<readonly LedgerEntry[]>;
  /** Ends when the signal says so. */
  verify(
    range: { zoneId: string; fromSeq: number; toSeq: number },
    facts: CallFacts,
    signal: AbortSignal,
  ): AsyncIterable<VerifyProgress>;
}
