// Replay over a real ledger: recorded decisions against a candidate, judged by a model, with the rate at which they are
// answered. Once as traffic is, with equal inputs, and once with every input another.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Agent, request } from 'undici';
import type { JsonObject } from '#mesh/failure';
import { newId } from '#mesh/ids';
import { cpuSeconds } from '../cpu.ts';
import { makeZone, openGovernedZone, type GovernedZone } from './governed-zone.ts';
import { startProofInstallation, type ProofInstallation } from './installation.ts';
import type { Proof, ProofReport, ProofRequest } from './proof.ts';
import { candidatePolicy, recordTraffic, type Modelled, type Pattern } from './recorded-traffic.ts';
import { seededRandom } from './seeded-random.ts';

/** Everything but the parts that a replay does not touch. */
const services = ['sts', 'audit', 'api'] as const;
/** Whatever works for a replay; Postgres' own processes for each connection are left out. */
const busyParts = ['sts', 'audit', 'api', 'opa'] as const;
/** A loaded machine is no slow policy. */
const overrides = { sts: { OPA_TIMEOUT_MS: '5000' } };
/** Ingestion of the whole range, at a tenth of its budget. */
const ingestPatienceMs = 180_000;
const replayPatienceMs = 600_000;
const pollMs = 200;

interface Summary {
  readonly decisions: number;
  readonly evaluated: number;
  readonly flipped: number;
  readonly transitions: Readonly<Record<string, number>>;
  readonly without_input: number;
  readonly cut: boolean;
  readonly groups: readonly { readonly count: number }[];
  readonly flips_not_listed: number;
  readonly elapsed_ms: number;
  readonly decisions_per_second: number;
}

interface Range {
  readonly name: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly modelled: Modelled;
}

/** A decision that the STS really takes, as the ledger has it. */
async function patternOf(zone: GovernedZone): Promise<Pattern> {
  const { zoneId, resource } = zone.facts;
  const seen = await zone.token({ resource, scope: 'reports:read' });
  if (seen.status !== 200) throw new Error(`the first exchange was refused: ${JSON.stringify(seen.body)}`);
  for (;;) {
    const { entries } = await zone.audit.searchEvents({
      zoneId,
      eventTypes: ['token.exchange'],
      requestId: seen.requestId,
    });
    const event = entries[0]?.event;
    if (event !== undefined) {
      const { policySetId, policySetVersionId, manifestSha, inputJson } = event;
      return { zoneId, policySetId, policySetVersionId, manifestSha, input: JSON.parse(inputJson) as JsonObject };
    }
    await sleep(pollMs);
  }
}

/** Waits until the ledger has the last event of a range, which was written last. */
async function waitForLedger(
  zone: GovernedZone,
  last: { readonly requestId: string; readonly range: Range },
): Promise<void> {
  const until = performance.now() + ingestPatienceMs;
  const { sinceMs, untilMs } = last.range;
  const query = {
    zoneId: zone.facts.zoneId,
    requestId: last.requestId,
    since: timestampFromMs(sinceMs),
    until: timestampFromMs(untilMs),
  };
  while ((await zone.audit.searchEvents(query)).entries.length === 0) {
    if (performance.now() > until) throw new Error('the ledger did not take the events in time');
    await sleep(pollMs);
  }
}

async function replay(installation: ProofInstallation, pattern: Pattern, range: Range): Promise<Summary> {
  const ca = readFileSync(join(installation.tlsFolder, 'ca.pem'));
  const dispatcher = new Agent({ connect: { ca }, headersTimeout: replayPatienceMs, bodyTimeout: replayPatienceMs });
  try {
    const place = `/v1/zones/${pattern.zoneId}/policy-sets/${pattern.policySetId}/replay`;
    const { statusCode, body } = await request(`${installation.urls.api}${place}`, {
      method: 'POST',
      dispatcher,
      headers: { authorization: `Bearer ${installation.stack.secrets.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        policies: [{ name: 'careful', content: candidatePolicy }],
        since: new Date(range.sinceMs).toISOString(),
        until: new Date(range.untilMs).toISOString(),
      }),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the replay was refused: ${statusCode} ${text}`);
    return JSON.parse(text) as Summary;
  } finally {
    await dispatcher.destroy();
  }
}

function problemsOf({ name, modelled }: Range, summary: Summary): string[] {
  const grouped = summary.groups.reduce((sum, { count }) => sum + count, 0) + summary.flips_not_listed;
  const checks: readonly (readonly [string, unknown, unknown])[] = [
    ['decisions', summary.decisions, modelled.decisions],
    ['evaluations', summary.evaluated, modelled.distinct],
    ['allow to deny', summary.transitions['allow_to_deny'] ?? 0, modelled.transitions['allow_to_deny'] ?? 0],
    ['deny to allow', summary.transitions['deny_to_allow'] ?? 0, modelled.transitions['deny_to_allow'] ?? 0],
    ['flips in groups', grouped, summary.flipped],
    ['decisions without input', summary.without_input, 0],
    ['the limit cut', summary.cut, false],
  ];
  return checks
    .filter(([, seen, wanted]) => seen !== wanted)
    .map(([what, seen, wanted]) => `${name}: ${what}: ${String(seen)}, and the model says ${String(wanted)}`);
}

async function recordedRange(
  { installation, zone, pattern }: { installation: ProofInstallation; zone: GovernedZone; pattern: Pattern },
  about: { name: string; size: number; seed: number; sinceMs: number; allDifferent: boolean },
): Promise<Range> {
  const { name, size, seed, sinceMs, allDifferent } = about;
  const random = seededRandom(seed);
  const traffic = { pattern, count: size, random, fromMs: sinceMs, allDifferent, incarnation: newId() };
  const range = { name, sinceMs, untilMs: sinceMs + size, modelled: await recordTraffic(installation, traffic) };
  await waitForLedger(zone, { requestId: `replayed-${size - 1}`, range });
  return range;
}

async function chainHolds(
  zone: GovernedZone,
  say: (line: string) => void,
): Promise<{ checked: number; findings: number }> {
  let [checked, findings] = [0, 0];
  for await (const progress of zone.audit.verifyRange({ zoneId: zone.facts.zoneId })) {
    checked = Number(progress.checked);
    findings = Number(progress.findingCount);
  }
  say(`the chain of ${checked} events was verified: ${findings} findings`);
  return { checked, findings };
}

/** What a replay found and what it cost. */
interface Replayed {
  readonly range: Range;
  readonly summary: Summary;
  readonly cpuSeconds: number;
}

async function timedReplay(
  { installation, pattern }: { installation: ProofInstallation; pattern: Pattern },
  range: Range,
  say: (line: string) => void,
): Promise<Replayed> {
  const pids = Object.fromEntries(busyParts.map((name) => [name, installation.part(name).pid()]));
  const before = cpuSeconds(pids);
  const summary = await replay(installation, pattern, range);
  const after = cpuSeconds(pids);
  const spent = busyParts.map((name) => (after[name] ?? 0) - (before[name] ?? 0));
  say(`CPU seconds: ${busyParts.map((name, n) => `${name} ${spent[n]?.toFixed(1)}`).join(', ')}`);
  return { range, summary, cpuSeconds: spent.reduce((sum, seconds) => sum + seconds, 0) };
}

const columns = [
  ...[
    'inputs',
    'decisions',
    'evaluated',
    'flips',
    'allow→deny',
    'deny→allow',
    'groups listed',
    'seconds',
    'per second',
  ],
  ...['CPU s', 'per CPU s'],
];

function rowOf({ range, summary, cpuSeconds: cpu }: Replayed): (string | number)[] {
  const { decisions, evaluated, flipped, groups, transitions } = summary;
  return [
    ...[range.name, decisions, evaluated, flipped],
    ...[transitions['allow_to_deny'] ?? 0, transitions['deny_to_allow'] ?? 0, groups.length],
    ...[(summary.elapsed_ms / 1000).toFixed(1), summary.decisions_per_second],
    ...[cpu.toFixed(1), Math.round(decisions / cpu)],
  ];
}

async function run({ size, seed, place, say }: ProofRequest): Promise<ProofReport> {
  await using installation = await startProofInstallation({ ...place, services, overrides });
  await using zone = await openGovernedZone(installation, await makeZone(installation));
  const pattern = await patternOf(zone);
  const world = { installation, zone, pattern };
  // Apart from each other and from now, in the past that the ledger takes.
  const hourMs = 3_600_000;
  const kinds = [
    { name: 'as traffic is', allDifferent: false, sinceMs: Date.now() - 48 * hourMs },
    { name: 'every input another', allDifferent: true, sinceMs: Date.now() - 24 * hourMs },
  ];
  const replayed: Replayed[] = [];
  for (const [at, kind] of kinds.entries()) {
    say(`recording ${size} decisions, ${kind.name}`);
    const range = await recordedRange(world, { ...kind, size, seed: seed + at });
    replayed.push(await timedReplay(world, range, say));
  }
  const problems = replayed.flatMap(({ range, summary }) => problemsOf(range, summary));
  const chain = await chainHolds(zone, say);
  if (chain.findings > 0) problems.push(`the ledger does not verify: ${chain.findings} findings`);
  const facts = {
    chained: chain.checked,
    decisions: replayed.reduce((sum, { summary }) => sum + summary.decisions, 0),
  };
  return { columns, rows: replayed.map(rowOf), facts, problems };
}

export const policyReplayProof: Proof = {
  name: 'policy-replay',
  sentence:
    'A replay over the ledger finds exactly the flips that a model of the candidate says, at the rate it prints.',
  unit: 'recorded decisions, replayed as traffic is and again with every input another',
  defaultSize: 100_000,
  run,
};
