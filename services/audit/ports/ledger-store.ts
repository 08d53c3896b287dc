// The ledger's storage: appends that chain, and reads that never sort for a head.
import type { ZoneId } from '#mesh/ids';
import type { ChainHead, ChainLink } from '../domain/chain.ts';
import type { LedgerEvent } from '../domain/ledger-event.ts';
import type { ProducerSequence, SequenceGap } from '../domain/producer-sequence.ts';
import type { Finding, StoredEntry } from '../domain/tamper-finding.ts';

export interface AppendedEntry {
  readonly event: LedgerEvent;
  readonly link: ChainLink;
  /** The producer's signature over the event's bytes, kept beside it. */
  readonly signature: string;
}

/** Reads and writes of one zone's append. The head stays locked until the transaction ends. */
export interface LedgerTransaction {
  lockHead(): Promise<ChainHead>;
  /** Content digests of those of the ids that the ledger has already. */
  known(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
  append(entries: readonly AppendedEntry[], head: ChainHead): Promise<void>;
  recordFindings(findings: readonly Finding[]): Promise<void>;
  /** Adds numbers of a producer that have arrived, and moves its watermark. */
  addProducerNumbers(producer: string, incarnation: string, numbers: readonly number[]): Promise<void>;
  /** Counts numbers that never came as arrived, so that the watermark moves past them. */
  giveUpNumbers(gap: SequenceGap): Promise<void>;
}

export interface LedgerRecord {
  readonly seq: number;
  readonly canonical: string;
  readonly contentSha256: string;
  readonly previousSha256: string;
  readonly chainHmac: string;
  readonly chainKeyId: string;
  readonly ingestedAtMs: number;
}

export interface LedgerQuery {
  /** Microsecond texts; inclusive and exclusive. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly decision: string | undefined;
  readonly eventTypes: readonly string[];
  readonly requestId: string | undefined;
  readonly applicationId: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface LedgerPage {
  readonly records: readonly LedgerRecord[];
  readonly nextCursor: string | undefined;
}

/** A place between events in the order of (occurred_at, id). */
export interface EventPlace {
  /** Microsecond text. */
  readonly occurredAt: string;
  readonly id: string;
}

/** Which events of a zone to read for the decisions they record. */
export interface DecisionEvents {
  readonly eventTypes: readonly string[];
  /** Microsecond texts; inclusive and exclusive. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  /** Only this event; the range is not looked at then. */
  readonly eventId: string | undefined;
  readonly after: EventPlace | undefined;
}

export interface DecisionPage {
  /** Stored events, oldest first. */
  readonly canonical: readonly string[];
  /** Where the next page goes on; undefined after the last. */
  readonly next: EventPlace | undefined;
}

/** Promise: an append is one transaction of one zone; what cannot be reached is `store_unavailable`. */
export interface LedgerStore {
  append<T>(zoneId: ZoneId, work: (tx: LedgerTransaction) => Promise<T>): Promise<T>;
  search(zoneId: ZoneId, query: LedgerQuery): Promise<LedgerPage>;
  /** Every entry of a request id by seq, at most `limit`. */
  trace(zoneId: ZoneId, requestId: string, limit: number): Promise<readonly LedgerRecord[]>;
  /** A page of events oldest first, bounded in rows and bytes. */
  decisions(zoneId: ZoneId, events: DecisionEvents): Promise<DecisionPage>;
  head(zoneId: ZoneId): Promise<ChainHead>;
  /** Producers of which numbers are missing below the highest that has arrived. */
  incompleteSequences(): Promise<readonly ProducerSequence[]>;
  /** Stored entries from a seq on, in order, at most `limit`. */
  entries(zoneId: ZoneId, fromSeq: number, limit: number): Promise<readonly StoredEntry[]>;
}
