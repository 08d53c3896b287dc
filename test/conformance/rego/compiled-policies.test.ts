// What compiled policies say is what OPA's server says, for the language's features one by one and for random policies: a
// difference would make a decision depend on which replica, or which release, computed it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonValue } from '#mesh/failure';
import { seededRandom } from '../../../bench/proofs/seeded-random.ts';
import { openPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import type { OpenPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import type { PolicySetVersion } from '../../../services/sts/domain/policy-set.ts';
import type { Evaluation } from '../../../services/sts/ports/policy-engine.ts';
import { testOpa } from '../../support/stack.ts';
import { randomInput, randomPolicy } from './random-policy.ts';

const counts = new Map<string, number>();
const counter = {
  inc(labels: Readonly<Record<string, string>>) {
    for (const value of Object.values(labels)) counts.set(value, (counts.get(value) ?? 0) + 1);
  },
};
const metrics = { policyLoads: counter, policyLookups: counter, policyAnswers: counter, opaQuestions: counter };

let compiled: OpenPolicyEngine;
let server: OpenPolicyEngine;
beforeAll(() => {
  const { url, token, binary } = testOpa();
  // A loaded machine is no slow policy.
  const common = { urls: [url], token, maxLoadedSets: 2, timeoutMs: 10_000, memoEntries: 1, metrics };
  server = openPolicyEngine({ ...common, binary: undefined });
  compiled = openPolicyEngine({ ...common, binary });
});
afterAll(async () => {
  await compiled?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

let made = 0;
function versionOf(contents: readonly string[], params: Record<string, JsonValue> = {}): PolicySetVersion {
  made += 1;
  const policies = contents.map((content, n) => ({ policyVersionId: `p${n}`, name: `p${n}`, content }));
  return { zoneId: `z${made}`, policySetId: 's', versionId: 'v', digest: sha256Hex(`${made}`), params, policies };
}

async function both(version: PolicySetVersion, input: JsonValue): Promise<readonly [Evaluation, Evaluation]> {
  const inputJson = canonicalJson(input);
  const question = { version, inputJson, inputDigest: sha256Hex(inputJson) };
  return Promise.all([compiled.engine.evaluate(question), server.engine.evaluate(question)]);
}

const answers = (body: string): string => `package caracal.authz\n\n${body}\n`;

describe('compiled policies', () => {
  it.each([
    ['a default', 'default result := 1\nresult := 2 if { input.x }'],
    ['a chain of else', 'result := 1 if { input.x == 1 } else := 2 if { input.x == 2 } else := 3'],
    ['an array made of a set', 'result := [x | some x in {3, 1, 2, input.x}]'],
    ['a set joined', 'result := concat(",", {"c", "a", "b", input.text})'],
    ['a large set', 'result := {x * 7919 | some x in numbers.range(1, 60)}'],
    ['a set of texts', 'result := {sprintf("%v-%v", [x, y]) | some x in input.list; some y in input.list}'],
    ['a set', 'result contains x if { some x in input.list; x != 2 }'],
    ['a map', 'result[k] := v if { some k, v in input.map }'],
    ['nested comprehensions', 'result := [{k: [y | y := v[_]]} | some k, v in {"a": [1, 2], "b": [input.x]}]'],
    ['every over nothing', 'result := 1 if { every x in [] { x == 2 } }'],
    ['negation of what is undefined', 'result := 1 if { not input.nothing.here }'],
    ['walking into a string', 'result := 1 if { not input.text.x }'],
    ['functions with several bodies', 'f(x) := 1 if { x == 1 }\nf(x) := 2 if { x == 2 }\nresult := f(input.x)'],
    ['arguments by pattern', 'f([a, b]) := a + b\nresult := f([input.x, 2])'],
    ['input replaced', 'inner if { input.x == 9 }\nresult := 1 if { inner with input.x as 9 }'],
    ['sets as answers', 'result := {"s": {3, 1, 2}, "u": {1} | {input.x}}'],
    ['text beyond ASCII', 'result := {"n": count("ää😀"), "s": sprintf("%s", ["ä"]), "l": lower("ÄB")}'],
    ['an import of input', 'import input.map as m\nresult := m.a'],
    ['a failing built-in', 'result := to_number(input.text)'],
    ['a built-in of the wrong type', 'result := 1 if { not startswith(input.x, "a") }'],
    ['a conflict', 'result := 1 if { input.x }\nresult := 2 if { input.text }'],
    ['a division by zero', 'result := 1 if { not 1 / input.zero == 1 }'],
    ['large numbers', 'result := input.x + 9007199254740990'],
    ['regular expressions', 'result := regex.replace(input.text, "[a-z]+", "<$0>")'],
    ['decimals', 'result := 0.1 + 0.2'],
    ['the least of a set', 'result := [min({null, 1, input.x}), max({null, input.x})]'],
    ['walk', 'result := count([x | walk(input, x)])'],
    ['object functions', 'result := object.union(input.map, {"z": 1})'],
    ['a string in a template', 'result := sprintf("%d of %v: %v", [1, input.x, input.list])'],
  ])('say of %s what OPA says', async (_what, body) => {
    const version = versionOf([answers(body)], { limit: 3 });
    const input = { x: 1, zero: 0, text: 'Text', list: [1, 2, 3], map: { a: 1, b: { c: null } } };
    for (const changed of [input, { ...input, x: 2 }, {}, { ...input, list: 'no list', x: null }]) {
      const [ours, theirs] = await both(version, changed);
      expect(ours).toEqual(theirs);
    }
  });

  it('say of random policies what OPA says', async () => {
    const seed = 20_261;
    const random = seededRandom(seed);
    counts.clear();
    for (let at = 0; at < 16; at += 1) {
      const sources = [randomPolicy(random)];
      const version = versionOf(sources, { limit: 3 });
      for (let asked = 0; asked < 40; asked += 1) {
        const input = randomInput(random) as JsonValue;
        const [ours, theirs] = await both(version, input);
        expect({ sources, input, answer: ours }).toEqual({ sources, input, answer: theirs });
      }
    }
    // The comparison is worth something only where compiled code answered.
    expect(counts.get('compiled')).toBeGreaterThan(100);
  }, 180_000);
});
