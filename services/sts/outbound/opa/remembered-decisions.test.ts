import { expect, it } from 'vitest';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation, PolicyEngine } from '../../ports/policy-engine.ts';
import { rememberDecisions } from './remembered-decisions.ts';

const version: PolicySetVersion = {
  zoneId: 'z',
  policySetId: 's',
  versionId: 'v',
  digest: 'd'.repeat(64),
  params: {},
  policies: [{ policyVersionId: 'p', name: 'p', content: '' }],
};

function setUp(answerCharacters: number) {
  let asked = 0;
  const engine: PolicyEngine = {
    async evaluate() {
      asked += 1;
      return { kind: 'answered', results: { 0: 'x'.repeat(answerCharacters) }, remembered: false };
    },
    validate: async () => [],
    isLoaded: async () => true,
  };
  const remembering = rememberDecisions(engine, { max: 100 });
  const evaluate = async (inputDigest: string): Promise<Evaluation> =>
    remembering.evaluate({ version, inputJson: '{}', inputDigest });
  return { evaluate, asked: () => asked };
}

it('asks once about one question and says so', async () => {
  const { evaluate, asked } = setUp(10);
  expect(await evaluate('a')).toMatchObject({ remembered: false });
  expect(await evaluate('a')).toMatchObject({ kind: 'answered', remembered: true });
  expect(asked()).toBe(1);
});

it('holds no more than its bound, however much policies have to say', async () => {
  const { evaluate, asked } = setUp(60_000);
  for (let question = 0; question < 100; question += 1) await evaluate(`q${question}`);
  await evaluate('q0');
  expect(asked()).toBe(101);
  const huge = setUp(100_000);
  await huge.evaluate('a');
  await huge.evaluate('a');
  expect(huge.asked()).toBe(2);
});
