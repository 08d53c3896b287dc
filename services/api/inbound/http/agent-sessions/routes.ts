// Agent sessions over HTTP: the Coordinator's, as an administrator sees and ends them.
import type { ApiFlows } from '../../../flows/bind-flows.ts';
import { type Router, addRoute, pageAnswer, pageQueryOf } from '../route.ts';
import * as form from '../schemas.ts';
import { toWire } from '../wire-names.ts';
import { AgentSession, EndSession, Ended, ListQuery, WaitQuery, sessionParams } from './schemas.ts';

const tag = 'agent sessions';
const base = '/v1/zones/:zone_id/agent-sessions';
const one = `${base}/:session_id`;
const read = { tag, access: 'read', reach: 'zone' } as const;

export function addAgentSessionRoutes(router: Router, flows: ApiFlows['agentSessions']): void {
  addRoute(router, {
    ...{ ...read, method: 'GET', url: base },
    summary: 'List agent sessions of the zone',
    params: form.zoneParams,
    query: ListQuery,
    response: { 200: form.pageOf(AgentSession) },
    handle: async ({ zone, query }) => {
      const states = query.state === undefined ? [] : [query.state];
      return pageAnswer(await flows.page(zone, { ...pageQueryOf(query), states }));
    },
  });
  addRoute(router, {
    ...{ ...read, method: 'GET', url: one },
    summary: 'Read an agent session',
    params: sessionParams,
    response: { 200: AgentSession },
    handle: async ({ zone, params }) => ({ status: 200, body: toWire(await flows.get(zone, params.session_id)) }),
  });
  addRoute(router, {
    ...{ method: 'POST', url: `${one}/end`, tag, access: 'write', reach: 'zone' },
    summary: 'End a session and everything below it',
    params: sessionParams,
    query: WaitQuery,
    body: EndSession,
    bodyOptional: true,
    response: { 200: Ended },
    handle: async ({ zone, params, query, body }) => {
      const ended = await flows.end(zone, {
        sessionId: params.session_id,
        reason: body.reason ?? 'ended by an administrator',
        waitApplied: query.wait !== undefined,
      });
      const { barrier } = ended;
      return {
        status: 200,
        body: { ...toWire(ended), ...(barrier === undefined ? {} : { barrier: toWire(barrier) }) },
      };
    },
  });
}
