import { describe, expect, it } from 'vitest';
import type { JsonValue } from '#mesh/failure';
import { loadedDigest, packagePath } from '../../domain/policy-set.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation } from '../../ports/policy-engine.ts';
import type { OpaClient } from './opa-client.ts';
import { createPolicyEngineOpa } from './policy-engine-opa.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

const connections = 4;
const syntax: SyntaxChecker = {
  check: async () => ({ kind: 'checked', problems: [] }),
  [Symbol.asyncDispose]: async () => undefined,
};

function versionOf(zoneId: string): PolicySetVersion {
  const policies = [{ policyVersionId: 'p', name: 'p', content: '' }];
  return { zoneId, policySetId: 's', versionId: 'v', digest: 'd'.repeat(64), params: {}, policies };
}

/** An OPA that has everything loaded, and answers questions of some zones only when it is let. */
function opaWithSlow(slow: PolicySetVersion) {
  const waiting: (() => void)[] = [];
  let asked = 0;
  const answerFor = (path: string): JsonValue => {
    for (const zoneId of ['flood', 'other']) {
      const digest = loadedDigest(versionOf(zoneId));
      if (path.includes(packagePath(zoneId, digest).join('/'))) {
        return { result: { sentinel: `${zoneId} ${digest} 1`, results: { 0: true } } };
      }
    }
    return {};
  };
  const client: OpaClient = {
    url: 'http://opa.test',
    connections,
    async call({ path }) {
      asked += 1;
      if (path.includes(packagePath(slow.zoneId, loadedDigest(slow)).join('/'))) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return { status: 200, body: answerFor(path) };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  return { client, waiting, asked: () => asked };
}

describe('a zone with slow policies', () => {
  it('never takes all connections to OPA, so that another is answered at once', async () => {
    const flood = versionOf('flood');
    const opa = opaWithSlow(flood);
    const engine = createPolicyEngineOpa({ syntax, clients: [opa.client], maxLoadedSets: 8, timeoutMs: 250 });
    const evaluate = async (version: PolicySetVersion): Promise<Evaluation> =>
      engine.evaluate({ version, inputJson: '{}', inputDigest: '' });
    const flooded = Array.from({ length: 50 }, async () => evaluate(flood));
    await expect.poll(opa.asked).toBe(3);
    expect((await evaluate(versionOf('other'))).kind).toBe('answered');
    expect(opa.asked()).toBe(4);
    while (opa.waiting.length > 0) {
      for (const go of opa.waiting.splice(0)) go();
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const evaluation of await Promise.all(flooded)) expect(['answered', 'failed']).toContain(evaluation.kind);
  });

  it('is denied what waited longer than an evaluation may take, without OPA being asked', async () => {
    const flood = versionOf('flood');
    const opa = opaWithSlow(flood);
    const engine = createPolicyEngineOpa({ syntax, clients: [opa.client], maxLoadedSets: 8, timeoutMs: 20 });
    const evaluate = async (): Promise<Evaluation> =>
      engine.evaluate({ version: flood, inputJson: '{}', inputDigest: '' });
    const flooded = Array.from({ length: 10 }, evaluate);
    await expect.poll(opa.asked).toBe(3);
    await new Promise((resolve) => setTimeout(resolve, 40));
    for (const go of opa.waiting.splice(0)) go();
    const late = (await Promise.all(flooded)).filter(({ kind }) => kind === 'failed');
    expect(late).toHaveLength(7);
    for (const evaluation of late) expect(evaluation).toEqual({ kind: 'failed', status: 'timeout' });
    expect(opa.asked()).toBe(3);
  });
});
