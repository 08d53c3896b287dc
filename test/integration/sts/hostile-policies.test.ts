// Policies written to reach other zones, the machine or everyone's time, on a real STS and OPA: refused where they are
// written with their place, or ended where they run, while another zone is answered rightly all along.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { newId } from '#mesh/ids';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { allowAll, startSts } from './sts-installation.ts';
import type { Reply, StsInstallation, TestApplication } from './sts-installation.ts';

const calendar = 'resource://calendar';
const answer = (extra: string): string =>
  `{"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [${extra}]}`;
const policy = (body: string): string => `package caracal.authz\n\n${body}\n`;

describe.each([
  { by: 'OPA', compiled: false },
  { by: 'compiled policies', compiled: true },
])('hostile policies answered by $by', ({ compiled }) => {
  const parts = new AsyncDisposableStack();
  let opa: Restartable<RunningOpa>;
  let sts: StsInstallation;
  let neighbour: TestApplication;

  beforeAll(async () => {
    opa = parts.use(await privateOpa());
    const { url, token } = opa.running();
    const settings = { OPA_URL: url, OPA_TOKEN: token, POLICY_MEMO_ENTRIES: '1', OPA_TIMEOUT_MS: '1000' };
    sts = parts.use(await startSts({ overrides: { sts: compiled ? settings : { ...settings, OPA_BINARY: '' } } }));
    neighbour = await governed(allowAll);
  }, 120_000);
  afterAll(async () => parts.disposeAsync());

  async function governed(source: string): Promise<TestApplication> {
    const zone = await sts.zone();
    await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
    await sts.policy(zone, [source]);
    return sts.application(zone);
  }

  const ask = async (app: TestApplication, scope = 'calendar:read'): Promise<Reply> =>
    sts.token(app, { resource: calendar, scope });

  const validate = async (content: string): Promise<readonly { code: string; line: number; column: number }[]> => {
    const policies = [{ policyVersionId: newId(), name: 'p', content }];
    const { problems } = await sts.peer('api').client.validatePolicy({ zoneId: newId(), policies, paramsJson: '' });
    return problems.map(({ code, line, column }) => ({ code, line, column }));
  };

  it.each([
    ['another zone by path', 'x := data.caracal.z_0.v_0.p_0.result', 'forbidden_reference', 4, 6],
    [
      'another zone through a variable',
      'x contains y if { some z; y := data.caracal[z] }',
      'forbidden_reference',
      4,
      32,
    ],
    [
      'another zone by an import under another name',
      'import data.caracal.z_0 as mine\nx := mine',
      'forbidden_reference',
      4,
      8,
    ],
    ['everything there is', 'x := [y | y := data[_]]', 'forbidden_reference', 4, 16],
    ['data in the place of input', 'x if { count(input) > 0 with input as data }', 'forbidden_reference', 4, 39],
    ['data replaced for its own rules', 'x if { result with data.caracal as 1 }', 'forbidden_reference', 4, 20],
    ['the network by bracket', 'x := http["send"]({"url": "http://x", "method": "get"})', 'forbidden_builtin', 4, 6],
    ['the network as a stand-in', 'f(x) := x\ny if { f(1) with f as http.send }', 'forbidden_reference', 5, 18],
    [
      'the network through a harmless name',
      'x if { lower("A") == "a" with lower as http.send }',
      'forbidden_reference',
      4,
      31,
    ],
    ['environment variables', 'x := opa.runtime().env', 'forbidden_builtin', 4, 6],
    ['the function that ends evaluations', 'x := caracal.give_up("x")', 'forbidden_builtin', 4, 6],
    ['the parser of policies', 'x := rego.parse_module("a", "package a")', 'forbidden_builtin', 4, 6],
  ])('refuses %s, with its place', async (...[, line, code, row, column]) => {
    const problems = await validate(policy(`result := 1\n${line}`));
    expect(problems).toContainEqual({ code, line: row, column });
  });

  it('does not grant by what was never checked, and leaves the neighbour alone', async () => {
    const reaching = await governed(policy(`result := ${answer('data.caracal')}`));
    expect((await ask(reaching)).status).toBe(403);
    expect((await ask(neighbour)).status).toBe(200);
  });

  const numbers = JSON.stringify(Array.from({ length: 300 }, (_, at) => at));
  it.each([
    [
      'never ends',
      `n := {x | some x in ${numbers}}\nresult := ${answer('{"n": count({[a, b, c, d] | some a in n; some b in n; some c in n; some d in n})}')}`,
    ],
    [
      'grows without end',
      `n := {x | some x in ${numbers}}\nresult := ${answer('{"n": count({s | some a in n; some b in n; some c in n; s := sprintf("%v-%v-%v", [a, b, c])})}')}`,
    ],
    [
      'answers with megabytes',
      `n := {x | some x in ${numbers}}\nresult := ${answer('{"n": sort({s | some a in n; some b in n; s := sprintf("%v-%v-and-a-long-tail-to-fill-the-answer", [a, b])})}')}`,
    ],
    ['calls itself in turns', 'f(x) := g(x)\ng(x) := f(x)\nresult := f(1)'],
    ['nests deeply', `result := ${answer(`${'['.repeat(300)}1${']'.repeat(300)}`)}`],
  ])(
    'one that %s is no grant, and holds up nobody else',
    async (_what, body) => {
      const hostile = await governed(policy(body));
      const stop = new AbortController();
      const flood = Promise.all(
        Array.from({ length: 3 }, async () => {
          const statuses = new Set<number>();
          while (!stop.signal.aborted) statuses.add((await ask(hostile)).status);
          return statuses;
        }),
      );
      for (let round = 0; round < 10; round += 1) {
        const reply = await ask(neighbour, round % 2 === 0 ? 'calendar:read' : 'calendar:write');
        expect({ status: reply.status, body: reply.status === 200 ? {} : reply.body }).toEqual({
          status: 200,
          body: {},
        });
      }
      stop.abort();
      for (const statuses of await flood) expect([...statuses]).not.toContain(200);
    },
    60_000,
  );
});
