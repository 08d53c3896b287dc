// Puts one set's modules into one OPA, checked first, and takes them out again. What the syntax tree forbids is never put.
import { canonicalJson } from '#mesh/canonical';
import type { JsonObject, JsonValue } from '#mesh/failure';
import { checkPolicy } from '../../domain/policy-check.ts';
import type { PolicyProblem } from '../../domain/policy-check.ts';
import { driverModule, findPackageClause, isolatedModule } from '../../domain/policy-module.ts';
import { isJsonObject } from './opa-client.ts';
import type { OpaClient, OpaReply } from './opa-client.ts';

/** A set under a package of its own, ready to be put. */
export interface ModuleSet {
  readonly zoneId: string;
  readonly base: readonly string[];
  readonly sentinel: string;
  readonly params: JsonObject;
  readonly sources: readonly string[];
}

/** A problem of the source at `index`. */
export interface SourceProblem extends PolicyProblem {
  readonly index: number;
}

/** Compiling thousands of modules takes a while; nobody waits longer than a unary deadline. */
const loadTimeoutMs = 20_000;
/** Where the parsing rule lives; outside every zone's package. */
const parserPath = 'caracal/sts_parser';
const parserModule = 'package caracal.sts_parser\n\nparsed := rego.parse_module("policy.rego", input.source)\n';

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

async function parse(client: OpaClient, source: string): Promise<JsonValue | undefined> {
  const ask = async (): Promise<OpaReply> =>
    client.call({
      method: 'POST',
      path: `/v1/data/${parserPath}/parsed`,
      body: JSON.stringify({ input: { source } }),
      timeoutMs: loadTimeoutMs,
    });
  let reply = await ask();
  if (reply.status === 200 && isJsonObject(reply.body) && reply.body['result'] === undefined) {
    // OPA forgets everything on a restart, the parsing rule included.
    await put(client, `/v1/policies/${parserPath}`, parserModule);
    reply = await ask();
  }
  return reply.status === 200 && isJsonObject(reply.body) ? reply.body['result'] : undefined;
}

/** Everything wrong with one source by itself; empty when it may be put. */
async function checkSource(client: OpaClient, set: ModuleSet, index: number): Promise<readonly SourceProblem[]> {
  const source = set.sources[index] ?? '';
  const clause = findPackageClause(source);
  if (clause.kind === 'refused') {
    const message = 'a policy begins with "package caracal.authz", alone on its line';
    return [{ index, line: clause.line, column: clause.column, code: 'wrong_package', message }];
  }
  const tree = await parse(client, source);
  // What does not parse is put all the same, into its own package, because OPA then says where it breaks.
  if (tree === undefined) {
    const reply = await put(client, modulePath(set.base, `p_${index}`), isolatedModule(source, set.base, index) ?? '');
    return compileProblems(reply, set.base, index);
  }
  return checkPolicy(tree, source).map((problem) => ({ ...problem, index }));
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
export async function checkAndPut(client: OpaClient, set: ModuleSet): Promise<readonly SourceProblem[]> {
  const problems: SourceProblem[] = [];
  for (const index of set.sources.keys()) problems.push(...(await checkSource(client, set, index)));
  return problems.length > 0 ? problems : putAll(client, set);
}
