// Second step: which scopes this very operation needs, and whether mandate, resource, session and path all carry them.
import { fail } from '#mesh/failure';
import { isSubset } from '#mesh/authority';
import { lifecycleScope, scopesOf } from '../../domain/audience.ts';
import { meetAll } from '../../domain/narrowing.ts';
import { requiredScopes } from '../../domain/operation.ts';
import type { CallQuestion } from './call-question.ts';
import type { KnownCall } from './verify-mandate.ts';

/**
 * The scopes of the call: those of its operation, or, where the resource declares none for it and does not insist, all
 * the mandate carries here. Throws `insufficient_scope` with `details.required_scopes`.
 */
export function matchScopes(call: KnownCall, question: CallQuestion): readonly string[] {
  const { claims } = call.mandate;
  const above = meetAll([
    { scopes: call.resource.scopes.filter((scope) => scope !== lifecycleScope), resources: undefined },
    { scopes: scopesOf(claims), resources: claims.target ?? [] },
    ...call.bound.bounds,
  ]);
  if (above.resources !== undefined && !above.resources.includes(call.resource.identifier)) {
    throw fail('insufficient_scope', { privateDetail: 'resource_outside_authority' });
  }
  const carried = above.scopes ?? [];
  const verdict = requiredScopes(call.resource, question.method, question.path);
  switch (verdict.kind) {
    case 'undeclared':
      throw fail('access_denied', {
        privateDetail: 'operation_not_declared',
        description: 'The resource declares no such operation.',
      });
    case 'unmatched':
      if (carried.length === 0) throw fail('insufficient_scope', { privateDetail: 'no_scope_left' });
      return carried;
    case 'needs':
      if (!isSubset(verdict.scopes, carried)) {
        throw fail('insufficient_scope', { details: { required_scopes: [...verdict.scopes] } });
      }
      return verdict.scopes;
  }
}
