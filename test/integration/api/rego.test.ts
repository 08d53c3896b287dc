// Every policy that is shipped or shown, with its Rego unit tests under the real `opa test`, and with inputs nobody thought of:
// without data none of them ever allows.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JsonValue } from '#mesh/failure';
import { findOpa } from '../../../dev/components/opa-binary.ts';
import { loadPolicyTemplates } from '../../../services/api/outbound/templates/policy-templates.ts';
import { testEndpoints } from '../../support/stack.ts';

const templates = 'services/api/outbound/templates';
/** Defines `params` as the STS does. */
const params = join(templates, 'test-params.rego');
const pages = ['README.md', 'services/sts/README.md', ...readdirSync('docs').map((name) => join('docs', name))].filter(
  (name) => name.endsWith('.md'),
);
const run = promisify(execFile);
let opa: string;
let folder: string;

interface Example {
  readonly name: string;
  readonly policy: string;
  readonly tests: string;
}

/** Policies of a page, each with the block of tests that follows it. */
function examplesOf(page: string): Example[] {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/^```rego\n(.*?)^```$/gms)].map(([, text = '']) => text);
  const policies = blocks.filter((text) => /^package caracal\.authz$/m.test(text));
  return policies.map((policy, at) => {
    const tests = blocks[blocks.indexOf(policy) + 1] ?? '';
    return { name: `${basename(page)} ${at + 1}`, policy, tests };
  });
}

const shipped: readonly Example[] = loadPolicyTemplates().map(({ id, content }) => ({
  name: id,
  policy: content,
  tests: readFileSync(join(templates, `${id}.test.rego`), 'utf8'),
}));
const shown: readonly Example[] = [
  { name: 'demo', policy: 'dev/demo/policy.rego', tests: 'dev/demo/policy.test.rego' },
].map(({ name, policy, tests }) => ({
  name,
  policy: readFileSync(policy, 'utf8'),
  tests: readFileSync(tests, 'utf8'),
}));
const examples = [...shipped, ...shown, ...pages.flatMap(examplesOf)];

beforeAll(async () => {
  opa = await findOpa({ environment: process.env });
  folder = mkdtempSync(join(testEndpoints().runFolder, 'rego-'));
}, 900_000);

/** Paths of the policy and its tests, of their own for each example. */
function written({ name, policy, tests }: Example): { readonly policy: string; readonly tests: string } {
  const stem = join(folder, name.replaceAll(/\W+/g, '-'));
  writeFileSync(`${stem}.rego`, policy);
  writeFileSync(`${stem}-test.rego`, tests);
  return { policy: `${stem}.rego`, tests: `${stem}-test.rego` };
}

describe.each(examples)('the policy $name', (example) => {
  it('passes its own tests, and every one of its outcomes has one', async () => {
    const files = written(example);
    expect(example.tests).toMatch(/^test_/m);
    await run(opa, ['check', '--strict', params, files.policy, files.tests]);
    const { stdout } = await run(opa, ['test', '--format=json', params, files.policy, files.tests]);
    const results = JSON.parse(stdout) as { name: string; fail?: boolean; error?: unknown }[];
    expect(results.length).toBeGreaterThan(2);
    expect(results.filter(({ fail, error }) => fail === true || error !== undefined)).toEqual([]);
    for (const decision of ['allow', 'deny', 'abstain']) {
      const says = example.policy.includes(`"decision": "${decision}"`);
      if (says) expect(example.tests, decision).toContain(`"${decision}"`);
    }
  });

  it('allows nothing without data, whatever it is asked', async () => {
    const { policy } = written(example);
    const inputs = fc.sample(input, { numRuns: 400, seed: 20_261_122 });
    const inputFile = `${policy}.json`;
    writeFileSync(inputFile, JSON.stringify({ inputs: [{}, ...inputs] }));
    const query =
      'said := [r | some one in input.inputs; r := object.union({"d": "none"}, {"d": d | d := data.caracal.authz.result.decision with input as one})]';
    const { stdout } = await run(opa, ['eval', '--format=json', '-d', params, '-d', policy, '-i', inputFile, query], {
      maxBuffer: 64 * 1024 * 1024,
    });
    const { result } = JSON.parse(stdout) as { result: { bindings: { said: { d: string }[] } }[] };
    const said = result[0]?.bindings.said ?? [];
    expect(said).toHaveLength(401);
    expect(said.filter(({ d }) => d === 'allow')).toEqual([]);
  });
});

describe('what is offered', () => {
  it('is every policy file there is, each with its tests', () => {
    const files = readdirSync(templates).filter((name) => name.endsWith('.rego') && name !== basename(params));
    const ids = loadPolicyTemplates().map(({ id }) => id);
    expect(files.toSorted()).toEqual(ids.flatMap((id) => [`${id}.rego`, `${id}.test.rego`]).toSorted());
  });

  it('has data of the form it describes', () => {
    for (const { parameters, exampleParams } of loadPolicyTemplates()) {
      expect(parameters.map(({ name }) => name).toSorted()).toEqual(Object.keys(exampleParams).toSorted());
    }
  });
});

/** Anything at a place where the decision input has something, so that rules are entered and not only missed. */
const anything: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constantFrom<JsonValue>(null, true, false, 0, 1, -1, '', 'calendar:read', ['calendar:read'], {}, []),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>,
);
const scope = fc.constantFrom('calendar:read', 'calendar:write', 'agent:lifecycle', '', '*', 'x:read');
const likely = fc.record(
  {
    schema_version: fc.constant('2026-11-01'),
    principal: fc.oneof(
      anything,
      fc.record(
        {
          id: fc.constantFrom('app', ''),
          traits: fc.oneof(anything, fc.constant(['role:', 'role:reader'])),
          labels: fc.oneof(anything, fc.dictionary(fc.constantFrom('team', ''), fc.constantFrom('payments', ''))),
          agent_kind: fc.constantFrom('instance', 'service'),
          agent_depth: fc.integer({ min: -1, max: 11 }),
        },
        { requiredKeys: [] },
      ),
    ),
    resource: fc.oneof(
      anything,
      fc.record({ identifier: fc.constantFrom('resource://calendar', '', 'caracal:coordinator') }),
    ),
    action: fc.oneof(
      anything,
      fc.record(
        {
          id: fc.constantFrom('TokenExchange', 'SessionMandate', 'SessionLifecycle', 'GatewayCall'),
          method: fc.constantFrom('GET', 'POST'),
          path: fc.constantFrom('/', '/events/1', ''),
          tool: fc.constantFrom('list_events', ''),
        },
        { requiredKeys: [] },
      ),
    ),
    delegation_edge: fc.oneof(anything, fc.record({ hop_count: fc.integer(), scopes: fc.array(scope) })),
    context: fc.oneof(anything, fc.record({ requested_scopes: fc.oneof(anything, fc.array(scope)) })),
    calendar: fc.oneof(anything, fc.record({ open: fc.oneof(fc.boolean(), anything) })),
  },
  { requiredKeys: [] },
);
const input = fc.oneof({ arbitrary: likely, weight: 9 }, { arbitrary: anything, weight: 1 });
