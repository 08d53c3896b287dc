// How a row looks as an entry of a stream. It stands alone because readers depend on these names and nothing else of ours.
import { create, toJsonString } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { StreamHeartbeatSchema } from '#gen/caracal/event/v1/event_pb';
import type { StreamFields } from '#mesh/redis';
import { microsecondTextOfMs } from '#mesh/time';

export interface EntryFacts {
  readonly id: string;
  readonly dedupeKey: string;
  readonly occurredAtMs: number;
  readonly traceparent: string | undefined;
  /** JSON text of the payload; JSON escapes control characters, so it is always fit to be signed. */
  readonly data: string;
}

/** Fields of an entry of any stream but the ledger's; the publisher adds `_sig`. */
export function entryFields(facts: EntryFacts): StreamFields {
  return {
    outbox_id: facts.id,
    dedupe_key: facts.dedupeKey,
    occurred_at: microsecondTextOfMs(facts.occurredAtMs),
    ...(facts.traceparent === undefined ? {} : { traceparent: facts.traceparent }),
    data: facts.data,
  };
}

/** The same for an entry of an invalidation stream. */
export function numberedFields(facts: EntryFacts, place: { incarnation: string; number: number }): StreamFields {
  return { ...entryFields(facts), incarnation: place.incarnation, number: String(place.number) };
}

/** What the owner of a numbered stream says about it, all read at one moment. */
export interface StreamState {
  readonly incarnation: string;
  /** The highest number given. */
  readonly head: number;
  /** Age of the oldest committed entry that is not published. */
  readonly unpublishedMs: number;
  readonly databaseTimeMs: number;
}

/** Fields of a heartbeat. `beat` counts from 1 within the relay's term. */
export function heartbeatFields(state: StreamState, beat: number): StreamFields {
  const message = create(StreamHeartbeatSchema, {
    incarnation: state.incarnation,
    beat: BigInt(beat),
    head: BigInt(state.head),
    unpublishedMs: BigInt(state.unpublishedMs),
    databaseTime: timestampFromMs(state.databaseTimeMs),
  });
  return {
    hb: '1',
    incarnation: state.incarnation,
    occurred_at: microsecondTextOfMs(state.databaseTimeMs),
    data: toJsonString(StreamHeartbeatSchema, message),
  };
}
