// Reads the Coordinator's messages against the rules that stand beside their fields in the contract.
import type {
  CreateDelegationRequest,
  EndSessionRequest,
  GetSessionRequest,
  ListSessionsRequest,
  RenewSessionMandateRequest,
  RevokeDelegationRequest,
  StartSessionRequest,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import { SessionKind, SessionState as WireState } from '#gen/caracal/coordinator/v1/coordinator_pb';
import type { AgentSessionId, ApplicationId, EdgeId, ZoneId } from '#mesh/ids';
import { type FieldReader, parseFields } from '#mesh/rpc';
import type { SessionState } from '../../domain/agent-session.ts';
import { maxHopsCap } from '../../domain/delegation-graph.ts';
import type { CreateDelegation } from '../../flows/create-delegation.ts';
import type { RenewMandate } from '../../flows/renew-session-mandate.ts';
import type { StartSession } from '../../flows/start-session.ts';

/** A day: longer work renews, so that nothing forgotten lives on. */
const maxTtlSeconds = 86_400;
/** RFC 6749 §3.3 scope-token. */
const scopePattern = /^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/;
/** Resource identifiers are printable text; 512 is what the API accepts. */
const resourcePattern = /^[\x21-\x7e]{1,512}$/;
const maxNames = 64;
const maxLabels = 32;
const maxReason = 256;
/** How long a call waits at the barrier when its client names no time. */
const barrierDeadlineMs = 10_000;
/** Of a client's time, the part spent waiting; the rest is for saying which points are missing. */
const waitingShare = 0.8;

/** How long to wait at the barrier for a client that gives up after `remainingMs`. */
export function barrierWaitMs(wantedMs: number, remainingMs: number | undefined): number {
  return Math.min(wantedMs, (remainingMs ?? Infinity) * waitingShare);
}

const scopes = (fields: FieldReader, values: readonly string[], min = 0): string[] =>
  fields.list('scopes', values, {
    min,
    max: maxNames,
    each: (at, value) => fields.text(at, value, { max: 200, pattern: scopePattern, rule: 'a scope (RFC 6749 §3.3)' }),
  });

const resources = (fields: FieldReader, path: string, values: readonly string[]): string[] =>
  fields.list(path, values, {
    max: maxNames,
    each: (at, value) => fields.text(at, value, { max: 512, pattern: resourcePattern, rule: 'a resource identifier' }),
  });

/** RFC 7638 §3: SHA-256 in base64url. */
const thumbprint = { min: 43, max: 43, pattern: /^[A-Za-z0-9_-]+$/, rule: 'a SHA-256 thumbprint in base64url' };

const unique = (values: readonly string[]): string[] => [...new Set(values)].toSorted();

function labels(fields: FieldReader, values: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(values);
  if (entries.length > maxLabels) fields.refuse('labels', `at most ${maxLabels} labels`);
  for (const [key, value] of entries.slice(0, maxLabels)) {
    fields.text('labels', key, { max: 64 });
    fields.text('labels', value, { min: 0, max: 64 });
  }
  return Object.fromEntries(entries);
}

export function readStart(request: StartSessionRequest): StartSession {
  return parseFields((fields) => {
    if (request.kind !== SessionKind.UNSPECIFIED && request.kind !== SessionKind.INSTANCE) {
      fields.refuse('kind', 'SESSION_KIND_INSTANCE');
    }
    return {
      zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
      applicationId: fields.id<ApplicationId>('application_id', request.applicationId),
      parentId: fields.optionalId<AgentSessionId>('parent_id', request.parentId),
      ttlSeconds: fields.integer('ttl_seconds', request.ttlSeconds, { min: 0, max: maxTtlSeconds }),
      scopes: unique(scopes(fields, request.scopes)),
      resources: unique(resources(fields, 'resources', request.resources)),
      passLifecycle: request.passLifecycle,
      mandate: request.mandate,
      idempotencyKey: fields.optionalId('idempotency_key', request.idempotencyKey),
      dpopJkt: fields.optionalText('dpop_jkt', request.dpopJkt, thumbprint),
      labels: labels(fields, request.labels),
    };
  });
}

export function readRenew(request: RenewSessionMandateRequest): { zoneId: ZoneId; renew: RenewMandate } {
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    renew: {
      sessionId: fields.id<AgentSessionId>('session_id', request.sessionId),
      edgeId: fields.optionalId<EdgeId>('delegation_edge_id', request.delegationEdgeId),
      scopes: unique(scopes(fields, request.scopes)),
      resources: unique(resources(fields, 'resources', request.resources)),
      ttlSeconds: fields.integer('ttl_seconds', request.ttlSeconds, { min: 0, max: maxTtlSeconds }),
      dpopJkt: fields.optionalText('dpop_jkt', request.dpopJkt, thumbprint),
    },
  }));
}

export function readEnd(request: EndSessionRequest) {
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    end: {
      sessionId: fields.id<AgentSessionId>('session_id', request.sessionId),
      reason: fields.optionalText('reason', request.reason, { max: maxReason }) ?? 'requested',
      waitApplied: request.waitApplied,
      deadlineMs: barrierDeadlineMs,
    },
  }));
}

export function readGet(request: GetSessionRequest): { zoneId: ZoneId; sessionId: AgentSessionId } {
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    sessionId: fields.id<AgentSessionId>('session_id', request.sessionId),
  }));
}

const states: Readonly<Record<number, SessionState>> = {
  [WireState.ACTIVE]: 'active',
  [WireState.SUSPENDED]: 'suspended',
  [WireState.TERMINATED]: 'terminated',
  [WireState.EXPIRED]: 'expired',
};

/** `isCursor` tells whether a text was given by an earlier page. */
export function readList(request: ListSessionsRequest, isCursor: (cursor: string) => boolean) {
  return parseFields((fields) => {
    if (request.cursor !== '' && !isCursor(request.cursor)) fields.refuse('cursor', 'next_cursor of an earlier page');
    return {
      zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
      page: {
        limit: fields.integer('limit', request.limit, { min: 0, max: 500 }) || 100,
        cursor: request.cursor === '' ? undefined : request.cursor,
        states: fields.list('states', request.states, {
          max: 4,
          each: (at, value): SessionState => {
            const state = states[value];
            if (state === undefined) fields.refuse(at, 'a state of a session');
            return state ?? 'active';
          },
        }),
      },
    };
  });
}

export function readCreate(request: CreateDelegationRequest): CreateDelegation {
  const { constraints } = request;
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    sourceSessionId: fields.id<AgentSessionId>('source_session_id', request.sourceSessionId),
    targetSessionId: fields.id<AgentSessionId>('target_session_id', request.targetSessionId),
    parentEdgeId: fields.optionalId<EdgeId>('parent_edge_id', request.parentEdgeId),
    scopes: unique(scopes(fields, request.scopes, 1)),
    resources: unique(resources(fields, 'constraints.resources', constraints?.resources ?? [])),
    maxHops: fields.integer('constraints.max_hops', constraints?.maxHops ?? 0, { min: 0, max: maxHopsCap }) || 1,
    mandateTtlSeconds:
      fields.integer('constraints.ttl_seconds', constraints?.ttlSeconds ?? 0, { min: 0, max: maxTtlSeconds }) ||
      undefined,
    ttlSeconds: fields.integer('ttl_seconds', request.ttlSeconds, { min: 1, max: maxTtlSeconds }),
    mandate: request.mandate,
    idempotencyKey: fields.optionalId('idempotency_key', request.idempotencyKey),
    dpopJkt: fields.optionalText('dpop_jkt', request.dpopJkt, thumbprint),
  }));
}

export function readRevoke(request: RevokeDelegationRequest) {
  return parseFields((fields) => ({
    zoneId: fields.id<ZoneId>('zone_id', request.zoneId),
    revoke: {
      edgeId: fields.id<EdgeId>('edge_id', request.edgeId),
      reason: fields.optionalText('reason', request.reason, { max: maxReason }) ?? 'requested',
      waitApplied: request.waitApplied,
      deadlineMs: barrierDeadlineMs,
    },
  }));
}
