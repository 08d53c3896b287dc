// What the Gateway writes into the ledger: its own decisions (refusals, reused allows), what came of a call, and cuts.
import { SYSTEM_ZONE } from '#mesh/ids';
import type { Failure, JsonObject } from '#mesh/failure';
import type { AuditEventDraft } from '#mesh/trail';
import type { Allowed } from '../../ports/authorizer.ts';
import type { Exchange } from './exchange.ts';

function common(exchange: Exchange): Pick<AuditEventDraft, 'zoneId' | 'requestId' | 'traceId'> {
  return {
    zoneId: exchange.zoneId ?? SYSTEM_ZONE,
    requestId: exchange.call.requestId,
    traceId: exchange.trace.traceId,
  };
}

/** Facts of the call by name. Never a credential, a query or a header value. */
function facts(exchange: Exchange): JsonObject {
  const { bearer, resource, route, call } = exchange;
  const claims = bearer?.mandate.claims;
  return {
    method: call.method,
    ...(exchange.policyPath === '' ? {} : { path: exchange.policyPath }),
    remote_address: call.remoteAddress,
    ...(resource === undefined ? {} : { resource: resource.identifier, resource_id: resource.id }),
    ...(resource === undefined && route?.kind === 'header' ? { resource: route.identifier } : {}),
    ...(claims === undefined
      ? {}
      : {
          application_id: claims.client_id,
          subject: claims.sub,
          jti: claims.jti,
          sid: claims.sid,
          use: claims.use,
          ...(claims.cnf === undefined ? {} : { cnf: { ...claims.cnf } }),
          ...(claims.agent_session_id === undefined ? {} : { agent_session_id: claims.agent_session_id }),
          ...(claims.delegation_edge_id === undefined ? {} : { delegation_edge_id: claims.delegation_edge_id }),
        }),
  };
}

/** A refusal that the Gateway decided, with more facts about it. */
export function refusalEvent(exchange: Exchange, failure: Failure, more: JsonObject): AuditEventDraft {
  return {
    ...common(exchange),
    eventType: 'gateway.decision',
    decision: 'deny',
    evaluationStatus: failure.reason,
    metadata: { ...facts(exchange), reason: failure.reason, ...more },
  };
}

/** An allow that the STS decided before and the Gateway gives again. */
export function reuseEvent(exchange: Exchange, verdict: Allowed): AuditEventDraft {
  return {
    ...common(exchange),
    eventType: 'gateway.decision',
    decision: 'allow',
    evaluationStatus: 'complete',
    policySetId: verdict.policySetId,
    policySetVersionId: verdict.policySetVersionId,
    manifestSha: verdict.policyDigest,
    inputDigest: verdict.inputDigest,
    metadata: {
      ...facts(exchange),
      scopes: [...verdict.scopes],
      reused: true,
      decided_by_event: verdict.eventId,
    },
  };
}

export interface Outcome {
  readonly status: number;
  readonly upstreamStatus: number | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly milliseconds: number;
  /** Absent when the answer was passed on whole. */
  readonly reason: string | undefined;
}

/** What came of a call that was allowed. Who called what stands in the decision that it is joined to. */
export function outcomeEvent(exchange: Exchange, outcome: Outcome): AuditEventDraft {
  const { bearer, resource, upstream } = exchange;
  return {
    ...common(exchange),
    eventType: 'gateway.outcome',
    metadata: {
      ...(bearer === undefined ? {} : { application_id: bearer.mandate.claims.client_id }),
      ...(resource === undefined ? {} : { resource: resource.identifier }),
      ...(upstream === undefined ? {} : { upstream_host: upstream.host }),
      status: outcome.status,
      ...(outcome.upstreamStatus === undefined ? {} : { upstream_status: outcome.upstreamStatus }),
      bytes_in: outcome.bytesIn,
      bytes_out: outcome.bytesOut,
      milliseconds: Math.round(outcome.milliseconds),
      ...(outcome.reason === undefined ? {} : { reason: outcome.reason }),
    },
  };
}

/** An answer that had begun and was ended by the Gateway. */
export function cutEvent(exchange: Exchange, reason: string): AuditEventDraft {
  return { ...common(exchange), eventType: 'stream.cut', metadata: { ...facts(exchange), reason } };
}
