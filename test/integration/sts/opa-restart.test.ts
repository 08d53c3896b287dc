// OPA is killed and brought back under token exchanges: every answer is compared with what the policies say, so that no
// restart ever turns a denial into a grant. `npm run prove -- opa-restart` runs it at length.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { startSts } from './sts-installation.ts';
import type { StsInstallation, TestApplication } from './sts-installation.ts';

const { CARACAL_OPA_RESTARTS: sizeText, CARACAL_OPA_RESTART_REPORT: reportFile } = process.env;
const restarts = Number(sizeText ?? 1);
const callers = 4;
const resource = 'resource://calendar';
const scopes = Array.from({ length: 40 }, (_, at) => `calendar:s${at}`);

/** Even scopes are granted, odd ones denied, and both say so by themselves. */
const evenAllowed = `package caracal.authz

default result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["odd"], "diagnostics": []}

result := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["even"], "diagnostics": []} if {
  every scope in input.context.requested_scopes { scope in params.allowed }
}
`;
const allowed = scopes.filter((_, at) => at % 2 === 0);

const rows: (string | number)[][] = [];
const facts = { answers: 0, granted: 0, denied: 0, unavailable: 0 };
afterAll(() => {
  if (reportFile !== undefined) writeFileSync(reportFile, JSON.stringify({ rows, facts }));
});

interface Bed extends AsyncDisposable {
  readonly opa: Restartable<RunningOpa>;
  readonly sts: StsInstallation;
  readonly app: TestApplication;
}

async function startBed(compiled: boolean): Promise<Bed> {
  const parts = new AsyncDisposableStack();
  const opa = parts.use(await privateOpa());
  const { url, token } = opa.running();
  const settings = { OPA_URL: url, OPA_TOKEN: token, POLICY_MEMO_ENTRIES: '1', STS_MINT_RATE_LIMIT_PER_MIN: '1000000' };
  const sts = parts.use(await startSts({ overrides: { sts: compiled ? settings : { ...settings, OPA_BINARY: '' } } }));
  const zone = await sts.zone();
  const app = await sts.application(zone);
  await sts.resource(zone, { identifier: resource, scopes });
  await sts.policy(zone, [evenAllowed], { allowed });
  return { opa, sts, app, [Symbol.asyncDispose]: async () => parts.disposeAsync() };
}

/** Asks at random until told to stop; what no policy could have said is returned. */
async function askUntil({ sts, app }: Bed, signal: AbortSignal): Promise<string[]> {
  const wrong: string[] = [];
  while (!signal.aborted) {
    const at = Math.floor(Math.random() * scopes.length);
    const { status, body } = await sts.token(app, { resource, scope: scopes[at] });
    facts.answers += 1;
    const said = status === 200 ? 'granted' : String(body['error']);
    const expected = at % 2 === 0 ? 'granted' : 'policy_denied';
    if (said === 'policy_unavailable') facts.unavailable += 1;
    else if (said !== expected) wrong.push(`${scopes[at]}: ${status} ${JSON.stringify(body)}`);
    else if (said === 'granted') facts.granted += 1;
    else facts.denied += 1;
  }
  return wrong;
}

async function recovery({ sts, app }: Bed): Promise<number> {
  const startedMs = performance.now();
  const [even, odd] = scopes;
  for (;;) {
    const granted = await sts.token(app, { resource, scope: even });
    const denied = await sts.token(app, { resource, scope: odd });
    if (granted.status === 200 && denied.body['error'] === 'policy_denied') return performance.now() - startedMs;
    if (performance.now() - startedMs > 30_000) throw new Error('OPA is back and policy is not');
    await sleep(10);
  }
}

describe.each([
  { by: 'OPA', compiled: false },
  { by: 'compiled policies', compiled: true },
])('decisions by $by', ({ by, compiled }) => {
  it(
    'never grant what policy denies while OPA is killed and brought back',
    async () => {
      await using bed = await startBed(compiled);
      await recovery(bed);
      for (let round = 1; round <= restarts; round += 1) {
        const stop = new AbortController();
        const asking = Promise.all(Array.from({ length: callers }, async () => askUntil(bed, stop.signal)));
        await sleep(300);
        process.kill(bed.opa.running().pid, 'SIGKILL');
        await sleep(300);
        await bed.opa.restart();
        const recoveredMs = await recovery(bed);
        rows.push([`${by}, restart ${round}`, Math.round(recoveredMs)]);
        stop.abort();
        expect((await asking).flat()).toEqual([]);
      }
      expect(facts.granted).toBeGreaterThan(0);
      expect(facts.denied).toBeGreaterThan(0);
      if (!compiled) expect(facts.unavailable).toBeGreaterThan(0);
    },
    60_000 + restarts * 60_000,
  );
});
