// Recorded decisions over mutual TLS, as Audit streams them from the ledger.
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { createClient, type Transport } from '@connectrpc/connect';
import { AuditService, type ReadInputsResponse } from '#gen/caracal/audit/v1/audit_pb';
import { outgoing } from '#mesh/rpc';
import type { RecordedBatch, RecordedDecision } from '../../domain/replay-summary.ts';
import type { RecordedDecisions } from '../../ports/policy-trials.ts';
import { peerFailure } from './peer-failure.ts';

function batchOf({ decisions, inputs, withoutInput, cut }: ReadInputsResponse): RecordedBatch {
  return {
    decisions: decisions.map(
      ({ eventId, decision, evaluationStatus, inputDigest, policyDigest, applicationId, resource, scopes }) => ({
        eventId,
        decision:
          decision === 'allow' || decision === 'hold' ? decision : ('deny' satisfies RecordedDecision['decision']),
        evaluationStatus,
        inputDigest,
        policyDigest,
        applicationId,
        resource,
        scopes,
      }),
    ),
    inputs,
    withoutInput: Number(withoutInput),
    cut,
  };
}

export function createRecordedDecisions(transport: Transport): RecordedDecisions {
  const client = createClient(AuditService, transport);
  return {
    async *read({ zoneId, sinceMs, untilMs, eventId, limit }, { facts: { requestId, traceparent }, signal }) {
      const request = {
        zoneId,
        ...(sinceMs === undefined ? {} : { since: timestampFromMs(sinceMs) }),
        ...(untilMs === undefined ? {} : { until: timestampFromMs(untilMs) }),
        eventId: eventId ?? '',
        limit,
      };
      try {
        for await (const response of client.readInputs(request, outgoing({ requestId, traceparent, signal }))) {
          yield batchOf(response);
        }
      } catch (error) {
        throw peerFailure(error, 'audit_unavailable', 'The ledger cannot be read at the moment.');
      }
    },
  };
}
