// The PolicyEngine on OPA's servers: a zone stays with one of them while it answers, and is handed to the next while it is
// away or silent, all within the one time limit of a decision.
import { sha256 } from '#mesh/canonical';
import { loadedDigest, packagePath } from '../../domain/policy-set.ts';
import type { PolicySetVersion } from '../../domain/policy-set.ts';
import type { Evaluation, PolicyEngine } from '../../ports/policy-engine.ts';
import type { PolicyTrials } from '../../ports/policy-trials.ts';
import { createCandidates, validateCandidate } from './candidate-opa.ts';
import type { CandidateOptions } from './candidate-opa.ts';
import type { ModuleSet } from './module-set.ts';
import type { OpaClient } from './opa-client.ts';
import { OpaEndpoint } from './opa-endpoint.ts';
import { createSetLoader } from './set-loader.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

export interface PolicyEngineOpaOptions {
  /** One or several; a zone stays with one of them while it answers. */
  readonly clients: readonly OpaClient[];
  readonly syntax: SyntaxChecker;
  readonly maxLoadedSets: number;
  /** One evaluation, loads aside (authority.md: 250). */
  readonly timeoutMs: number;
  /** `server` is the position among `clients`: addresses are no labels. */
  readonly onLoad?: (outcome: 'loaded' | 'refused' | 'away', server: number) => void;
  readonly onAnswer?: (outcome: string, server: number) => void;
}

export interface PolicyEngineOpa extends PolicyEngine {
  readonly trials: PolicyTrials;
  /** The version as OPA knows it. */
  setOf(version: PolicySetVersion): ModuleSet;
}

/** Two versions of the driver never share a sentinel. */
const driverFormat = 1;
/** What is left of the limit is for another server. */
const patienceShare = 0.4;

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

function weight(zoneId: string, { client }: OpaEndpoint): string {
  return sha256(`${zoneId} ${client.url}`).toString('hex');
}

/**
 * The zone's own first. Rendezvous hashing (highest weight wins): when one is away its zones are spread over all others,
 * and nobody else's move. Those that failed a moment ago come last.
 */
function inOrder(endpoints: readonly OpaEndpoint[], zoneId: string): readonly OpaEndpoint[] {
  if (endpoints.length < 2) return endpoints;
  const weighed = endpoints.map((endpoint) => ({ endpoint, weight: weight(zoneId, endpoint) }));
  const sorted = weighed.toSorted((a, b) => (a.weight < b.weight ? 1 : -1)).map(({ endpoint }) => endpoint);
  return [...sorted.filter((one) => !one.isAvoided()), ...sorted.filter((one) => one.isAvoided())];
}

/** True when another server may know better. */
function isServersFault(outcome: Evaluation | { kind: 'silent' }): boolean {
  return outcome.kind === 'silent' || (outcome.kind === 'failed' && outcome.status === 'policy_unavailable');
}

function endpointsOf(options: PolicyEngineOpaOptions): readonly OpaEndpoint[] {
  const { clients, syntax, maxLoadedSets, onLoad, onAnswer } = options;
  return clients.map(
    (client, server) =>
      new OpaEndpoint({
        client,
        loader: createSetLoader({ client, syntax }, maxLoadedSets),
        onLoad: (outcome) => onLoad?.(outcome, server),
        onAnswer: (outcome) => onAnswer?.(outcome, server),
      }),
  );
}

/** The engine. Owns nothing but what it loaded; clients are disposed by who made them. */
export function createPolicyEngineOpa(options: PolicyEngineOpaOptions): PolicyEngineOpa {
  const endpoints = endpointsOf(options);
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
    setOf,
    async evaluate({ version, inputJson }) {
      const set = setOf(version);
      const order = inOrder(endpoints, version.zoneId);
      let leftMs = options.timeoutMs;
      let last: Evaluation = { kind: 'failed', status: 'policy_unavailable' };
      for (const [at, endpoint] of order.entries()) {
        const patienceMs = at === order.length - 1 ? undefined : Math.ceil(leftMs * patienceShare);
        const outcome = await endpoint.evaluate({ set, inputJson, timeoutMs: leftMs }, patienceMs);
        if (outcome.kind === 'silent') leftMs = Math.max(1, leftMs - (patienceMs ?? 0));
        else last = outcome;
        if (!isServersFault(outcome)) return last;
      }
      return last;
    },
    validate: async (zoneId, policies, params) => validateCandidate({ zoneId, policies, params }, candidates),
    trials: createCandidates(candidates),
    async isLoaded(version) {
      const [endpoint] = inOrder(endpoints, version.zoneId);
      const question = { set: setOf(version), inputJson: '{}', timeoutMs: options.timeoutMs };
      const asked = await endpoint?.ask(question);
      return asked?.kind === 'answered' || (asked?.kind === 'failed' && asked.status === 'evaluation_error');
    },
  };
}
