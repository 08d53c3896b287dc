// The PolicyEngine as the service runs it: clients of every OPA, the engine over them, and its memory in front.
import type { StsMetrics } from '../../metrics.ts';
import type { PolicyEngine } from '../../ports/policy-engine.ts';
import type { PolicyTrials } from '../../ports/policy-trials.ts';
import { createOpaClient } from './opa-client.ts';
import { createPolicyEngineOpa } from './policy-engine-opa.ts';
import { rememberDecisions } from './remembered-decisions.ts';
import { createSyntaxChecker } from './syntax-checker.ts';

export interface OpenPolicyEngineOptions {
  readonly urls: readonly string[];
  readonly token: string | undefined;
  readonly maxLoadedSets: number;
  readonly timeoutMs: number;
  readonly memoEntries: number;
  readonly metrics: Pick<StsMetrics, 'policyLoads' | 'policyLookups'>;
}

export interface OpenPolicyEngine extends AsyncDisposable {
  readonly engine: PolicyEngine;
  readonly trials: PolicyTrials;
  /** Throws when one of them does not answer. */
  ping(): Promise<void>;
}

/** Within the two seconds readiness has. */
const pingTimeoutMs = 1500;

export function openPolicyEngine(options: OpenPolicyEngineOptions): OpenPolicyEngine {
  const { token, maxLoadedSets, timeoutMs, metrics } = options;
  const clients = options.urls.map((url) => createOpaClient({ url, token }));
  const onLoad = (outcome: string): void => metrics.policyLoads.inc({ outcome });
  const onLookup = (hit: boolean): void => metrics.policyLookups.inc({ answer: hit ? 'remembered' : 'asked' });
  const syntax = createSyntaxChecker({ token });
  const engine = createPolicyEngineOpa({ clients, syntax, maxLoadedSets, timeoutMs, onLoad });
  return {
    engine: rememberDecisions(engine, { max: options.memoEntries, onLookup }),
    trials: engine.trials,
    async ping() {
      const path = '/health';
      await Promise.all(clients.map(async (client) => client.call({ method: 'GET', path, timeoutMs: pingTimeoutMs })));
    },
    async [Symbol.asyncDispose]() {
      await syntax[Symbol.asyncDispose]();
      for (const client of clients) await client[Symbol.asyncDispose]();
    },
  };
}
