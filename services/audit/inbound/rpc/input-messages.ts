// ReadInputs in the contract's words: the range as it was asked for, the batches as they go out.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ReadInputsRequest, ReadInputsResponseSchema } from '#gen/caracal/audit/v1/audit_pb';
import type { EventId, ZoneId } from '#mesh/ids';
import { parseFields } from '#mesh/rpc';
import type { InputBatch, InputRange } from '../../flows/read-inputs.ts';

/** Decisions a reading gives at most (audit.proto). */
const maxDecisions = 100_000;

function microsecondText(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : new Date(milliseconds).toISOString();
}

export function inputRange(request: ReadInputsRequest): InputRange {
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    since: microsecondText(fields.optionalTimestamp('since', request.since)),
    until: microsecondText(fields.optionalTimestamp('until', request.until)),
    eventId: fields.optionalId<EventId>('event_id', request.eventId),
    limit: fields.integer('limit', request.limit, { min: 0, max: maxDecisions }) || maxDecisions,
  }));
}

export function inputsMessage(batch: InputBatch): MessageInitShape<typeof ReadInputsResponseSchema> {
  return {
    decisions: batch.decisions.map(({ occurredAt, scopes, ...decision }) => ({
      ...decision,
      scopes: [...scopes],
      occurredAt: timestampFromDate(new Date(occurredAt)),
    })),
    inputs: batch.inputs.map((input) => ({ ...input })),
    withoutInput: BigInt(batch.withoutInput),
    cut: batch.cut,
  };
}
