// CoordinatorService: one handler a call, each reading its message, naming its caller and running one flow.
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { callFactsOf } from '#mesh/rpc';
import type { Caller, MandateCaller } from '../../domain/caller.ts';
import type { CreateDelegation, CreatedDelegation } from '../../flows/create-delegation.ts';
import type { EndedSessions, EndSession } from '../../flows/end-session.ts';
import type { RenewMandate } from '../../flows/renew-session-mandate.ts';
import type { RevokeDelegation, RevokedEdges } from '../../flows/revoke-delegation.ts';
import type { StartedSession, StartSession } from '../../flows/start-session.ts';
import type { AgentSession, SessionState } from '../../domain/agent-session.ts';
import type { AgentSessionId } from '#mesh/ids';
import { barrierMessage, edgeMessage, mandateMessage, sessionMessage } from './answers.ts';
import { callerFor, mandateCallerFor } from './callers.ts';
import { readCreate, readEnd, readGet, readList, readRenew, readRevoke, readStart } from './requests.ts';

/** Facts of a call that flows carry into log and ledger. */
export interface Facts {
  readonly requestId: string;
  readonly traceId: string | undefined;
  readonly traceparent: string | undefined;
}

interface Page {
  readonly sessions: readonly AgentSession[];
  readonly nextCursor: string | undefined;
}

/** The flows, bound to their dependencies. */
export interface CoordinatorFlows {
  startSession(request: { caller: MandateCaller; start: StartSession }, facts: Facts): Promise<StartedSession>;
  renewSessionMandate(
    request: { caller: MandateCaller; renew: RenewMandate },
    facts: Facts,
  ): Promise<NonNullable<StartedSession['mandate']>>;
  endSession(request: { caller: Caller; end: EndSession }, facts: Facts): Promise<EndedSessions>;
  getSession(caller: Caller, sessionId: AgentSessionId): Promise<AgentSession>;
  listSessions(
    caller: Caller,
    page: { limit: number; cursor: string | undefined; states: readonly SessionState[] },
  ): Promise<Page>;
  createDelegation(
    request: { caller: MandateCaller; create: CreateDelegation },
    facts: Facts,
  ): Promise<CreatedDelegation>;
  revokeDelegation(request: { caller: Caller; revoke: RevokeDelegation }, facts: Facts): Promise<RevokedEdges>;
}

export interface CoordinatorServiceOptions {
  readonly flows: CoordinatorFlows;
  readonly issuer: string;
  readonly isCursor: (cursor: string) => boolean;
}

export function createCoordinatorService(options: CoordinatorServiceOptions): ServiceImpl<typeof CoordinatorService> {
  return { ...sessionCalls(options), ...delegationCalls(options) };
}

function factsOf(context: HandlerContext): Facts {
  const { requestId, trace } = callFactsOf(context);
  return { requestId, traceId: trace.traceId, traceparent: trace.traceparent };
}

type SessionCalls = 'startSession' | 'renewSessionMandate' | 'endSession' | 'getSession' | 'listSessions';

function sessionCalls(options: CoordinatorServiceOptions): Pick<ServiceImpl<typeof CoordinatorService>, SessionCalls> {
  const { flows, issuer, isCursor } = options;
  return {
    startSession: async (request, context) => {
      const start = readStart(request);
      const caller = mandateCallerFor(context, start.zoneId, issuer);
      const { session, mandate } = await flows.startSession({ caller, start }, factsOf(context));
      return {
        session: sessionMessage(session),
        ...(mandate === undefined ? {} : { mandate: mandateMessage(mandate) }),
      };
    },
    renewSessionMandate: async (request, context) => {
      const { zoneId, renew } = readRenew(request);
      const caller = mandateCallerFor(context, zoneId, issuer);
      return { mandate: mandateMessage(await flows.renewSessionMandate({ caller, renew }, factsOf(context))) };
    },
    endSession: async (request, context) => {
      const { zoneId, end } = readEnd(request);
      const caller = callerFor(context, zoneId, issuer);
      const deadlineMs = Math.min(end.deadlineMs, context.timeoutMs() ?? Infinity);
      const ended = await flows.endSession({ caller, end: { ...end, deadlineMs } }, factsOf(context));
      return {
        endedSessionIds: [...ended.sessionIds],
        revokedEdgeIds: [...ended.edgeIds],
        revocationNumber: BigInt(ended.revocationNumber),
        ...(ended.barrier === undefined ? {} : { barrier: barrierMessage(ended.barrier) }),
      };
    },
    getSession: async (request, context) => {
      const { zoneId, sessionId } = readGet(request);
      return { session: sessionMessage(await flows.getSession(callerFor(context, zoneId, issuer), sessionId)) };
    },
    listSessions: async (request, context) => {
      const { zoneId, page } = readList(request, isCursor);
      const found = await flows.listSessions(callerFor(context, zoneId, issuer), page);
      return { sessions: found.sessions.map(sessionMessage), nextCursor: found.nextCursor ?? '' };
    },
  };
}

type DelegationCalls = 'createDelegation' | 'revokeDelegation';

function delegationCalls(
  options: CoordinatorServiceOptions,
): Pick<ServiceImpl<typeof CoordinatorService>, DelegationCalls> {
  const { flows, issuer } = options;
  return {
    createDelegation: async (request, context) => {
      const create = readCreate(request);
      const caller = mandateCallerFor(context, create.zoneId, issuer);
      const { edge, epoch, mandate } = await flows.createDelegation({ caller, create }, factsOf(context));
      return {
        edge: edgeMessage(edge),
        epoch: BigInt(epoch),
        ...(mandate === undefined ? {} : { mandate: mandateMessage(mandate) }),
      };
    },
    revokeDelegation: async (request, context) => {
      const { zoneId, revoke } = readRevoke(request);
      const caller = callerFor(context, zoneId, issuer);
      const deadlineMs = Math.min(revoke.deadlineMs, context.timeoutMs() ?? Infinity);
      const revoked = await flows.revokeDelegation({ caller, revoke: { ...revoke, deadlineMs } }, factsOf(context));
      return {
        revokedEdgeIds: [...revoked.edgeIds],
        revocationNumber: BigInt(revoked.revocationNumber),
        ...(revoked.barrier === undefined ? {} : { barrier: barrierMessage(revoked.barrier) }),
      };
    },
  };
}
