// The Coordinator over mutual TLS, on behalf of an administrator.
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { createClient, type Transport } from '@connectrpc/connect';
import {
  type AgentSession as WireSession,
  CoordinatorService,
  SessionKind,
  SessionState,
} from '#gen/caracal/coordinator/v1/coordinator_pb';
import { fail } from '#mesh/failure';
import { outgoing } from '#mesh/rpc';
import { microsecondTextOfMs } from '#mesh/time';
import type { AgentSession, AgentSessions } from '../../ports/agent-sessions.ts';
import type { CallFacts } from '../../ports/control-store.ts';
import { peerFailure } from './peer-failure.ts';

const timeoutMs = 5_000;
/** The Coordinator waits 10 s for the barrier. */
const endTimeoutMs = 15_000;

const stateNumbers: Readonly<Record<string, SessionState>> = {
  active: SessionState.ACTIVE,
  suspended: SessionState.SUSPENDED,
  terminated: SessionState.TERMINATED,
  expired: SessionState.EXPIRED,
};
const stateNames = new Map(Object.entries(stateNumbers).map(([name, number]) => [number, name]));

export function createAgentSessions(transport: Transport): AgentSessions {
  const client = createClient(CoordinatorService, transport);
  const call = async <T>(
    facts: CallFacts,
    ask: (options: ReturnType<typeof outgoing>) => Promise<T>,
    ms = timeoutMs,
  ) => {
    const { requestId, traceparent } = facts;
    try {
      return await ask(outgoing({ requestId, traceparent, timeoutMs: ms }));
    } catch (error) {
      throw peerFailure(error, 'coordinator_unavailable');
    }
  };
  return {
    list: async (zoneId, { limit, cursor, states }, facts) => {
      const wanted = states.map((state) => stateNumbers[state] ?? SessionState.UNSPECIFIED);
      const request = { zoneId, limit, cursor: cursor ?? '', states: wanted };
      const page = await call(facts, (options) => client.listSessions(request, options));
      return {
        items: page.sessions.map(sessionOf),
        nextCursor: page.nextCursor === '' ? undefined : page.nextCursor,
      };
    },
    get: async (zoneId, sessionId, facts) => {
      const { session } = await call(facts, (options) => client.getSession({ zoneId, sessionId }, options));
      if (session === undefined) throw fail('not_found');
      return sessionOf(session);
    },
    end: async (end, facts) => {
      const ended = await call(facts, (options) => client.endSession(end, options), endTimeoutMs);
      const { barrier } = ended;
      return {
        endedSessionIds: ended.endedSessionIds,
        revokedEdgeIds: ended.revokedEdgeIds,
        revocationNumber: Number(ended.revocationNumber),
        ...(barrier === undefined
          ? {}
          : {
              barrier: {
                applied: barrier.applied,
                points: barrier.points,
                gone: barrier.gone,
                elapsedMs: barrier.elapsedMs,
              },
            }),
      };
    },
  };
}

function sessionOf(session: WireSession): AgentSession {
  return {
    id: session.id,
    zoneId: session.zoneId,
    applicationId: session.applicationId,
    parentId: session.parentId === '' ? undefined : session.parentId,
    kind: session.kind === SessionKind.INSTANCE ? 'instance' : 'unknown',
    state: stateNames.get(session.state) ?? 'unknown',
    depth: session.depth,
    scopes: session.scopes,
    resources: session.resources,
    startedAt: timeOf(session.startedAt),
    expiresAt: timeOf(session.expiresAt),
    endedAt: timeOf(session.endedAt),
  };
}

function timeOf(time: Timestamp | undefined): string | undefined {
  return time === undefined ? undefined : microsecondTextOfMs(timestampMs(time));
}
