// Third step: the resources as they exist now and the scopes each may be granted. What does not exist, is out of reach
// or over its rate is refused by itself; the rest goes on.
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import { lifecycleScope } from '../../domain/audience.ts';
import { lifecycleResource, userResource } from '../../domain/decision-input.ts';
import type { Resource } from '../../domain/directory.ts';
import { meetAll, narrow } from '../../domain/narrowing.ts';
import type { ResourceRefusal } from '../../domain/narrowing.ts';
import type { Directory } from '../../ports/directory.ts';
import type { MintLimiter } from '../../ports/mint-limiter.ts';
import { grantedAt } from '../user-authority.ts';
import type { Subject } from './validate-subject.ts';
import type { TokenRequest } from './token-request.ts';

export interface ResolveDeps {
  readonly directory: Pick<Directory, 'resource'>;
  readonly mintLimiter: MintLimiter;
}

/** One resource that policy will be asked about, or why it will not. */
export type Candidate =
  | {
      readonly kind: 'open';
      readonly resource: Resource;
      readonly scopes: readonly string[];
      /** When the user's grant ends; undefined when none bounds it. */
      readonly endsAtMs?: number | undefined;
    }
  | { readonly kind: 'refused'; readonly identifier: string; readonly failure: Failure };

export interface Resolved {
  readonly candidates: readonly Candidate[];
  /** True when `agent:lifecycle` was asked for and nothing above withholds it. */
  readonly lifecycle: boolean;
}

function wantsLifecycle(request: TokenRequest, subject: Subject): boolean {
  if (!request.scopes?.includes(lifecycleScope)) return false;
  if (subject.mandate) {
    throw fail('invalid_scope', { privateDetail: 'lifecycle_from_subject', details: { excess: [lifecycleScope] } });
  }
  if (subject.bound.session && !subject.bound.session.passLifecycle) {
    throw fail('invalid_scope', { privateDetail: 'lifecycle_not_passed', details: { excess: [lifecycleScope] } });
  }
  return true;
}

type Open = Extract<Candidate, { kind: 'open' }>;

async function underRate(deps: ResolveDeps, open: Open, applicationId: string): Promise<Candidate> {
  const { zoneId, id, identifier } = open.resource;
  const { allowed, retryAfterMs } = await deps.mintLimiter.take(zoneId, id, applicationId);
  return allowed ? open : { kind: 'refused', identifier, failure: fail('rate_limited', { retryAfterMs }) };
}

/** The failure that a refused resource means. */
export function narrowingFailure(refusal: ResourceRefusal): Failure {
  switch (refusal.cause) {
    case 'outside_authority':
      return fail('invalid_target', { privateDetail: refusal.cause });
    case 'no_scope_left':
      return fail('invalid_scope', { privateDetail: refusal.cause });
    case 'scope_exceeds':
      return fail('invalid_scope', { privateDetail: refusal.cause, details: { excess: [...refusal.excess] } });
  }
}

/** What a request without scope means when its resources have none in common. */
export function disjointFailure(): Failure {
  const description = 'The resources have no scope in common; ask for them one by one.';
  return fail('invalid_scope', { description, privateDetail: 'disjoint_scopes' });
}

/** A mandate without resources is a mint like any other, counted under the name of what it is for. */
async function withoutResources(
  deps: ResolveDeps,
  request: TokenRequest,
  { subject, lifecycle }: { readonly subject: Subject; readonly lifecycle: boolean },
): Promise<Resolved> {
  if (!subject.user) {
    if (!lifecycle) throw fail('invalid_target', { description: 'At least one resource is required.' });
    if (request.scopes?.length !== 1) throw fail('invalid_scope', { privateDetail: 'scopes_without_resource' });
  }
  const { id } = subject.user ? userResource : lifecycleResource;
  const { allowed, retryAfterMs } = await deps.mintLimiter.take(request.zoneId, id, request.applicationId);
  if (!allowed) throw fail('rate_limited', { retryAfterMs });
  return { candidates: [], lifecycle };
}

/** A resource as it exists, with what of it may be granted here. */
interface Reachable {
  readonly resource: Resource;
  readonly scopes: readonly string[];
  readonly endsAtMs?: number | undefined;
}

/** Why a resource is out of reach before its scopes are looked at. */
type Unreachable = 'unknown_resource' | 'not_granted_by_user';

async function reach(
  deps: ResolveDeps,
  at: { readonly zoneId: string; readonly subject: Subject; readonly nowMs: number },
  identifier: string,
): Promise<Reachable | Unreachable> {
  const resource = await deps.directory.resource(at.zoneId, identifier);
  if (!resource) return 'unknown_resource';
  const { grants } = at.subject;
  if (!grants) return { resource, scopes: resource.scopes };
  const granted = grantedAt({ grants }, resource, at.nowMs);
  return granted ? { resource, ...granted } : 'not_granted_by_user';
}

/** Reads and narrows; throws `invalid_target` or `invalid_scope` when the request as a whole asks for what cannot be. */
export async function resolveResources(
  deps: ResolveDeps,
  request: TokenRequest,
  at: { readonly subject: Subject; readonly nowMs: number },
): Promise<Resolved> {
  const { subject, nowMs } = at;
  const lifecycle = wantsLifecycle(request, subject);
  if (request.resources.length === 0) return withoutResources(deps, request, { subject, lifecycle });
  const { zoneId } = request;
  const found = await Promise.all(
    request.resources.map(async (identifier) => reach(deps, { zoneId, subject, nowMs }, identifier)),
  );
  const resources = found.flatMap((one) =>
    typeof one === 'string' ? [] : [{ identifier: one.resource.identifier, scopes: one.scopes }],
  );
  const narrowing = narrow({ requested: request.scopes, above: meetAll(subject.bounds), resources });
  if (narrowing.kind === 'disjoint') throw disjointFailure();
  const candidates = await Promise.all(
    request.resources.map(async (identifier, index): Promise<Candidate> => {
      const one = found[index] ?? 'unknown_resource';
      if (typeof one === 'string') {
        return { kind: 'refused', identifier, failure: fail('invalid_target', { privateDetail: one }) };
      }
      const outcome = narrowing.resources.find((item) => item.identifier === identifier)?.outcome;
      if (!outcome) return { kind: 'refused', identifier, failure: fail('invalid_target') };
      if (outcome.kind === 'refused') return { kind: 'refused', identifier, failure: narrowingFailure(outcome) };
      const { resource, endsAtMs } = one;
      return underRate(deps, { kind: 'open', resource, scopes: outcome.scopes, endsAtMs }, request.applicationId);
    }),
  );
  return { candidates, lifecycle };
}
