// The document a policy decides on. It is a pure function of what is about to happen: no clock, randomness, request id
// or token id, so that the same question always has the same digest and the same answer.
import type { JsonObject } from '#mesh/failure';
import type { ActorClaim, MandateClaims } from '#mesh/mandate';
import type { AgentSession, DelegationPath } from './agent-session.ts';
import { lifecycleScope } from './audience.ts';
import { calendarInput } from './calendar.ts';
import type { Application, Resource, Zone } from './directory.ts';

/** The shape of the document; it changes when a path changes its meaning. */
const schemaVersion = '2026-11-01';

export type Action =
  | { readonly id: 'TokenExchange' | 'SessionMandate' | 'SessionLifecycle' | 'UserSession' }
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

/** What policy is asked for when a user signs in, so that policies by resource and scope can name it; no mandate has it. */
export const userSessionScope = 'user:session';

/** Stands in `input.resource` when a user signs in: the mandate that follows opens nothing by itself. */
export const userResource: DecidedResource = {
  type: 'Users',
  id: 'caracal:users',
  identifier: 'caracal:users',
  kind: 'users',
  scopes: [userSessionScope],
};

/** What policies know of a subject or an actor. */
export type SubjectFacts = Pick<MandateClaims, 'sub' | 'sub_type' | 'client_id' | 'zone_id' | 'scope' | 'act'>;

export interface DecisionQuestion {
  readonly zone: Zone;
  readonly application: Application;
  readonly resource: DecidedResource;
  readonly action: Action;
  /** The effective scopes that are about to be granted. */
  readonly requestedScopes: readonly string[];
  readonly session?: AgentSession | undefined;
  readonly path?: DelegationPath | undefined;
  readonly subject?: SubjectFacts | undefined;
  /** Of a user, by the names the registration of its issuer gives. */
  readonly userClaims?: JsonObject | undefined;
  /** Who acts for the subject. */
  readonly actor?: SubjectFacts | undefined;
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
    ...(session?.applicationId === application.id
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

/** The chain of actors by who they are; never by ids of tokens or records. */
function actInput(act: ActorClaim): JsonObject {
  return {
    sub: act.sub,
    ...(act.client_id === undefined ? {} : { client_id: act.client_id }),
    ...(act.agent_session_id === undefined ? {} : { agent_session_id: act.agent_session_id }),
    ...(act.act ? { act: actInput(act.act) } : {}),
  };
}

/** Claims as policy may see them: who, for whom and how far; never ids or times of the token itself. */
function claimsInput(claims: SubjectFacts, userClaims?: JsonObject): JsonObject {
  return {
    sub: claims.sub,
    sub_type: claims.sub_type,
    client_id: claims.client_id,
    zone_id: claims.zone_id,
    ...(claims.scope === undefined ? {} : { scope: claims.scope }),
    ...(claims.act ? { act: actInput(claims.act) } : {}),
    ...(userClaims && Object.keys(userClaims).length > 0 ? { claims: userClaims } : {}),
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
    actor_claims: {
      caracal_client_id: question.application.id,
      ...(question.actor ? claimsInput(question.actor) : {}),
    },
    ...(question.subject ? { subject_claims: claimsInput(question.subject, question.userClaims) } : {}),
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
