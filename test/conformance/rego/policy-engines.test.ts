// Whatever compiled code answers by itself, OPA's server answers too: feature by feature, over inputs on which two
// implementations could differ. `npm run prove -- policy-engines` asks about more inputs.
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { JsonObject } from '#mesh/failure';
import { seededRandom } from '../../../bench/proofs/seeded-random.ts';
import { mayBeCompiled } from '../../../services/sts/domain/compiled-modules.ts';
import { packagePath } from '../../../services/sts/domain/policy-set.ts';
import type { PolicySetVersion } from '../../../services/sts/domain/policy-set.ts';
import { openPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import type { OpenPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import { createPolicyCompiler } from '../../../services/sts/outbound/wasm/policy-compiler.ts';
import type { PolicyCompiler } from '../../../services/sts/outbound/wasm/policy-compiler.ts';
import { createMachine } from '../../../services/sts/outbound/wasm/policy-machine.ts';
import type { Machine } from '../../../services/sts/outbound/wasm/policy-machine.ts';
import { testOpa } from '../../support/stack.ts';
import { featureInput, features } from './policy-features.ts';
import type { Feature } from './policy-features.ts';

const inputsOfEach = Number(process.env['CARACAL_POLICY_ENGINES'] ?? 3);
const reportFile = process.env['CARACAL_POLICY_ENGINES_REPORT'];
const seed = 20_262;
/** Many in one policy, because compiling is the dearest part; one of them is chosen by the input. */
const together = 64;
const params = { limit: 3 };
const nothing = { inc: () => undefined };
const metrics = { policyLoads: nothing, policyLookups: nothing, policyAnswers: nothing, opaQuestions: nothing };

let server: OpenPolicyEngine;
let compiler: PolicyCompiler;
beforeAll(() => {
  const { url, token, binary = '' } = testOpa();
  const bounds = { maxLoadedSets: 4, timeoutMs: 10_000, memoEntries: 1 };
  server = openPolicyEngine({ urls: [url], token, binary: undefined, ...bounds, metrics });
  compiler = createPolicyCompiler(binary);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await compiler?.[Symbol.asyncDispose]();
});

interface Loaded {
  readonly version: PolicySetVersion;
  readonly machine: Machine;
}

function policyOf(chosen: readonly Feature[]): string {
  const rules = chosen.map(({ value, rules: own = '' }, n) =>
    `${own}\nvalue${n} := ${value}\nresult := {"value": v} if { input.case == ${n}; v := value${n} }`.replaceAll(
      '@',
      `f${n}_`,
    ),
  );
  return `package caracal.authz\n\n${rules.join('\n')}\n`;
}

async function load(chosen: readonly Feature[]): Promise<Loaded> {
  const content = policyOf(chosen);
  const digest = sha256Hex(content);
  const policies = [{ policyVersionId: 'p', name: 'p', content }];
  const version = { zoneId: `z${digest.slice(0, 8)}`, policySetId: 's', versionId: 'v', digest, params, policies };
  expect(mayBeCompiled([content], params)).toBe(true);
  const base = packagePath(version.zoneId, digest);
  const module = await compiler.compile({ zoneId: version.zoneId, base, sentinel: digest, params, sources: [content] });
  if (!module) throw new Error(`not compiled:\n${content}`);
  return { version, machine: createMachine(module) };
}

/** Undefined where compiled code leaves the answer to the server. */
function compiledAnswer({ machine }: Loaded, inputJson: string): JsonObject | undefined {
  const text = machine.evaluate(inputJson);
  try {
    return text === undefined ? undefined : (JSON.parse(text) as JsonObject);
  } catch {
    return undefined;
  }
}

describe('compiled code and the server', () => {
  it('answer every feature alike, wherever compiled code answers', async () => {
    const random = seededRandom(seed);
    const counts = { asked: 0, answered: 0 };
    const answering = new Set<Feature>();
    for (let from = 0; from < features.length; from += together) {
      const chosen = features.slice(from, from + together);
      const loaded = await load(chosen);
      for (const [at, feature] of chosen.entries()) {
        for (let asked = 0; asked < inputsOfEach; asked += 1) {
          const inputJson = canonicalJson({ ...featureInput(random), case: at });
          counts.asked += 1;
          const results = compiledAnswer(loaded, inputJson);
          if (!results) continue;
          counts.answered += 1;
          answering.add(feature);
          const question = { version: loaded.version, inputJson, inputDigest: sha256Hex(inputJson) };
          const theirs = await server.engine.evaluate(question);
          // The server's answer may be one it gave before.
          const ours = { kind: 'answered', results, remembered: 'remembered' in theirs && theirs.remembered };
          expect({ feature, inputJson, answer: ours }).toEqual({ feature, inputJson, answer: theirs });
        }
      }
    }
    // The comparison is worth something only where compiled code answered.
    expect(answering.size).toBeGreaterThan(features.length / 2);
    if (reportFile === undefined) return;
    const rows = [[features.length, answering.size, counts.asked, counts.answered]];
    writeFileSync(reportFile, JSON.stringify({ rows, facts: counts }));
  }, 3_600_000);
});
