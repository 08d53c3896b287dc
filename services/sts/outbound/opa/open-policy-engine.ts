// The PolicyEngine as the service runs it: clients of every OPA, the engine over them, compiled sets before it where OPA's
// own program is at hand, and its memory in front.
import { fail } from '#mesh/failure';
import type { StsMetrics } from '../../metrics.ts';
import type { PolicyEngine } from '../../ports/policy-engine.ts';
import type { PolicyTrials } from '../../ports/policy-trials.ts';
import { createCompiledEngine } from '../wasm/compiled-engine.ts';
import { createPolicyCompiler } from '../wasm/policy-compiler.ts';
import { guardCompiler } from './compile-guard.ts';
import { createOpaClient } from './opa-client.ts';
import type { OpaClient } from './opa-client.ts';
import { createPolicyEngineOpa } from './policy-engine-opa.ts';
import type { PolicyEngineOpa } from './policy-engine-opa.ts';
import { rememberDecisions } from './remembered-decisions.ts';
import { createSyntaxChecker } from './syntax-checker.ts';
import type { SyntaxChecker } from './syntax-checker.ts';

export interface OpenPolicyEngineOptions {
  readonly urls: readonly string[];
  readonly token: string | undefined;
  /** OPA's own program, by which sets are compiled; undefined leaves every decision to the servers. */
  readonly binary: string | undefined;
  readonly maxLoadedSets: number;
  readonly timeoutMs: number;
  readonly memoEntries: number;
  readonly metrics: Pick<StsMetrics, 'policyLoads' | 'policyLookups' | 'policyAnswers' | 'opaQuestions'>;
}

export interface OpenPolicyEngine extends AsyncDisposable {
  readonly engine: PolicyEngine;
  readonly trials: PolicyTrials;
  /** Throws when none of them answers: one is enough to decide. */
  ping(): Promise<void>;
}

/** Within the two seconds readiness has. */
const pingTimeoutMs = 1500;

interface Parts {
  readonly clients: readonly OpaClient[];
  readonly syntax: SyntaxChecker;
  readonly servers: PolicyEngineOpa;
}

async function isInOrder({ clients, syntax }: Parts, sources: readonly string[]): Promise<boolean> {
  for (const source of sources) {
    let away = true;
    for (const client of clients) {
      const answer = await syntax.check(client, source);
      if (answer.kind === 'away') continue;
      if (answer.kind === 'unparsed' || answer.problems.length > 0) return false;
      away = false;
      break;
    }
    if (away) throw fail('policy_unavailable');
  }
  return true;
}

function withCompiled(options: OpenPolicyEngineOptions, parts: Parts, stack: AsyncDisposableStack): PolicyEngine {
  const { binary, maxLoadedSets, timeoutMs, metrics } = options;
  if (binary === undefined) return parts.servers;
  const engine = createCompiledEngine({
    server: parts.servers,
    compiler: createPolicyCompiler(binary),
    setOf: (version) => parts.servers.setOf(version),
    isInOrder: async ({ sources }) => isInOrder(parts, sources),
    maxLoadedSets,
    timeoutMs,
    onAnswer: (by) => metrics.policyAnswers.inc({ by }),
    onLoad: (outcome) => metrics.policyLoads.inc({ outcome }),
  });
  return stack.use(engine);
}

async function pingAny(clients: readonly OpaClient[]): Promise<void> {
  const path = '/health';
  await Promise.any(clients.map(async (client) => client.call({ method: 'GET', path, timeoutMs: pingTimeoutMs })));
}

export function openPolicyEngine(options: OpenPolicyEngineOptions): OpenPolicyEngine {
  const { token, maxLoadedSets, timeoutMs, metrics } = options;
  const stack = new AsyncDisposableStack();
  const clients = options.urls.map((url) => stack.use(createOpaClient({ url, token })));
  const syntax = stack.use(createSyntaxChecker({ token }));
  const servers = createPolicyEngineOpa({
    clients,
    syntax: guardCompiler(syntax, options.binary),
    maxLoadedSets,
    timeoutMs,
    onLoad: (outcome) => metrics.policyLoads.inc({ outcome }),
    onAnswer: (outcome, server) => metrics.opaQuestions.inc({ server: String(server), outcome }),
  });
  const engine = withCompiled(options, { clients, syntax, servers }, stack);
  const onLookup = (hit: boolean): void => metrics.policyLookups.inc({ answer: hit ? 'remembered' : 'asked' });
  return {
    engine: rememberDecisions(engine, { max: options.memoEntries, onLookup }),
    trials: servers.trials,
    ping: async () => pingAny(clients),
    [Symbol.asyncDispose]: async () => stack.disposeAsync(),
  };
}
