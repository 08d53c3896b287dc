// What a hold is bound to: exactly what will be done once it is approved. Anything that differs at the retry is another
// action, which nobody has approved.
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import type { ActorClaim, MandateClaims } from '#mesh/mandate';
import type { AgentSession, DelegationPath } from './agent-session.ts';
import type { HoldRule } from './hold-rule.ts';

/** What is asked for, in the terms of the place that was asked. */
export type HeldOperation =
  | { readonly kind: 'token_exchange'; readonly use: 'ambient' | 'per_call' }
  | {
      readonly kind: 'gateway_call';
      readonly method: string;
      /** As policy sees it, without query. */
      readonly path: string;
      /** SHA-256, hex, of what the path does not say: the query as received, or a tool's arguments; '' without any. */
      readonly argumentsDigest: string;
    };

/** One resource of what will be done, with the scopes it is done with. */
export interface HeldTarget {
  readonly resource: string;
  readonly scopes: readonly string[];
}

export interface HeldPrincipal {
  readonly subject: string;
  readonly subjectType: 'user' | 'application';
  /** Who acts for the subject, nearest first; empty when the subject acts itself. */
  readonly actors: readonly string[];
}

/** Everything that makes two requests the same action. */
export interface HeldAction {
  readonly zoneId: string;
  readonly applicationId: string;
  readonly principal: HeldPrincipal;
  /** Absent members are bound as absent: without any session the action is one of the application itself. */
  readonly session: {
    readonly sid?: string | undefined;
    readonly agentSessionId?: string | undefined;
    readonly delegationEdgeId?: string | undefined;
  };
  readonly targets: readonly HeldTarget[];
  readonly operation: HeldOperation;
  /** Digest of the policy-set version that held it. */
  readonly policyDigest: string;
  /** What was asked for: an approval of a weaker kind is no approval of a stronger one. */
  readonly rule: Pick<HoldRule, 'type' | 'approvers'>;
}

function operationOf(operation: HeldOperation): JsonObject {
  return operation.kind === 'token_exchange'
    ? { kind: operation.kind, use: operation.use }
    : {
        kind: operation.kind,
        method: operation.method,
        path: operation.path,
        arguments_digest: operation.argumentsDigest,
      };
}

/** The order of resources and scopes says nothing; identifiers and scopes are compared exactly, as everywhere. */
function targetsOf(targets: readonly HeldTarget[]): JsonObject[] {
  return targets
    .map(({ resource, scopes }) => ({ resource, scopes: [...new Set(scopes)].toSorted() }))
    .toSorted((a, b) => (a.resource < b.resource ? -1 : 1));
}

/** SHA-256, hex, over the canonical form: equal exactly when nothing of the action differs. */
export function bindingDigest(action: HeldAction): string {
  const { principal, session } = action;
  return sha256Hex(
    canonicalJson({
      zone: action.zoneId,
      application: action.applicationId,
      principal: { sub: principal.subject, sub_type: principal.subjectType, actors: [...principal.actors] },
      session: {
        sid: session.sid ?? '',
        agent_session: session.agentSessionId ?? '',
        edge: session.delegationEdgeId ?? '',
      },
      targets: targetsOf(action.targets),
      operation: operationOf(action.operation),
      policy: action.policyDigest,
      rule: { type: action.rule.type, approvers: action.rule.approvers ? [...action.rule.approvers] : null },
    }),
  );
}

/** RFC 8693 §4.1: actors nest, the current one outermost. Bounded like the claim itself. */
export function actorsOf(claims: Pick<MandateClaims, 'act'> | undefined): readonly string[] {
  return nested(claims).map(({ sub }) => sub);
}

function nested(claims: Pick<MandateClaims, 'act'> | undefined): readonly ActorClaim[] {
  const actors: ActorClaim[] = [];
  for (let actor = claims?.act; actor !== undefined && actors.length < maxActors; actor = actor.act) actors.push(actor);
  return actors;
}

/** mesh/mandate reads no deeper nesting. */
const maxActors = 16;

/** Where the request's authority comes from, for who may not approve it. */
export interface HeldChain {
  readonly applicationId: string;
  readonly claims: Pick<MandateClaims, 'sub' | 'client_id' | 'act' | 'delegation_chain'> | undefined;
  readonly session: AgentSession | undefined;
  readonly path: DelegationPath | undefined;
}

/**
 * Everyone who is part of the request's chain: nobody approves what is done in their own name. A user counts under the
 * installation's name of them and under their issuer's own.
 */
export function chainOf({ applicationId, claims, session, path }: HeldChain): readonly string[] {
  const named = [
    applicationId,
    ...(claims ? [claims.sub, claims.client_id] : []),
    ...nested(claims).flatMap(({ sub, client_id: client }) => (client === undefined ? [sub] : [sub, client])),
    ...(claims?.delegation_chain ?? []).map(({ app }) => app),
    ...(session ? [session.applicationId] : []),
    ...(path?.edges ?? []).flatMap((edge) => [edge.issuerApplicationId, edge.receiverApplicationId]),
  ];
  return [...new Set(named.flatMap((name) => [name, ...issuersOwn(name)]))].toSorted();
}

/** `user:<issuer id>:<sub>` (authority.md "Users"); the issuer's own sub may hold colons itself. */
function issuersOwn(name: string): readonly string[] {
  const own = /^user:[^:]+:(.+)$/s.exec(name)?.[1];
  return own === undefined ? [] : [own];
}
