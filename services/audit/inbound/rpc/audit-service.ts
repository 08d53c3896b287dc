// AuditService: search, trace and verification of the ledger, for the API and operators.
import { type MessageInitShape, fromJson } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type {
  AuditService,
  FindingSchema,
  LedgerEntrySchema,
  SearchEventsRequest,
} from '#gen/caracal/audit/v1/audit_pb';
import { AuditEventSchema } from '#gen/caracal/event/v1/event_pb';
import type { RequestId, ZoneId } from '#mesh/ids';
import { parseFields } from '#mesh/rpc';
import type { Finding } from '../../domain/tamper-finding.ts';
import type { LedgerPage, LedgerQuery, LedgerRecord } from '../../flows/read-ledger.ts';
import type { InputBatch, InputRange } from '../../flows/read-inputs.ts';
import type { VerifyProgress, VerifyRange } from '../../flows/verify-range.ts';
import { inputRange, inputsMessage } from './input-messages.ts';

/** The flows, bound to their dependencies. */
export interface AuditFlows {
  searchEvents(zoneId: ZoneId, query: LedgerQuery): Promise<LedgerPage>;
  getTrace(zoneId: ZoneId, requestId: string): Promise<readonly LedgerRecord[]>;
  verifyRange(range: VerifyRange): AsyncGenerator<VerifyProgress>;
  readInputs(range: InputRange): AsyncGenerator<InputBatch>;
}

export interface AuditServiceOptions {
  readonly flows: AuditFlows;
  /** Whether a text is a cursor that an earlier page has given. */
  readonly isCursor: (cursor: string) => boolean;
  readonly onFinding: (finding: Finding) => void;
}

/** Findings in one message at most, so that a ruined ledger still fits the message bound. */
const findingsPerMessage = 100;
const maxSeq = Number.MAX_SAFE_INTEGER;

export function createAuditService({
  flows,
  isCursor,
  onFinding,
}: AuditServiceOptions): ServiceImpl<typeof AuditService> {
  return {
    searchEvents: async (request) => {
      const { zoneId, query } = readSearch(request, isCursor);
      const page = await flows.searchEvents(zoneId, query);
      return { entries: page.records.map(entryMessage), nextCursor: page.nextCursor ?? '' };
    },
    getTrace: async (request) => {
      const trace = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        requestId: fields.id<RequestId>('request_id', request.requestId),
      }));
      return { entries: (await flows.getTrace(trace.zoneId, trace.requestId)).map(entryMessage) };
    },
    async *verifyRange(request, context) {
      const range = parseFields((fields) => ({
        zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
        fromSeq: fields.integer('from_seq', request.fromSeq, { min: 0, max: maxSeq }) || 1,
        toSeq: fields.integer('to_seq', request.toSeq, { min: 0, max: maxSeq }) || undefined,
      }));
      let found = 0;
      for await (const progress of flows.verifyRange(range)) {
        context.signal.throwIfAborted();
        found += progress.findings.length;
        for (const finding of progress.findings) onFinding(finding);
        yield* progressMessages(progress, found);
      }
    },
    async *readInputs(request, context) {
      for await (const batch of flows.readInputs(inputRange(request))) {
        context.signal.throwIfAborted();
        yield inputsMessage(batch);
      }
    },
  };
}

function* progressMessages(progress: VerifyProgress, found: number) {
  const { findings, done } = progress;
  const counts = { checked: BigInt(progress.checked), total: BigInt(progress.total), findingCount: BigInt(found) };
  let at = 0;
  for (; at + findingsPerMessage < findings.length; at += findingsPerMessage) {
    yield { ...counts, findings: findings.slice(at, at + findingsPerMessage).map(findingMessage), done: false };
  }
  yield { ...counts, findings: findings.slice(at).map(findingMessage), done };
}

function findingMessage(finding: Finding): MessageInitShape<typeof FindingSchema> {
  return {
    seq: BigInt(finding.seq),
    eventId: finding.eventId,
    kind: finding.kind,
    description: finding.description,
  };
}

/** The event is what was chained: read from the stored canonical text, never put together from columns. */
function entryMessage(record: LedgerRecord): MessageInitShape<typeof LedgerEntrySchema> {
  return {
    event: fromJson(AuditEventSchema, JSON.parse(record.canonical), { ignoreUnknownFields: true }),
    seq: BigInt(record.seq),
    contentSha256: record.contentSha256,
    previousSha256: record.previousSha256,
    chainHmac: record.chainHmac,
    chainKeyId: record.chainKeyId,
    ingestedAt: timestampFromMs(record.ingestedAtMs),
  };
}

const eventTypePattern = /^[a-z][a-z_.]{0,127}$/;

function readSearch(
  request: SearchEventsRequest,
  isCursor: (cursor: string) => boolean,
): { zoneId: ZoneId; query: LedgerQuery } {
  return parseFields((fields) => {
    if (request.cursor !== '' && !isCursor(request.cursor)) fields.refuse('cursor', 'next_cursor of an earlier page');
    const sinceMs = fields.optionalTimestamp('since', request.since);
    const untilMs = fields.optionalTimestamp('until', request.until);
    return {
      zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
      query: {
        since: sinceMs === undefined ? undefined : new Date(sinceMs).toISOString(),
        until: untilMs === undefined ? undefined : new Date(untilMs).toISOString(),
        decision: fields.optionalOneOf('decision', request.decision, ['allow', 'deny', 'partial']),
        eventTypes: fields.list('event_types', request.eventTypes, {
          max: 16,
          each: (at, value) => fields.text(at, value, { max: 128, pattern: eventTypePattern, rule: 'an event type' }),
        }),
        requestId: fields.optionalId<RequestId>('request_id', request.requestId),
        applicationId: fields.optionalId('application_id', request.applicationId),
        limit: fields.integer('limit', request.limit, { min: 0, max: 1000 }) || 100,
        cursor: request.cursor === '' ? undefined : request.cursor,
      },
    };
  });
}
