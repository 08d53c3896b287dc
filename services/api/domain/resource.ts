// A protected resource: where it is, which scopes it knows and which of them each operation needs.
import { isScopeToken } from '#mesh/authority';
import type { FieldViolation } from '#mesh/failure';
import { patternProblem } from './operation-pattern.ts';
import { upstreamProblem } from './upstream-url.ts';

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly scope: string;
}

export interface Resource {
  readonly id: string;
  readonly zoneId: string;
  /** What clients and mandates call it. */
  readonly identifier: string;
  readonly slug: string;
  readonly name: string;
  readonly kind: string;
  readonly upstreamUrl: string;
  readonly scopes: readonly string[];
  readonly operations: readonly Operation[];
  readonly operationEnforcement: boolean;
  readonly providerId?: string | undefined;
  readonly rateLimitPerMin?: number | undefined;
  readonly allowOddPaths: boolean;
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** The parts of a resource whose rules reach beyond their own shape. */
export type ResourceRules = Pick<
  Resource,
  'identifier' | 'upstreamUrl' | 'scopes' | 'operations' | 'operationEnforcement' | 'allowOddPaths'
>;

/** Identifiers of what the installation itself offers (the Coordinator's session lifecycle) begin like this. */
const reservedIdentifier = /^caracal:/i;
/** Scopes that mean something to Caracal itself, wherever they are granted. */
const reservedScopes: ReadonlySet<string> = new Set(['agent:lifecycle']);

/** Everything that is wrong with a resource as it would be stored. */
export function resourceProblems(resource: ResourceRules): FieldViolation[] {
  const problems: FieldViolation[] = [];
  const refuse = (path: string, rule: string): void => void problems.push({ path, rule });
  if (reservedIdentifier.test(resource.identifier)) refuse('identifier', 'names beginning with caracal: are reserved');
  const upstream = upstreamProblem(resource.upstreamUrl);
  if (upstream !== undefined) refuse('upstream_url', upstream);
  for (const [at, scope] of resource.scopes.entries()) {
    if (!isScopeToken(scope)) refuse(`scopes[${at}]`, 'a scope token (RFC 6749 §3.3) of at most 200 characters');
    if (reservedScopes.has(scope)) refuse(`scopes[${at}]`, 'a reserved scope');
  }
  if (new Set(resource.scopes).size !== resource.scopes.length) refuse('scopes', 'each scope once');
  checkOperations(resource, refuse);
  return problems;
}

function checkOperations(resource: ResourceRules, refuse: (path: string, rule: string) => void): void {
  const { operations, scopes, allowOddPaths } = resource;
  if (allowOddPaths && (operations.length > 0 || resource.operationEnforcement)) {
    refuse('allow_odd_paths', 'paths that are forwarded as they come cannot be matched by operations');
  }
  const seen = new Set<string>();
  for (const [at, { method, path, scope }] of operations.entries()) {
    const problem = patternProblem(path);
    if (problem !== undefined) refuse(`operations[${at}].path`, problem);
    if (!scopes.includes(scope)) refuse(`operations[${at}].scope`, 'one of the scopes of this resource');
    const key = `${method} ${path}`;
    if (seen.has(key)) refuse(`operations[${at}]`, 'each method and path once');
    seen.add(key);
  }
}
