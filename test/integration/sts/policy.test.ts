import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { newId } from '#mesh/ids';
import { allowAll, startSts } from './sts-installation.ts';
import type { Reply, StsInstallation, TestApplication, TestZone } from './sts-installation.ts';

describe.each([
  { by: 'OPA', compiled: false },
  { by: 'compiled policies', compiled: true },
])('policy answered by $by', ({ compiled }) => {
  let opa: Restartable<RunningOpa>;
  let sts: StsInstallation;
  const calendar = 'resource://calendar';

  beforeAll(async () => {
    opa = await privateOpa();
    const { url, token } = opa.running();
    sts = await startSts({
      overrides: {
        sts: {
          OPA_URL: url,
          OPA_TOKEN: token,
          OPA_MAX_LOADED_SETS: '4',
          OPA_TIMEOUT_MS: '250',
          ...(compiled ? {} : { OPA_BINARY: '' }),
        },
      },
    });
  }, 120_000);
  afterAll(async () => {
    await sts?.[Symbol.asyncDispose]();
    await opa?.[Symbol.asyncDispose]();
  });

  interface Governed {
    readonly zone: TestZone;
    readonly app: TestApplication;
  }

  async function governed(sources: readonly string[], params = {}): Promise<Governed> {
    const zone = await sts.zone();
    const app = await sts.application(zone);
    await sts.resource(zone, { identifier: calendar, scopes: ['calendar:read', 'calendar:write'] });
    if (sources.length > 0) await sts.policy(zone, sources, params);
    return { zone, app };
  }

  const ask = async ({ app }: Governed, scope = 'calendar:read'): Promise<Reply> =>
    sts.token(app, { resource: calendar, scope });

  function policy(body: string): string {
    return `package caracal.authz\n\n${body}\n`;
  }

  const answer = (decision: string, extra = ''): string =>
    policy(
      `result := {"decision": "${decision}", "evaluation_status": "complete", "determining_policies": ["${decision}"], "diagnostics": [${extra}]}`,
    );

  describe('a decision', () => {
    it('is an allow only when policy says so, and shows the policy’s own reason', async () => {
      const source =
        policy(`default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["readers"], "diagnostics": [{"reason": "writers are not welcome"}]}
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["readers"], "diagnostics": []} if {
  every scope in input.context.requested_scopes { scope in params.allowed }
  input.principal.id != ""
}`);
      const zone = await governed([source], { allowed: ['calendar:read'] });
      expect((await ask(zone)).status).toBe(200);
      const refused = await ask(zone, 'calendar:write');
      expect(refused.status).toBe(403);
      expect(refused.body).toMatchObject({
        error: 'policy_denied',
        details: { diagnostics: [{ reason: 'writers are not welcome' }], evaluation_status: 'complete' },
      });
    });

    it.each([
      ['there is no active set', []],
      ['the policy is undefined', [policy('result := {"decision": "allow"} if { input.nothing.here }')]],
      [
        'the answer is not complete',
        [
          policy(
            'result := {"decision": "allow", "evaluation_status": "partial", "determining_policies": [], "diagnostics": []}',
          ),
        ],
      ],
      ['the answer has another form', [policy('result := "allow"')]],
      ['the answer is an empty object', [policy('result := {}')]],
      ['the decision is unknown', [answer('ALLOW')]],
      ['nobody has an opinion', [answer('abstain'), answer('abstain')]],
      ['one of several denies', [answer('allow'), answer('deny')]],
      ['one of several is undefined', [answer('allow'), policy('result := 1 if { false }')]],
      ['an approval of no known kind would be needed', [answer('allow', '{"step_up_required": "coffee"}')]],
    ])('is a denial when %s', async (_why, sources) => {
      const reply = await ask(await governed(sources));
      expect({ status: reply.status, error: reply.body['error'] }).toEqual({ status: 403, error: 'policy_denied' });
    });

    it('is a denial of its own when evaluation fails or takes too long', async () => {
      const conflicting = await ask(await governed([policy('result := 1\nresult := 2 if { input.principal }')]));
      expect(conflicting.body['error']).toBe('policy_unavailable');
      const failing = await ask(await governed([policy('result := {"decision": "allow", "x": to_number("no")}')]));
      expect(failing.body['error']).toBe('policy_unavailable');
      const slow =
        policy(`n := {x | some x in array.concat(${JSON.stringify(Array.from({ length: 200 }, (_, i) => i))}, [])}
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [{"n": count({[a, b, c, d] | some a in n; some b in n; some c in n; some d in n})}]}`);
      const timedOut = await ask(await governed([slow]));
      expect(timedOut.body).toMatchObject({ error: 'policy_unavailable', details: { evaluation_status: 'timeout' } });
    });

    it('lets one allow stand beside abstentions and names who decided', async () => {
      const zone = await governed([answer('abstain'), answer('allow')]);
      expect((await ask(zone)).status).toBe(200);
    });
  });

  describe('isolation', () => {
    const sources = (names: readonly string[]): { policyVersionId: string; name: string; content: string }[] =>
      names.map((content) => ({ policyVersionId: newId(), name: 'p', content }));
    const validate = async (
      content: string,
      paramsJson = '',
    ): Promise<{ code: string; line: number; column: number; message: string }[]> => {
      const { problems } = await sts
        .peer('api')
        .client.validatePolicy({ zoneId: newId(), policies: sources([content]), paramsJson });
      return problems.map(({ code, line, column, message }) => ({ code, line, column, message }));
    };

    it('accepts what reads input, params and its own rules', async () => {
      const fine = `# a policy
package caracal.authz # the one

import rego.v1
import input.principal as who

default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}
result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []} if {
  who.id in params.friends
  helper("data.secret", count(input.context.requested_scopes))
  not blocked
}
helper(text, n) if { startswith(text, "data"); n > 0 }
blocked if { some s in input.context.requested_scopes; s == "http.send" }
tested if { result.decision == "deny" with input.principal.id as "x" }
`;
      expect(await validate(fine, '{"friends": ["a"]}')).toEqual([]);
    });

    it.each([
      ['data of another zone', 'x := data.caracal.z_1.v_1.p_0.result', 'forbidden_reference', 4, 6],
      ['data by bracket', 'x := data["caracal"]', 'forbidden_reference', 4, 6],
      ['bare data', 'x := data', 'forbidden_reference', 4, 6],
      ['data as an argument', 'x := count(data)', 'forbidden_reference', 4, 12],
      ['data by variable', 'x contains y if { some y; data[y] }', 'forbidden_reference', 4, 27],
      ['data by import', 'import data.caracal as c\nx := c', 'forbidden_reference', 4, 8],
      ['its own package by full path', 'x := data.caracal.authz.result', 'forbidden_reference', 4, 6],
      ['data replaced', 'x if { true with data.foo as 1 }', 'forbidden_reference', 4, 18],
      ['http', 'x := http.send({"method": "get", "url": "http://x"})', 'forbidden_builtin', 4, 6],
      ['http by bracket', 'x := http["send"]({"method": "get", "url": "http://x"})', 'forbidden_builtin', 4, 6],
      [
        'a builtin replaced by another',
        'x if { count([]) == 0 with count as http.send }',
        'forbidden_reference',
        4,
        28,
      ],
      ['http replaced', 'f(a) := 1\nx if { f(1) == 1 with http.send as f }', 'forbidden_builtin', 5, 23],
      ['the clock', 'x := time.now_ns()', 'forbidden_builtin', 4, 6],
      ['randomness', 'x := rand.intn("a", 5)', 'forbidden_builtin', 4, 6],
      ['the runtime', 'x := opa.runtime()', 'forbidden_builtin', 4, 6],
      ['metadata', 'x := rego.metadata.rule()', 'forbidden_builtin', 4, 6],
      ['parsing', 'x := rego.parse_module("a", "package a")', 'forbidden_builtin', 4, 6],
      ['printing', 'x if { print("a") }', 'forbidden_builtin', 4, 8],
      ['name look-up', 'x := net.lookup_ip_addr("localhost")', 'forbidden_builtin', 4, 6],
      ['ids', 'x := uuid.rfc4122("a")', 'forbidden_builtin', 4, 6],
      ['a rule called params', 'params := {"a": 1}', 'reserved_name', 4, 1],
      ['a rule called http', 'http := 1', 'reserved_name', 4, 1],
    ])('refuses %s with its place', async (...[, line, code, row, column]) => {
      const source = `package caracal.authz\n\nresult := 1\n${line}\n`;
      const problems = await validate(source);
      expect(problems).toContainEqual(expect.objectContaining({ code, line: row, column }));
    });

    it.each([
      ['another package', 'package other\nresult := 1', 'wrong_package'],
      ['a longer package', 'package caracal.authz.deeper\nresult := 1', 'wrong_package'],
      ['a bracketed package', 'package caracal["authz"]\nresult := 1', 'wrong_package'],
      ['no package', 'result := 1', 'wrong_package'],
      ['nothing', '# nothing', 'wrong_package'],
      ['no result', 'package caracal.authz\nother := 1', 'missing_result'],
      ['broken syntax', 'package caracal.authz\nresult := {', 'rego_parse_error'],
      ['an unsafe variable', 'package caracal.authz\nresult := x', 'rego_unsafe_var_error'],
      ['recursion', 'package caracal.authz\nresult := result', 'rego_recursion_error'],
      ['a second package clause', 'package caracal.authz\npackage other\nresult := 1', 'rego_parse_error'],
    ])('refuses %s', async (_what, source, code) => {
      expect((await validate(source)).map((problem) => problem.code)).toContain(code);
    });

    it('tells where a set breaks, by policy', async () => {
      const policies = sources([allowAll, 'package caracal.authz\n\nresult := nosuch(1)\n']);
      const { problems } = await sts.peer('api').client.validatePolicy({ zoneId: newId(), policies, paramsJson: '' });
      expect(problems.map(({ policyVersionId, line, column }) => ({ policyVersionId, line, column }))).toContainEqual({
        policyVersionId: policies[1]?.policyVersionId,
        line: 3,
        column: 11,
      });
    });

    it('loads nothing that was never validated: a forbidden policy in the database denies', async () => {
      const sneaky = policy(
        `result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": [], "diagnostics": [opa.runtime()]}`,
      );
      expect((await ask(await governed([sneaky]))).status).toBe(403);
    });

    it('keeps two zones with equal rule names apart, and more versions than fit', async () => {
      const zones = await Promise.all(
        Array.from({ length: 6 }, async (_, n) => governed([answer(n % 2 === 0 ? 'allow' : 'deny')])),
      );
      for (let round = 0; round < 2; round += 1) {
        const statuses = await Promise.all(
          zones.map(async (zone) => (await ask(zone, round === 0 ? 'calendar:read' : 'calendar:write')).status),
        );
        expect(statuses).toEqual([200, 403, 200, 403, 200, 403]);
      }
    });
  });

  describe('the engine', () => {
    it('denies what it cannot know while OPA is away, answers what it remembers, and loads again after a restart', async () => {
      const zone = await governed([allowAll]);
      expect((await ask(zone)).status).toBe(200);
      await opa.running().stop();
      expect((await ask(zone)).status).toBe(200);
      // Compiled, the very same version goes on deciding; one that was never used before cannot be had.
      const unknown = await ask(compiled ? await governed([`${answer('allow')}# ${newId()}`]) : zone, 'calendar:write');
      expect(unknown.body).toMatchObject({
        error: 'policy_unavailable',
        details: { evaluation_status: 'policy_unavailable' },
      });
      expect(unknown.status).toBe(403);
      if (compiled) expect((await ask(zone, 'calendar:write')).status).toBe(200);
      await opa.restart();
      await expect.poll(async () => (await ask(zone, 'calendar:write')).status, { timeout: 20_000 }).toBe(200);
      const { client } = sts.peer('api');
      expect(await client.policyStatus({ zoneId: zone.zone.id })).toMatchObject({ loaded: true });
    });

    it('tells the version it enforces', async () => {
      const zone = await governed([allowAll]);
      const { client } = sts.peer('api');
      expect(await client.policyStatus({ zoneId: zone.zone.id })).toMatchObject({ loaded: false });
      await ask(zone);
      const status = await client.policyStatus({ zoneId: zone.zone.id });
      expect(status).toMatchObject({ loaded: true });
      expect(status.policyDigest).toMatch(/^[0-9a-f]{64}$/);
      expect(await client.policyStatus({ zoneId: newId() })).toMatchObject({ loaded: false, policySetVersionId: '' });
    });
  });
});
