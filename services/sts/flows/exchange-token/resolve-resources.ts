// Third step: the resources as they exist now and the scopes each may be granted. What does not exist, is out of reach
// or over its rate is refused by itself; the rest goes on.
import { fail } from '#mesh/failure';
import type { Failure } from '#mesh/failure';
import { lifecycleScope } from '../../domain/audience.ts';
import type { Resource } from '../../domain/directory.ts';
import { meetAll, narrow } from '../../domain/narrowing.ts';
import type { Above, ResourceRefusal } from '../../domain/narrowing.ts';
import type { Directory } from '../../ports/directory.ts';
import type { MintLimiter } from '../../ports/mint-limiter.ts';
import type { Subject } from './validate-subject.ts';
import type { TokenRequest } from './token-request.ts';

export interface ResolveDeps {
  readonly directory: Pick<Directory, 'resource'>;
  readonly mintLimiter: MintLimiter;
}

/** One resource that policy will be asked about, or why it will not. */
export type Candidate =
  | { readonly kind: 'open'; readonly resource: Resource; readonly scopes: readonly string[] }
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

/** Reads and narrows; throws `invalid_target` or `invalid_scope` when the request as a whole asks for what cannot be. */
export async function resolveResources(deps: ResolveDeps, request: TokenRequest, subject: Subject): Promise<Resolved> {
  const lifecycle = wantsLifecycle(request, subject);
  if (request.resources.length === 0) {
    if (!lifecycle) throw fail('invalid_target', { description: 'At least one resource is required.' });
    if (request.scopes?.length !== 1) throw fail('invalid_scope', { privateDetail: 'scopes_without_resource' });
    return { candidates: [], lifecycle };
  }
  const above: Above = meetAll(subject.bounds);
  const found = await Promise.all(
    request.resources.map(async (identifier) => deps.directory.resource(request.zoneId, identifier)),
  );
  const existing = found.filter((resource) => resource !== undefined);
  const narrowing = narrow({ requested: request.scopes, above, resources: existing });
  if (narrowing.kind === 'disjoint') throw disjointFailure();
  const candidates = await Promise.all(
    request.resources.map(async (identifier, index): Promise<Candidate> => {
      const resource = found[index];
      if (!resource)
        return { kind: 'refused', identifier, failure: fail('invalid_target', { privateDetail: 'unknown_resource' }) };
      const narrowed = narrowing.resources.find((item) => item.identifier === identifier);
      if (!narrowed) return { kind: 'refused', identifier, failure: fail('invalid_target') };
      const { outcome } = narrowed;
      if (outcome.kind === 'refused') return { kind: 'refused', identifier, failure: narrowingFailure(outcome) };
      return underRate(deps, { kind: 'open', resource, scopes: outcome.scopes }, request.applicationId);
    }),
  );
  return { candidates, lifecycle };
}
