// The PolicyEngine on OPA: finds the version's package, asks once, believes only an answer that carries the version's own
// sentinel, and loads and asks again once when it does not (OPA forgets everything on a restart).
import { sha256 } from '#mesh/canonical';
import type { JsonValue } from '#mesh/failure';
import { loadedDigest, packagePath } from '../../domain/policy-set.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import { createZoneTurns } from '../../domain/zone-turns.ts';
import type { ZoneTurns } from '../../domain/zone-turns.ts';
import type { Evaluation, PolicyEngine } from '../../ports/policy-engine.ts';
import type { PolicyTrials } from '../../ports/policy-trials.ts';
import { createCandidates, validateCandidate } from './candidate-opa.ts';
import type { CandidateOptions } from './candidate-opa.ts';
import { OpaAway, isJsonObject } from './opa-client.ts';
import type { OpaClient } from './opa-client.ts';
import { SetRefused, createSetLoader } from './set-loader.ts';
import type { SetLoader } from './set-loader.ts';
import type { ModuleSet } from './module-set.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

export interface PolicyEngineOpaOptions {
  /** One or several; a zone stays with one of them while it answers. */
  readonly clients: readonly OpaClient[];
  readonly syntax: SyntaxChecker;
  readonly maxLoadedSets: number;
  /** One evaluation, loads aside (authority.md: 250). */
  readonly timeoutMs: number;
  readonly onLoad?: (outcome: 'loaded' | 'refused' | 'away', client: string) => void;
}

interface Endpoint {
  readonly client: OpaClient;
  readonly loader: SetLoader;
  readonly turns: ZoneTurns;
}

/** A zone whose policies are slow leaves a quarter of the connections to the others, who then wait for none. */
const zoneShare = 0.75;
/** Everything that one process has under way stays far below; whoever waits longer than the time limit is denied. */
const maxWaiting = 16_384;
const maxWaitingPerZone = 1024;

type Asked = { readonly kind: 'not_loaded' } | Evaluation;

/** What 256 policies have to say; reading more would hold up every other zone's decisions. */
const answerLimits = { maxBytes: 1024 * 1024, maxDepth: 64 };

/** Two versions of the driver never share a sentinel. */
const driverFormat = 1;

function moduleSet(version: PolicySetVersion): ModuleSet {
  const digest = loadedDigest(version);
  return {
    zoneId: version.zoneId,
    base: packagePath(version.zoneId, digest),
    sentinel: `${version.zoneId} ${digest} ${driverFormat}`,
    params: version.params,
    sources: version.policies.map(({ content }) => content),
  };
}

function readDriver(body: JsonValue, sentinel: string): Asked {
  const result = isJsonObject(body) ? body['result'] : undefined;
  if (!isJsonObject(result) || result['sentinel'] !== sentinel) return { kind: 'not_loaded' };
  const results = result['results'];
  return { kind: 'answered', results: isJsonObject(results) ? results : {}, remembered: false };
}

function isRuntimeError(body: JsonValue): boolean {
  return isJsonObject(body) && body['code'] === 'internal_error';
}

async function askOnce(
  client: OpaClient,
  set: ModuleSet,
  about: { inputJson: string; timeoutMs: number },
): Promise<Asked> {
  try {
    const reply = await client.call({
      method: 'POST',
      // Strict: a built-in that fails is an error, never a rule that silently does not hold.
      path: `/v1/data/${set.base.join('/')}/driver?strict-builtin-errors=true`,
      body: `{"input":${about.inputJson}}`,
      timeoutMs: about.timeoutMs,
      answer: answerLimits,
    });
    if (reply.status === 200) return readDriver(reply.body, set.sentinel);
    return { kind: 'failed', status: isRuntimeError(reply.body) ? 'evaluation_error' : 'policy_unavailable' };
  } catch (error) {
    return { kind: 'failed', status: error instanceof OpaAway && error.timedOut ? 'timeout' : 'policy_unavailable' };
  }
}

/** The zone's own OPA first, then the others in order. */
function inOrder(endpoints: readonly Endpoint[], zoneId: string): readonly Endpoint[] {
  const first = sha256(zoneId).readUInt32BE(0) % Math.max(1, endpoints.length);
  return [...endpoints.slice(first), ...endpoints.slice(0, first)];
}

async function loadInto(
  { client, loader }: Endpoint,
  set: ModuleSet,
  onLoad: PolicyEngineOpaOptions['onLoad'],
): Promise<Evaluation | undefined> {
  try {
    await loader.load(set);
    onLoad?.('loaded', client.url);
    return undefined;
  } catch (error) {
    const refused = error instanceof SetRefused;
    onLoad?.(refused ? 'refused' : 'away', client.url);
    return { kind: 'failed', status: refused ? 'malformed' : 'policy_unavailable' };
  }
}

/** Asks when the zone has its turn; waiting counts towards the time limit. */
async function askInTurn(
  { client, turns }: Endpoint,
  set: ModuleSet,
  about: { inputJson: string; timeoutMs: number },
): Promise<Asked> {
  const startedAtMs = performance.now();
  const entered = turns.enter(set.zoneId);
  if (entered === undefined) return { kind: 'failed', status: 'policy_unavailable' };
  const leave = typeof entered === 'function' ? entered : await entered;
  try {
    const timeoutMs = about.timeoutMs - Math.floor(performance.now() - startedAtMs);
    if (timeoutMs <= 0) return { kind: 'failed', status: 'timeout' };
    return await askOnce(client, set, { ...about, timeoutMs });
  } finally {
    leave();
  }
}

async function evaluateAt(
  options: PolicyEngineOpaOptions,
  endpoint: Endpoint,
  about: { set: ModuleSet; inputJson: string },
): Promise<Evaluation> {
  const { set, inputJson } = about;
  const { timeoutMs } = options;
  endpoint.loader.touch(set);
  const first = await askInTurn(endpoint, set, { inputJson, timeoutMs });
  if (first.kind !== 'not_loaded') return first;
  const failed = await loadInto(endpoint, set, options.onLoad);
  if (failed) return failed;
  const second = await askInTurn(endpoint, set, { inputJson, timeoutMs });
  return second.kind === 'not_loaded' ? { kind: 'failed', status: 'undefined' } : second;
}

/** The engine. Owns nothing but what it loaded; clients are disposed by who made them. */
export function createPolicyEngineOpa(
  options: PolicyEngineOpaOptions,
): PolicyEngine & { readonly trials: PolicyTrials } {
  const endpoints: readonly Endpoint[] = options.clients.map((client) => ({
    client,
    loader: createSetLoader({ client, syntax: options.syntax }, options.maxLoadedSets),
    turns: createZoneTurns({
      places: client.connections,
      perZone: Math.max(1, Math.floor(client.connections * zoneShare)),
      maxWaiting,
      maxWaitingPerZone,
    }),
  }));
  const candidates: CandidateOptions = {
    timeoutMs: options.timeoutMs,
    inOrder: (zoneId) => inOrder(endpoints, zoneId),
  };
  const sets = new WeakMap<PolicySetVersion, ModuleSet>();

  function setOf(version: PolicySetVersion): ModuleSet {
    const set = sets.get(version) ?? moduleSet(version);
    sets.set(version, set);
    return set;
  }

  return {
    async evaluate({ version, inputJson }) {
      const set = setOf(version);
      let last: Evaluation = { kind: 'failed', status: 'policy_unavailable' };
      for (const endpoint of inOrder(endpoints, version.zoneId)) {
        last = await evaluateAt(options, endpoint, { set, inputJson });
        if (last.kind === 'answered' || last.status !== 'policy_unavailable') return last;
      }
      return last;
    },
    validate: async (zoneId, policies, params) => validateCandidate({ zoneId, policies, params }, candidates),
    trials: createCandidates(candidates),
    async isLoaded(version) {
      const [endpoint] = inOrder(endpoints, version.zoneId);
      if (!endpoint) return false;
      const asked = await askOnce(endpoint.client, setOf(version), { inputJson: '{}', timeoutMs: options.timeoutMs });
      return asked.kind === 'answered' || (asked.kind === 'failed' && asked.status === 'evaluation_error');
    },
  };
}
