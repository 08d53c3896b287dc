// Where the entries of a numbered stream come from: a service's outbox, or sts.revocations, which is an outbox of its own.
// It stands alone so that the leader publishes both by one rule.
import { create, toJsonString } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { AnchorKind, RevocationSchema } from '#gen/caracal/event/v1/event_pb';
import type { JsonObject } from '#mesh/failure';
import { int8, type Leadership } from '#mesh/postgres';
import type { StreamFields } from '#mesh/redis';
import { streams, type ServiceName, type StreamName } from '#mesh/topology';
import { numberedFields, type StreamState } from './stream-fields.ts';

export interface NumberedFields {
  readonly number: number;
  readonly fields: StreamFields;
}

/** All statements run on the connection that holds the lead. */
export interface NumberedSource {
  readonly stream: StreamName;
  /** The next entries in number order, without holes, from the first that is not marked. */
  readonly unpublished: (lead: Leadership, limit: number) => Promise<NumberedFields[]>;
  /** Everything up to this number is in Redis. */
  readonly advance: (lead: Leadership, number: number) => Promise<void>;
  readonly state: (lead: Leadership) => Promise<StreamState>;
}

/** The numbered streams a service owns. */
export function numberedSources(service: ServiceName): NumberedSource[] {
  return (Object.keys(streams) as StreamName[])
    .filter((stream) => streams[stream].owner === service && streams[stream].kind === 'invalidation')
    .map((stream) => (stream === 'caracal.sessions.revoke' ? revocationSource() : outboxSource(service, stream)));
}

interface StateRow {
  readonly incarnation: string;
  readonly head: string;
  readonly unpublished_ms: string;
  readonly database_time: Date;
}

async function readState(lead: Leadership, text: string, values: readonly unknown[]): Promise<StreamState> {
  const [row] = await lead.query<StateRow>(text, values);
  if (row === undefined) throw new Error('a numbered stream has no head row');
  return {
    incarnation: row.incarnation,
    head: int8(row.head),
    unpublishedMs: int8(row.unpublished_ms),
    databaseTimeMs: row.database_time.getTime(),
  };
}

interface OutboxRow {
  readonly id: string;
  readonly dedupe_key: string;
  readonly payload: JsonObject;
  readonly traceparent: string | null;
  readonly occurred_at: Date;
  readonly number: string;
  readonly incarnation: string;
}

function outboxSource(service: ServiceName, stream: StreamName): NumberedSource {
  return {
    stream,
    unpublished: async (lead, limit) => {
      const rows = await lead.query<OutboxRow>(
        `SELECT id, dedupe_key, payload, traceparent, occurred_at, number, incarnation
         FROM ${service}.outbox_numbered($1, $2)`,
        [stream, limit],
      );
      return rows.map((row) => {
        const number = int8(row.number);
        const facts = {
          id: row.id,
          dedupeKey: row.dedupe_key,
          occurredAtMs: row.occurred_at.getTime(),
          traceparent: row.traceparent ?? undefined,
          data: JSON.stringify(row.payload),
        };
        return { number, fields: numberedFields(facts, { incarnation: row.incarnation, number }) };
      });
    },
    advance: async (lead, number) => {
      await lead.query(`SELECT ${service}.outbox_advance($1, $2)`, [stream, number]);
    },
    state: (lead) =>
      readState(
        lead,
        `SELECT incarnation, head, unpublished_ms, database_time FROM ${service}.outbox_stream_state($1)`,
        [stream],
      ),
  };
}

const anchorKinds: Readonly<Record<string, AnchorKind>> = {
  session: AnchorKind.SESSION,
  agent_session: AnchorKind.AGENT_SESSION,
  edge: AnchorKind.EDGE,
  jti: AnchorKind.JTI,
  application: AnchorKind.APPLICATION,
  subject: AnchorKind.SUBJECT,
  zone_key: AnchorKind.ZONE_KEY,
  zone: AnchorKind.ZONE,
};

interface RevocationRow {
  readonly number: string;
  readonly zone_id: string;
  readonly kind: string;
  readonly anchor: string;
  readonly reason: string;
  readonly revoked_at: Date;
  readonly incarnation: string;
}

function revocationFields(row: RevocationRow): NumberedFields {
  const number = int8(row.number);
  const message = create(RevocationSchema, {
    number: BigInt(number),
    zoneId: row.zone_id,
    kind: anchorKinds[row.kind] ?? AnchorKind.UNSPECIFIED,
    anchor: row.anchor,
    reason: row.reason,
    revokedAt: timestampFromDate(row.revoked_at),
  });
  const facts = {
    id: `${row.incarnation}:${number}`,
    dedupeKey: `revocation:${row.incarnation}:${number}`,
    occurredAtMs: row.revoked_at.getTime(),
    traceparent: undefined,
    data: toJsonString(RevocationSchema, message),
  };
  return { number, fields: numberedFields(facts, { incarnation: row.incarnation, number }) };
}

function revocationSource(): NumberedSource {
  const stream: StreamName = 'caracal.sessions.revoke';
  return {
    stream,
    unpublished: async (lead, limit) => {
      const rows = await lead.query<RevocationRow>(
        'SELECT number, zone_id, kind, anchor, reason, revoked_at, incarnation FROM sts.revocations_unpublished($1)',
        [limit],
      );
      return rows.map(revocationFields);
    },
    advance: async (lead, number) => {
      await lead.query('SELECT sts.outbox_advance($1, $2)', [stream, number]);
    },
    state: (lead) =>
      readState(lead, 'SELECT incarnation, head, unpublished_ms, database_time FROM sts_pub.revocation_head()', []),
  };
}
