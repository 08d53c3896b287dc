// Many zones with policies of their own on one STS' policy engine and one OPA: every answer is the zone's own, loads are
// counted, and what an activation costs the others is measured beside a baseline. `npm run prove -- policy-zones` runs it large.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, sha256Hex } from '#mesh/canonical';
import type { PolicySetVersion } from '../../../services/sts/domain/policy-set.ts';
import { openPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import type { OpenPolicyEngine } from '../../../services/sts/outbound/opa/open-policy-engine.ts';
import type { RunningOpa } from '../../../dev/components/opa.ts';
import { privateOpa } from '../../support/private-components.ts';
import type { Restartable } from '../../support/private-components.ts';
import { testOpa } from '../../support/stack.ts';

const { CARACAL_POLICY_ZONES: sizeText, CARACAL_POLICY_ZONES_REPORT: reportFile } = process.env;
const zoneCount = Number(sizeText ?? 12);
const maxLoadedSets = Number(sizeText ?? 12) > 256 ? 256 : 8;
const isProof = reportFile !== undefined;
/** Zones that are asked all the time while another's policies change. */
const busyZones = 4;
const inFlight = 8;
const rounds = isProof ? 5 : 1;
const questionsPerRound = isProof ? 8000 : 200;
/** Between two questions of one caller, so that what is measured is a decision and not the wait for a busy machine. */
const pauseMs = 4;
const activationEveryMs = 200;
const policies = 5;
/** What an STS allows one evaluation; here it is counted and not enforced, since a loaded machine is no slow policy. */
const limitMs = 250;

const facts: Record<string, number> = {};
const rows: (string | number)[][] = [];
const counts = new Map<string, number>();
const counter = {
  inc: (labels: Readonly<Record<string, string>>): void => {
    const key = Object.values(labels).join(' ');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  },
};

let opa: Restartable<RunningOpa>;
let policy: OpenPolicyEngine;
beforeAll(async () => {
  opa = await privateOpa();
  const { url, token } = opa.running();
  policy = openPolicyEngine({
    ...{ urls: [url], token, binary: testOpa().binary, maxLoadedSets, timeoutMs: 10_000 },
    // Every question is computed.
    memoEntries: 1,
    metrics: { policyLoads: counter, policyLookups: counter, policyAnswers: counter, opaQuestions: counter },
  });
});
afterAll(async () => {
  await policy?.[Symbol.asyncDispose]();
  await opa?.[Symbol.asyncDispose]();
  if (reportFile !== undefined) writeFileSync(reportFile, JSON.stringify({ rows, facts }));
});

function source(zone: number, at: number, change: number): string {
  return `package caracal.authz

# policy ${at} of zone ${zone}, change ${change}
default result := {"decision": "abstain", "evaluation_status": "complete", "determining_policies": [], "diagnostics": []}

result := {"decision": "deny", "evaluation_status": "complete", "determining_policies": ["no-writers"], "diagnostics": [{"zone": params.zone}]} if {
  some scope in input.context.requested_scopes
  endswith(scope, ":write")
  not is_writer
} else := {"decision": "allow", "evaluation_status": "complete", "determining_policies": ["readers"], "diagnostics": [{"zone": params.zone}]} if {
  every scope in input.context.requested_scopes { scope in params.allowed }
  input.principal.id != ""
}

is_writer if "writer-${at}" in input.principal.traits
is_writer if input.principal.labels.team == "platform"
`;
}

function versionOf(zone: number, change = 0): PolicySetVersion {
  return {
    zoneId: `zone-${zone}`,
    policySetId: 's',
    versionId: `v${change}`,
    digest: sha256Hex(`${zone} ${change}`),
    params: { zone: `zone-${zone}`, allowed: [`${zone}:read`] },
    policies: Array.from({ length: policies }, (_, at) => ({
      policyVersionId: `p${at}`,
      name: `p${at}`,
      content: source(zone, at, change),
    })),
  };
}

let asked = 0;
const wrong: string[] = [];

/** Asks what was never asked before, whether the zone's own scope is allowed; milliseconds. */
async function ask(version: PolicySetVersion, zone: number): Promise<number> {
  asked += 1;
  const inputJson = canonicalJson({
    action: { id: 'GatewayCall', method: 'GET', path: `/reports/${asked}` },
    context: { requested_scopes: [`${zone}:read`] },
    principal: { id: 'app', labels: {}, traits: [] },
  });
  const startedMs = performance.now();
  const evaluation = await policy.engine.evaluate({ version, inputJson, inputDigest: sha256Hex(inputJson) });
  const tookMs = performance.now() - startedMs;
  if (tookMs > limitMs) facts['slowerThanTheLimit'] = (facts['slowerThanTheLimit'] ?? 0) + 1;
  const answer = evaluation.kind === 'answered' ? JSON.stringify(evaluation.results) : evaluation.status;
  const right = answer.split(`"zone":"zone-${zone}"`).length === policies + 1 && answer.includes('"allow"');
  if (!right && wrong.length < 10) wrong.push(`zone ${zone}: ${answer.slice(0, 300)}`);
  return tookMs;
}

const share = (latencies: readonly number[], at: number): number =>
  latencies.toSorted((a, b) => a - b)[Math.min(latencies.length - 1, Math.floor(latencies.length * at))] ?? 0;

const median = (values: readonly number[]): number => share(values, 0.5);

async function load(versions: readonly PolicySetVersion[], questions: number, pause = 0): Promise<number[]> {
  const latencies: number[] = [];
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < questions) {
      const at = next % versions.length;
      next += 1;
      latencies.push(await ask(versions[at] as PolicySetVersion, at));
      if (pause > 0) await sleep(pause);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return latencies;
}

function note(name: string, latencies: readonly number[], seconds: number): void {
  const rounded = (value: number): number => Math.round(value * 100) / 100;
  const at = [0.5, 0.99, 1].map((one) => rounded(share(latencies, one)));
  rows.push([name, latencies.length, Math.round(latencies.length / seconds), ...at]);
}

async function timed(name: string, work: () => Promise<number[]>): Promise<number[]> {
  const startedMs = performance.now();
  const latencies = await work();
  note(name, latencies, (performance.now() - startedMs) / 1000);
  return latencies;
}

const patience = isProof ? 1_800_000 : 120_000;

describe('a policy engine with many zones', () => {
  const all = Array.from({ length: zoneCount }, (_, zone) => versionOf(zone));

  it(
    'answers each by its own policies, loading each set once however many ask at its first use',
    async () => {
      await timed('first use of every zone', async () => load(all, all.length));
      const before = counts.get('compiled') ?? 0;
      expect(counts.get('compiled')).toBeGreaterThanOrEqual(all.length);
      const fresh = versionOf(0, 1);
      await Promise.all(Array.from({ length: 16 }, async () => ask(fresh, 0)));
      // One load, and sixteen answers, each counted under the same word.
      expect(counts.get('compiled')).toBe(before + 17);
      expect(wrong).toEqual([]);
    },
    patience,
  );

  it(
    'serves more active zones than are kept, each still by its own policies',
    async () => {
      await timed('all zones in turn', async () => load(all, all.length * (isProof ? 3 : 2)));
      expect(wrong).toEqual([]);
    },
    patience,
  );

  it(
    'goes on answering the others while a zone changes its policies',
    async () => {
      const busy = all.slice(0, busyZones);
      await load(busy, questionsPerRound);
      const [still, changing]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round += 1) {
        still.push(
          share(await timed('busy zones, nothing else', async () => load(busy, questionsPerRound, pauseMs)), 0.99),
        );
        const stop = new AbortController();
        const activations = changeAllTheTime(zoneCount + round, stop.signal);
        changing.push(
          share(await timed('busy zones, another changes', async () => load(busy, questionsPerRound, pauseMs)), 0.99),
        );
        stop.abort();
        facts['activations'] = (facts['activations'] ?? 0) + (await activations);
      }
      facts['p99StillMs'] = median(still);
      facts['p99ChangingMs'] = median(changing);
      expect(wrong).toEqual([]);
    },
    patience,
  );

  it('is well again after a restart of OPA', async () => {
    await opa.running().stop();
    await ask(all[0] as PolicySetVersion, 0);
    await opa.restart();
    const startedMs = performance.now();
    await expect
      .poll(async () => policy.engine.validate('zone-0', all[0]?.policies ?? [], {}), { timeout: 20_000 })
      .toEqual([]);
    await ask(versionOf(1, 99), 1);
    facts['recoveryAfterOpaRestartMs'] = Math.round(performance.now() - startedMs);
    expect(wrong).toEqual([]);
  });
});

async function changeAllTheTime(zone: number, signal: AbortSignal): Promise<number> {
  let change = 0;
  while (!signal.aborted) {
    change += 1;
    await ask(versionOf(zone, change), zone);
    await sleep(activationEveryMs);
  }
  return change;
}
