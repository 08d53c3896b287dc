// Audit over mutual TLS. Entries come as protobuf and leave in the ledger's own field names.
import { type JsonObject as ProtoObject, toJson } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { createClient, type Transport } from '@connectrpc/connect';
import { AuditService, type LedgerEntry as WireEntry } from '#gen/caracal/audit/v1/audit_pb';
import { AuditEventSchema } from '#gen/caracal/event/v1/event_pb';
import { parseStrictJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { outgoing } from '#mesh/rpc';
import { microsecondTextOfMs } from '#mesh/time';
import type { LedgerEntry, LedgerReader } from '../../ports/ledger.ts';
import { peerFailure } from './peer-failure.ts';

const timeoutMs = 10_000;
/** The bound of an event in the ledger. */
const maxInputBytes = 512 * 1024;
const maxInputDepth = 64;

export function createLedgerReader(transport: Transport): LedgerReader {
  const client = createClient(AuditService, transport);
  return {
    search: async (search, { requestId, traceparent }) => {
      const { sinceMs, untilMs, decision, eventTypes, applicationId, cursor } = search;
      const request = {
        zoneId: search.zoneId,
        ...(sinceMs === undefined ? {} : { since: timestampFromMs(sinceMs) }),
        ...(untilMs === undefined ? {} : { until: timestampFromMs(untilMs) }),
        decision: decision ?? '',
        eventTypes: [...eventTypes],
        requestId: search.requestId ?? '',
        applicationId: applicationId ?? '',
        limit: search.limit,
        cursor: cursor ?? '',
      };
      const page = await asking(() => client.searchEvents(request, outgoing({ requestId, traceparent, timeoutMs })));
      const next = page.nextCursor === '' ? {} : { nextCursor: page.nextCursor };
      return { entries: page.entries.map(entryOf), ...next };
    },
    trace: async (zoneId, wanted, { requestId, traceparent }) => {
      const options = outgoing({ requestId, traceparent, timeoutMs });
      return (await asking(() => client.getTrace({ zoneId, requestId: wanted }, options))).entries.map(entryOf);
    },
    async *verify({ zoneId, fromSeq, toSeq }, { requestId, traceparent }, signal) {
      const request = { zoneId, fromSeq: BigInt(fromSeq), toSeq: BigInt(toSeq) };
      try {
        for await (const progress of client.verifyRange(request, outgoing({ requestId, traceparent, signal }))) {
          yield {
            checked: Number(progress.checked),
            total: Number(progress.total),
            findings: progress.findings.map(({ seq, eventId, kind, description }) => ({
              seq: Number(seq),
              event_id: eventId,
              kind,
              description,
            })),
            done: progress.done,
            findingCount: Number(progress.findingCount),
          };
        }
      } catch (error) {
        throw asAuditFailure(error);
      }
    },
  };
}

async function asking<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw asAuditFailure(error);
  }
}

function asAuditFailure(error: unknown): Error {
  return peerFailure(error, 'audit_unavailable', 'The ledger cannot be read at the moment.');
}

function entryOf(entry: WireEntry): LedgerEntry {
  const { event, ingestedAt } = entry;
  const facts =
    event === undefined ? {} : (toJson(AuditEventSchema, event, { useProtoFieldName: true }) as ProtoObject);
  const { input_json: inputText, ...rest } = facts;
  return {
    ...(rest as JsonObject),
    ...(event === undefined ? {} : { producer_seq: Number(event.producerSeq) }),
    ...(typeof inputText === 'string' ? { input: inputOf(inputText) } : {}),
    seq: Number(entry.seq),
    content_sha256: entry.contentSha256,
    previous_sha256: entry.previousSha256,
    chain_hmac: entry.chainHmac,
    chain_key_id: entry.chainKeyId,
    ...(ingestedAt === undefined ? {} : { ingested_at: microsecondTextOfMs(timestampMs(ingestedAt)) }),
  };
}

/** The decision's input as the document it is; text that is none is left out rather than guessed at. */
function inputOf(text: string): JsonValue {
  try {
    return parseStrictJson(text, { maxBytes: maxInputBytes, maxDepth: maxInputDepth });
  } catch {
    return null;
  }
}
