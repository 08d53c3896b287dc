// Decides whether a session may start and what it holds: the narrowing of a start, without storage or clock.
import { earliestExpiry, intersect, narrowScopes } from '#mesh/authority';
import type { AgentSessionId, ApplicationId } from '#mesh/ids';
import { type AgentSession, isLive, lifecycleScope } from './agent-session.ts';

/** The caller as far as a start depends on it: what its mandate says, already verified. */
export interface StartingCaller {
  readonly clientId: ApplicationId;
  /** The session the mandate is bound to; undefined for a mandate of the application itself. */
  readonly agentSessionId: AgentSessionId | undefined;
  readonly scopes: readonly string[];
  readonly resources: readonly string[];
}

export interface StartWish {
  readonly applicationId: ApplicationId;
  readonly parentId: AgentSessionId | undefined;
  /** Undefined means all that the caller and the parent hold. */
  readonly scopes: readonly string[] | undefined;
  readonly resources: readonly string[] | undefined;
  readonly ttlSeconds: number;
  readonly passLifecycle: boolean;
}

export interface StartLimits {
  readonly maxDepth: number;
}

export type StartVerdict =
  | {
      readonly kind: 'granted';
      readonly scopes: readonly string[];
      readonly resources: readonly string[];
      readonly depth: number;
      readonly expiresAtMs: number;
      readonly passLifecycle: boolean;
    }
  | {
      readonly kind: 'refused';
      readonly reason:
        'permission_denied' | 'session_not_live' | 'session_depth_limit' | 'invalid_scope' | 'invalid_target';
      readonly why: string;
    };

function refused(reason: Extract<StartVerdict, { kind: 'refused' }>['reason'], why: string): StartVerdict {
  return { kind: 'refused', reason, why };
}

/**
 * A session is started by its parent's mandate, a root by a mandate of the application that is bound to no session. An agent
 * can therefore not leave the tree that its parent's end takes down, and every session's mandate is minted on its parent's.
 */
function placement(caller: StartingCaller, wish: StartWish, parent: AgentSession | undefined): string | undefined {
  if (caller.clientId !== wish.applicationId) return 'a session runs as the application of its caller';
  if (caller.agentSessionId !== wish.parentId)
    return 'a child is started with the mandate of its parent, a root with one bound to no session';
  if (parent !== undefined && parent.applicationId !== caller.clientId)
    return 'the parent belongs to another application';
  return undefined;
}

/** Decides a start. `parent` is the stored parent when the wish names one and it exists. */
export function decideStart(
  input: { caller: StartingCaller; wish: StartWish; parent: AgentSession | undefined },
  limits: StartLimits,
  nowMs: number,
): StartVerdict {
  const { caller, wish, parent } = input;
  if (wish.parentId !== undefined && (parent === undefined || !isLive(parent, nowMs))) {
    return refused('session_not_live', 'the parent session is not live');
  }
  const misplaced = placement(caller, wish, parent);
  if (misplaced !== undefined) return refused('permission_denied', misplaced);
  const depth = parent === undefined ? 0 : parent.depth + 1;
  if (depth > limits.maxDepth) return refused('session_depth_limit', `sessions nest at most ${limits.maxDepth} deep`);
  const held = holding(caller, wish, parent);
  if ('kind' in held) return held;
  const passLifecycle = wish.passLifecycle && caller.scopes.includes(lifecycleScope);
  const expiresAtMs = earliestExpiry(nowMs + wish.ttlSeconds * 1000, parent?.expiresAtMs);
  return { kind: 'granted', ...held, depth, expiresAtMs, passLifecycle };
}

const withoutLifecycle = (scopes: readonly string[]): readonly string[] =>
  scopes.filter((scope) => scope !== lifecycleScope);

/** What the session will hold: never more than its caller's mandate, nor than its parent. */
function holding(
  caller: StartingCaller,
  wish: StartWish,
  parent: AgentSession | undefined,
): { scopes: readonly string[]; resources: readonly string[] } | StartVerdict {
  const parents = parent === undefined ? [] : [parent];
  const scopes = narrowHolding(wish.scopes && withoutLifecycle(wish.scopes), [
    withoutLifecycle(caller.scopes),
    ...parents.map((each) => each.scopes),
  ]);
  if (scopes === undefined) return refused('invalid_scope', 'a session holds no scope that its caller does not hold');
  const resources = narrowHolding(wish.resources, [caller.resources, ...parents.map((each) => each.resources)]);
  if (resources === undefined) {
    return refused('invalid_target', 'a session holds no resource that its caller does not hold');
  }
  return { scopes, resources };
}

/** A holding may be empty (a session that only starts children), but never more than any bound. */
function narrowHolding(
  wanted: readonly string[] | undefined,
  bounds: readonly (readonly string[])[],
): readonly string[] | undefined {
  const [first = [], ...rest] = bounds;
  const all = rest.reduce<readonly string[]>((held, bound) => intersect(held, bound), first);
  if (wanted === undefined || wanted.length === 0) return all;
  const verdict = narrowScopes(wanted, bounds);
  return verdict.kind === 'granted' ? verdict.scopes : undefined;
}
