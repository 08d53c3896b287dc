// The JSON routes for plain HTTP users: a translation of bodies and paths into the messages of the contract and back. What a
// request may say is decided by the readers of those messages, what it does by the same flows.
import type { FastifyInstance } from 'fastify';
import { addAgentRoutes } from './agent-routes.ts';
import { addDelegationRoutes } from './delegation-routes.ts';
import type { JsonRoutesOptions } from './json-call.ts';

export function addJsonRoutes(app: FastifyInstance, options: JsonRoutesOptions): void {
  addAgentRoutes(app, options);
  addDelegationRoutes(app, options);
}
