// CoordinatorService: one handler a call, each reading its message, naming its caller and running one flow.
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { CoordinatorService } from '#gen/caracal/coordinator/v1/coordinator_pb';
import { callerOf, callFactsOf } from '#mesh/rpc';
import type { ProvenMandate } from '#mesh/mandate';
import type { CoordinatorFlows, Facts } from './bound-flows.ts';
import { callerFor, mandateCallerFor } from './callers.ts';
import { barrierWaitMs, readCreate, readEnd, readGet, readList, readRenew, readRevoke, readStart } from './requests.ts';
import { barrierMessage, edgeMessage, mandateMessage, sessionMessage } from './answers.ts';

export interface CoordinatorServiceOptions {
  readonly flows: CoordinatorFlows;
  readonly issuer: string;
  readonly isCursor: (cursor: string) => boolean;
}

export function createCoordinatorService(options: CoordinatorServiceOptions): ServiceImpl<typeof CoordinatorService> {
  return { ...sessionCalls(options), ...delegationCalls(options) };
}

const callerIn = (context: HandlerContext) => callerOf<ProvenMandate>(context);

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
      const caller = mandateCallerFor(callerIn(context), start.zoneId, issuer);
      const { session, mandate } = await flows.startSession({ caller, start }, factsOf(context));
      return {
        session: sessionMessage(session),
        ...(mandate === undefined ? {} : { mandate: mandateMessage(mandate) }),
      };
    },
    renewSessionMandate: async (request, context) => {
      const { zoneId, renew } = readRenew(request);
      const caller = mandateCallerFor(callerIn(context), zoneId, issuer);
      return { mandate: mandateMessage(await flows.renewSessionMandate({ caller, renew }, factsOf(context))) };
    },
    endSession: async (request, context) => {
      const { zoneId, end } = readEnd(request);
      const caller = callerFor(callerIn(context), zoneId, issuer);
      const deadlineMs = barrierWaitMs(end.deadlineMs, context.timeoutMs());
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
      return {
        session: sessionMessage(await flows.getSession(callerFor(callerIn(context), zoneId, issuer), sessionId)),
      };
    },
    listSessions: async (request, context) => {
      const { zoneId, page } = readList(request, isCursor);
      const found = await flows.listSessions(callerFor(callerIn(context), zoneId, issuer), page);
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
      const caller = mandateCallerFor(callerIn(context), create.zoneId, issuer);
      const { edge, epoch, mandate } = await flows.createDelegation({ caller, create }, factsOf(context));
      return {
        edge: edgeMessage(edge),
        epoch: BigInt(epoch),
        ...(mandate === undefined ? {} : { mandate: mandateMessage(mandate) }),
      };
    },
    revokeDelegation: async (request, context) => {
      const { zoneId, revoke } = readRevoke(request);
      const caller = callerFor(callerIn(context), zoneId, issuer);
      const deadlineMs = barrierWaitMs(revoke.deadlineMs, context.timeoutMs());
      const revoked = await flows.revokeDelegation({ caller, revoke: { ...revoke, deadlineMs } }, factsOf(context));
      return {
        revokedEdgeIds: [...revoked.edgeIds],
        revocationNumber: BigInt(revoked.revocationNumber),
        ...(revoked.barrier === undefined ? {} : { barrier: barrierMessage(revoked.barrier) }),
      };
    },
  };
}
