// Puts one set's modules into one OPA, checked first, and takes them out again. What the syntax tree forbids is never put.
import { canonicalJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import type { PolicyProblem } from '../../domain/policy-check.ts';
import { driverModule, findPackageClause, isolatedModule } from '../../domain/policy-module.ts';
import { OpaAway, isJsonObject } from './opa-client.ts';
import type { OpaClient, OpaReply } from './opa-client.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

/** A set under a package of its own, ready to be put. */
export interface ModuleSet {
  readonly zoneId: string;
  readonly base: readonly string[];
  readonly sentinel: string;
  readonly params: JsonObject;
  readonly sources: readonly string[];
}

/** Where a set is put, and who says that it may be. */
export interface LoadTarget {
  readonly client: OpaClient;
  readonly syntax: SyntaxChecker;
}

/** A problem of the source at `index`. */
export interface SourceProblem extends PolicyProblem {
  readonly index: number;
}

/** Compiling thousands of modules takes a while; nobody waits longer than a unary deadline. */
const loadTimeoutMs = 20_000;
/** Replicas that share an OPA seldom load and evict one set at the same time. */
const maxAttempts = 3;
function modulePath(base: readonly string[], name: string): string {
  return `/v1/policies/${base.join('/')}/${name}`;
}

async function put(client: OpaClient, path: string, body: string): Promise<OpaReply> {
  return client.call({ method: 'PUT', path, body, contentType: 'text/plain', timeoutMs: loadTimeoutMs });
}

function numberAt(value: JsonValue | undefined): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 1;
}

/** OPA's compile errors as problems of the sources they are in. */
function compileProblems(reply: OpaReply, base: readonly string[], fallback: number): readonly SourceProblem[] {
  const errors = isJsonObject(reply.body) && Array.isArray(reply.body['errors']) ? reply.body['errors'] : [];
  const prefix = `${base.join('/')}/p_`;
  const problems = errors.filter(isJsonObject).map((error): SourceProblem => {
    const location = isJsonObject(error['location']) ? error['location'] : {};
    const file = typeof location['file'] === 'string' ? location['file'] : '';
    const own = file.startsWith(prefix) ? Number(file.slice(prefix.length)) : fallback;
    return {
      index: Number.isInteger(own) ? own : fallback,
      line: numberAt(location['row']),
      column: numberAt(location['col']),
      code: typeof error['code'] === 'string' ? error['code'] : 'rego_compile_error',
      message: typeof error['message'] === 'string' ? error['message'].slice(0, 500) : 'does not compile',
    };
  });
  return problems.length > 0
    ? problems
    : [{ index: fallback, line: 1, column: 1, code: 'rego_compile_error', message: 'does not compile' }];
}

/** Everything wrong with one source by itself; empty when it may be put. */
async function checkSource(target: LoadTarget, set: ModuleSet, index: number): Promise<readonly SourceProblem[]> {
  const { client, syntax } = target;
  const source = set.sources[index] ?? '';
  const clause = findPackageClause(source);
  if (clause.kind === 'refused') {
    const message = 'a policy begins with "package caracal.authz", alone on its line';
    return [{ index, line: clause.line, column: clause.column, code: 'wrong_package', message }];
  }
  const answer = await syntax.check(client, source);
  if (answer.kind === 'away') throw new OpaAway(answer.timedOut, undefined);
  if (answer.kind === 'checked') return answer.problems.map((problem) => ({ ...problem, index }));
  // What does not parse is put all the same, into its own package, because OPA then says where it breaks.
  const reply = await put(client, modulePath(set.base, `p_${index}`), isolatedModule(source, set.base, index) ?? '');
  return compileProblems(reply, set.base, index);
}

/** Another replica may have taken modules of the same set out while they were put here; an answer would lack them. */
async function isWhole(client: OpaClient, { base, sources }: ModuleSet): Promise<boolean> {
  for (const index of sources.keys()) {
    const path = modulePath(base, `p_${index}`);
    const { status } = await client.call({ method: 'GET', path, timeoutMs: loadTimeoutMs });
    if (status !== 200) return false;
  }
  return true;
}

/** Puts everything, and again what was taken out meanwhile. */
async function putWhole(client: OpaClient, set: ModuleSet): Promise<readonly SourceProblem[]> {
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const problems = await putAll(client, set);
    if (problems.length > 0 || (await isWhole(client, set))) return problems;
  }
  throw new OpaAway(false, undefined);
}

async function putAll(client: OpaClient, set: ModuleSet): Promise<readonly SourceProblem[]> {
  for (const [index, source] of set.sources.entries()) {
    const reply = await put(client, modulePath(set.base, `p_${index}`), isolatedModule(source, set.base, index) ?? '');
    if (reply.status !== 200) return compileProblems(reply, set.base, index);
  }
  const driver = driverModule(set.base, {
    sentinel: set.sentinel,
    paramsJson: canonicalJson(set.params),
    policies: set.sources.length,
  });
  const reply = await put(client, modulePath(set.base, 'driver'), driver);
  return reply.status === 200 ? [] : compileProblems(reply, set.base, 0);
}

/** Takes a set out. The driver goes first: without its sentinel nothing of the set is believed any more. */
export async function remove(client: OpaClient, { base, sources }: ModuleSet): Promise<void> {
  const names = ['driver', ...sources.map((_, index) => `p_${index}`)];
  for (const name of names) {
    await client.call({ method: 'DELETE', path: modulePath(base, name), timeoutMs: loadTimeoutMs });
  }
}

/** Everything wrong with the set; empty when all of it is loaded now. */
export async function checkAndPut(target: LoadTarget, set: ModuleSet): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = [];
  for (const index of set.sources.keys()) problems.push(...(await checkSource(target, set, index)));
  return problems.length > 0 ? problems : putWhole(target.client, set);
}
