// The need: the one row an ambient mint writes, so that everything derived from it can be revoked by its id.
import type { JsonObject } from '#mesh/failure';

export interface SessionRecord {
  readonly id: string;
  readonly zoneId: string;
  /** The record this one continues; its root becomes this one's root. */
  readonly parentId: string | undefined;
  readonly applicationId: string;
  readonly subject: string;
  readonly subjectType: 'user' | 'application';
  readonly agentSessionId: string | undefined;
  readonly expiresAtMs: number;
  /** Of a user: what policies may know of it for as long as the record's mandates live. */
  readonly subjectClaims?: JsonObject | undefined;
}

export interface SessionRecords {
  /** Inserts the record and says its root: its own id without a parent. Throws `store_unavailable`. */
  insert(record: SessionRecord): Promise<{ rootSid: string }>;
}
