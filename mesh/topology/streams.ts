// Every Redis stream of an installation: who writes it, who reads it, and how far it may grow.
// It stands alone as data so that provisioning, key grants and tests read one table.
import type { ServiceName } from './services.ts';

export type StreamName =
  | 'caracal.audit.events'
  | 'caracal.audit.events.dlq'
  | 'caracal.sessions.revoke'
  | 'caracal.policy.invalidate'
  | 'caracal.keys.invalidate'
  | 'caracal.resources.invalidate'
  | 'caracal.delegations.invalidate'
  | 'caracal.agents.lifecycle'
  | 'caracal.invocations.lifecycle';

export interface StreamRule {
  /** The service that numbers, relays and provisions it. */
  readonly owner: ServiceName;
  readonly producers: readonly ServiceName[];
  readonly consumers: readonly ServiceName[];
  /**
   * invalidation: numbered, with heartbeats, each replica reads it with its own cursor.
   * ledger: consumed through groups, never trimmed by length.
   * lifecycle: notices in order per key, each replica reads it with its own cursor.
   */
  readonly kind: 'invalidation' | 'ledger' | 'lifecycle';
  /** Consumer groups, provisioned at 0. */
  readonly groups?: readonly string[];
  /** Entries kept at most, approximately; absent where only acknowledgement trims. */
  readonly maxLength?: number;
}

/**
 * A reader that is further behind than this re-reads through the owner's view anyway, and at some 300 bytes an entry
 * it keeps one stream near 30 MB.
 */
const boundedLength = 100_000;

export const streams: Readonly<Record<StreamName, StreamRule>> = {
  'caracal.audit.events': {
    owner: 'audit',
    producers: ['sts', 'gateway', 'api', 'coordinator'],
    consumers: ['audit'],
    kind: 'ledger',
    groups: ['audit-ingestor', 'siem-export'],
  },
  'caracal.audit.events.dlq': {
    owner: 'audit',
    producers: ['audit'],
    consumers: ['audit'],
    kind: 'ledger',
    maxLength: boundedLength,
  },
  'caracal.sessions.revoke': {
    owner: 'sts',
    producers: ['sts'],
    consumers: ['gateway', 'sts'],
    kind: 'invalidation',
    maxLength: boundedLength,
  },
  'caracal.policy.invalidate': {
    owner: 'api',
    producers: ['api'],
    consumers: ['sts', 'gateway'],
    kind: 'invalidation',
    maxLength: boundedLength,
  },
  'caracal.keys.invalidate': {
    owner: 'sts',
    producers: ['sts'],
    consumers: ['sts', 'gateway'],
    kind: 'invalidation',
    maxLength: boundedLength,
  },
  'caracal.resources.invalidate': {
    owner: 'api',
    producers: ['api'],
    consumers: ['sts', 'gateway'],
    kind: 'invalidation',
    maxLength: boundedLength,
  },
  'caracal.delegations.invalidate': {
    owner: 'coordinator',
    producers: ['coordinator'],
    consumers: ['sts', 'gateway'],
    kind: 'invalidation',
    maxLength: boundedLength,
  },
  'caracal.agents.lifecycle': {
    owner: 'coordinator',
    producers: ['coordinator'],
    consumers: ['coordinator'],
    kind: 'lifecycle',
    maxLength: boundedLength,
  },
  'caracal.invocations.lifecycle': {
    owner: 'coordinator',
    producers: ['coordinator'],
    consumers: ['coordinator'],
    kind: 'lifecycle',
    maxLength: boundedLength,
  },
};

/** True for a string that names a stream. */
export function isStreamName(value: unknown): value is StreamName {
  return typeof value === 'string' && Object.hasOwn(streams, value);
}
