// Simulation and replay at the STS itself: what a caller may send, what a candidate may cost, and that nothing enforced is
// touched by either.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ReplayPolicyRequestSchema, ReplayPolicyResponse } from '#gen/caracal/sts/v1/sts_pb';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import { newId } from '#mesh/ids';
import { failureFromConnect } from '#mesh/rpc';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { allowAll, startSts } from './sts-installation.ts';
import type { StsInstallation } from './sts-installation.ts';

type Frame = MessageInitShape<typeof ReplayPolicyRequestSchema>;

let opa: Restartable<RunningOpa>;
let sts: StsInstallation;
let zoneId: string;

beforeAll(async () => {
  opa = await privateOpa();
  const { url, token } = opa.running();
  // One place for enforced versions: a candidate that took it would show at once.
  const settings = { OPA_URL: url, OPA_TOKEN: token, OPA_MAX_LOADED_SETS: '1' };
  sts = await startSts({ overrides: { sts: settings } });
  zoneId = (await sts.zone()).id;
}, 120_000);
afterAll(async () => {
  await sts?.[Symbol.asyncDispose]();
  await opa?.[Symbol.asyncDispose]();
});

const evenAllowed = `package caracal.authz

default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["even"], "diagnostics": []}

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["even"], "diagnostics": []} if {
  input.n % 2 == 0
}
`;

const candidate = (content: string, zone = zoneId): Frame => ({
  frame: {
    case: 'candidate',
    value: { zoneId: zone, policies: [{ policyVersionId: 'p', name: 'p', content }], paramsJson: '' },
  },
});

const inputOf = (n: unknown): { inputDigest: string; inputJson: string } => {
  const inputJson = canonicalJson({ n } as never);
  return { inputDigest: sha256Hex(inputJson), inputJson };
};

const batch = (inputs: readonly { inputDigest: string; inputJson: string }[]): Frame => ({
  frame: { case: 'batch', value: { inputs: [...inputs] } },
});

async function replay(frames: readonly Frame[]): Promise<ReplayPolicyResponse[]> {
  async function* sent(): AsyncGenerator<Frame> {
    yield* frames;
  }
  return Array.fromAsync(sts.peer('api').client.replayPolicy(sent()));
}

function answersOf(responses: readonly ReplayPolicyResponse[]): string[] {
  return responses.flatMap(({ frame }) =>
    frame.case === 'answers'
      ? frame.value.answers.map(({ decision, evaluationStatus }) =>
          evaluationStatus === 'complete' ? decision : evaluationStatus,
        )
      : [],
  );
}

const reasonOf = async (asked: Promise<unknown>): Promise<string> => {
  try {
    await asked;
    return 'answered';
  } catch (error) {
    return failureFromConnect(error, { unavailable: 'sts_unavailable' }).reason;
  }
};

describe('a replay', () => {
  it('answers in the order asked, evaluating equal inputs once', async () => {
    const [first, second] = [inputOf(1), inputOf(2)];
    const again = { inputDigest: first.inputDigest, inputJson: '' };
    const responses = await replay([candidate(evenAllowed), batch([first, second, again]), batch([again, inputOf(4)])]);
    expect(answersOf(responses)).toEqual(['deny', 'allow', 'deny', 'deny', 'allow']);
    const evaluated = responses.flatMap(({ frame }) => (frame.case === 'answers' ? [frame.value.evaluated] : []));
    expect(evaluated).toEqual([2, 1]);
  });

  it('evaluates each input by itself: one that errs, or is slow, decides nothing for the others', async () => {
    const errs = `package caracal.authz

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [{"n": to_number(input.n)}]}
`;
    const inputs = Array.from({ length: 40 }, (_, n) => inputOf(n === 17 ? 'no number' : n));
    const answers = answersOf(await replay([candidate(errs), batch(inputs)]));
    expect(answers.filter((answer) => answer !== 'allow')).toEqual(['evaluation_error']);
    expect(answers[17]).toBe('evaluation_error');
  });

  it('says what keeps a candidate from being loaded, and answers nothing then', async () => {
    const [checked, ...rest] = await replay([
      candidate('package caracal.authz\n\nresult := data.secrets\n'),
      batch([inputOf(1)]),
    ]);
    expect(checked?.frame).toMatchObject({ case: 'checked', value: { problems: [{ line: 3, column: 11 }] } });
    expect(rest).toEqual([]);
  });

  it.each([
    ['a batch before the candidate', () => [batch([inputOf(1)])]],
    ['nothing at all', () => []],
    ['two candidates', () => [candidate(evenAllowed), candidate(evenAllowed)]],
    ['an empty batch', () => [candidate(evenAllowed), batch([])]],
    ['a digest that is none', () => [candidate(evenAllowed), batch([{ ...inputOf(1), inputDigest: 'x' }])]],
    ['a digest of something else', () => [candidate(evenAllowed), batch([{ ...inputOf(1), inputJson: '{"n":2}' }])]],
    ['a digest without its input', () => [candidate(evenAllowed), batch([{ ...inputOf(1), inputJson: '' }])]],
    ['too many inputs', () => [candidate(evenAllowed), batch(Array.from({ length: 513 }, (_, n) => inputOf(n)))]],
    ['a zone that is none', () => [candidate(evenAllowed, 'not a zone'), batch([inputOf(1)])]],
  ])('refuses %s', async (_what, frames) => {
    expect(await reasonOf(replay(frames()))).toBe('invalid_request');
  });

  it('goes on after OPA has forgotten everything', async () => {
    const headers = { authorization: `Bearer ${opa.running().token}` };
    const policies = `${opa.running().url}/v1/policies`;
    let forget: () => void = () => undefined;
    const forgotten = new Promise<void>((resolve) => {
      forget = resolve;
    });
    async function* frames(): AsyncGenerator<Frame> {
      yield candidate(evenAllowed);
      yield batch([inputOf(1)]);
      await forgotten;
      yield batch([inputOf(6)]);
    }
    const responses: ReplayPolicyResponse[] = [];
    for await (const response of sts.peer('api').client.replayPolicy(frames())) {
      responses.push(response);
      if (responses.length !== 2) continue;
      const { result } = (await (await fetch(policies, { headers })).json()) as { result: { id: string }[] };
      const forgettable = result.filter(({ id }) => id.startsWith('caracal/'));
      for (const { id } of forgettable) await fetch(`${policies}/${id}`, { method: 'DELETE', headers });
      forget();
    }
    expect(answersOf(responses)).toEqual(['deny', 'allow']);
  });
});

describe('candidates', () => {
  it('have a share for each zone, and give it back', async () => {
    const open: (() => void)[] = [];
    const { client } = sts.peer('api');
    const held = async (): Promise<void> => {
      async function* frames(): AsyncGenerator<Frame> {
        yield candidate(evenAllowed);
        await new Promise<void>((resolve) => open.push(resolve));
      }
      for await (const response of client.replayPolicy(frames())) expect(response.frame.case).toBe('checked');
    };
    const two = [held(), held()];
    await expect.poll(() => open.length, { timeout: 30_000 }).toBe(2);
    await expect.poll(async () => reasonOf(replay([candidate(evenAllowed)])), { timeout: 30_000 }).toBe('rate_limited');
    expect(await reasonOf(replay([candidate(evenAllowed, newId())]))).toBe('answered');
    for (const end of open) end();
    await Promise.all(two);
    await expect.poll(async () => reasonOf(replay([candidate(evenAllowed)])), { timeout: 30_000 }).toBe('answered');
  });

  it('take no place of what is enforced', async () => {
    const zone = await sts.zone();
    const application = await sts.application(zone);
    await sts.resource(zone, { identifier: 'resource://calendar', scopes: ['calendar:read'] });
    await sts.policy(zone, [allowAll]);
    const ask = async (scope: string): Promise<number> =>
      (await sts.token(application, { resource: 'resource://calendar', scope })).status;
    expect(await ask('calendar:read')).toBe(200);
    const enforced = async () => (await sts.peer('api').client.policyStatus({ zoneId: zone.id })).loaded;
    expect(await enforced()).toBe(true);
    expect(answersOf(await replay([candidate(evenAllowed, zone.id), batch([inputOf(2)])]))).toEqual(['allow']);
    expect(await enforced()).toBe(true);
    expect(await ask('calendar:read')).toBe(200);
  });
});
