// The document a policy decides on. It is a pure function of what is about to happen: no clock, randomness, request id
// or token id, so that the same question always has the same digest and the same answer.
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { MandateClaims } from '#mesh/mandate';
import type { AgentSession, DelegationPath } from './agent-session.ts';
import { lifecycleScope } from './audience.ts';
import { calendarInput } from './calendar.ts';
import type { Application, Resource, Zone } from './directory.ts';

/** The shape of the document; it changes when a path changes its meaning. */
const schemaVersion = '2026-11-01';

export type Action =
  | { readonly id: 'TokenExchange' | 'SessionMandate' | 'SessionLifecycle' }
  | { readonly id: 'GatewayCall'; readonly method: string; readonly path: string };

/** What is decided on: a resource, or session lifecycle, which belongs to the installation itself. */
export type DecidedResource = Pick<Resource, 'id' | 'identifier' | 'kind' | 'scopes'> & { readonly type: string };

/** Stands in `input.resource` when `agent:lifecycle` is asked for. */
export const lifecycleResource: DecidedResource = {
  type: 'Coordinator',
  id: 'caracal:coordinator',
  identifier: 'caracal:coordinator',
  kind: 'coordinator',
  scopes: [lifecycleScope],
};

export interface DecisionQuestion {
  readonly zone: Zone;
  readonly application: Application;
  readonly resource: DecidedResource;
  readonly action: Action;
  /** The effective scopes that are about to be granted. */
  readonly requestedScopes: readonly string[];
  readonly session?: AgentSession | undefined;
  readonly path?: DelegationPath | undefined;
  readonly subject?: MandateClaims | undefined;
  readonly nowMs: number;
}

function principal({ application, session }: DecisionQuestion): JsonObject {
  return {
    type: 'Application',
    id: application.id,
    zone_id: application.zoneId,
    name: application.name,
    credential_type: application.credentialType,
    registration_method: application.registrationMethod,
    traits: application.traits,
    labels: application.labels,
    ...(session
      ? { agent_session_id: session.id, agent_kind: session.kind, agent_depth: session.depth, lifecycle: session.kind }
      : {}),
  };
}

function delegationEdge(path: DelegationPath): JsonObject {
  const edge = path.edges.at(-1);
  if (!edge) return {};
  return {
    id: edge.id,
    source_session_id: edge.sourceSessionId,
    target_session_id: edge.targetSessionId,
    issuer_application_id: edge.issuerApplicationId,
    receiver_application_id: edge.receiverApplicationId,
    scopes: [...edge.scopes],
    resources: [...edge.resources],
    max_hops: edge.maxHops,
    path: path.edges.map(({ id }) => id),
    hop_count: path.edges.length,
  };
}

/** Claims as policy may see them: who, for whom and how far; never ids or times of the token itself. */
function claimsInput(claims: MandateClaims): JsonObject {
  const act: JsonValue | undefined = claims.act as JsonValue | undefined;
  return {
    sub: claims.sub,
    sub_type: claims.sub_type,
    client_id: claims.client_id,
    zone_id: claims.zone_id,
    ...(claims.scope === undefined ? {} : { scope: claims.scope }),
    ...(act === undefined ? {} : { act }),
  };
}

function sessionInput(session: AgentSession): JsonObject {
  return {
    id: session.id,
    kind: session.kind,
    depth: session.depth,
    ...(session.parentId === undefined ? {} : { parent_id: session.parentId }),
  };
}

function context(question: DecisionQuestion): JsonObject {
  const edge = question.path?.edges.at(-1);
  return {
    actor_claims: { caracal_client_id: question.application.id },
    ...(question.subject ? { subject_claims: claimsInput(question.subject) } : {}),
    ...(question.session ? { agent_session_id: question.session.id } : {}),
    ...(edge ? { delegation_edge_id: edge.id } : {}),
    challenge_resolved: false,
    requested_scopes: [...question.requestedScopes],
  };
}

/** `input` for one evaluation. */
export function decisionInput(question: DecisionQuestion): JsonObject {
  const { resource, session, path } = question;
  const calendar = calendarInput(question.zone.calendar, question.nowMs);
  return {
    schema_version: schemaVersion,
    principal: principal(question),
    resource: {
      type: resource.type,
      id: resource.id,
      identifier: resource.identifier,
      kind: resource.kind,
      scopes: [...resource.scopes],
    },
    action: { ...question.action },
    ...(session ? { session: sessionInput(session) } : {}),
    ...(path ? { delegation_edge: delegationEdge(path) } : {}),
    context: context(question),
    ...(calendar ? { calendar } : {}),
  };
}
