// Every HTTP route of the STS beside health, readiness and metrics: what clients send forms to, and what anyone may read.
import type { FastifyInstance } from 'fastify';
import { addPublishedRoutes } from './published-routes.ts';
import type { PublishedDeps } from './published-routes.ts';
import { addStepUpRoutes } from './step-up.ts';
import { addTokenEndpoint } from './token-endpoint.ts';
import type { TokenEndpointDeps } from './token-endpoint.ts';
import { addTokenQuestionEndpoints } from './token-question-endpoints.ts';
import type { TokenQuestionDeps } from './token-question-endpoints.ts';

export type EndpointDeps = TokenEndpointDeps &
  TokenQuestionDeps &
  Parameters<typeof addStepUpRoutes>[1] &
  PublishedDeps;

/** Adds them all. */
export async function addEndpoints(app: FastifyInstance, deps: EndpointDeps): Promise<void> {
  await addTokenEndpoint(app, deps);
  await addTokenQuestionEndpoints(app, deps);
  await addStepUpRoutes(app, deps);
  addPublishedRoutes(app, deps);
}
