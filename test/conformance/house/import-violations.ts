// One deliberate violation per import rule, planted into the clean house: the file that must be named, and its text.
// It stands alone so that a rule without a violation is found by comparing two lists.

export interface Violation {
  /** The file that breaks the rule. */
  readonly at: string;
  readonly text: string;
  /** Another file the violation needs. */
  readonly beside?: Readonly<Record<string, string>>;
}

const violation = (at: string, text: string): Violation => ({ at, text });
const takes = (at: string, what: string): Violation =>
  violation(at, `import * as taken from '${what}';\nexport const used = taken;\n`);
const names = (at: string, what: string): Violation =>
  violation(at, `import type * as taken from '${what}';\nexport type Used = typeof taken;\n`);

export const violations: Readonly<Record<string, Violation>> = {
  // The graph as a whole.
  'no-cycle': {
    ...takes('services/alpha/domain/egg.ts', './hen.ts'),
    beside: { 'services/alpha/domain/hen.ts': "export * from './egg.ts';\n" },
  },
  'no-orphan': violation('services/alpha/domain/forgotten.ts', 'export const nobody = 1;\n'),
  'no-dead-source': {
    ...violation('services/alpha/domain/retired.ts', 'export const retired = 1;\n'),
    beside: { 'services/alpha/domain/retired.test.ts': "export * from './retired.ts';\n" },
  },
  'no-unresolved': takes('services/alpha/outbound/postgres/nowhere.ts', './gone.ts'),

  // Generated code and the mesh.
  'gen-stands-alone': takes('gen/clever_pb.ts', '#mesh/failure'),
  'gen-stands-alone-in-tests': takes('gen/clever.test.ts', 'fastify'),
  'mesh-knows-no-service': takes('mesh/time/nosy.ts', '../../services/alpha/domain/rule.ts'),
  'mesh-knows-no-service-in-tests': takes('mesh/time/nosy.test.ts', '../../services/alpha/domain/rule.ts'),
  'mesh-row-1': takes('mesh/failure/sideways.ts', '#mesh/time'),
  'mesh-row-2': takes('mesh/config/upwards.ts', '#mesh/postgres'),
  'mesh-row-3': takes('mesh/mandate/sideways.ts', '#mesh/postgres'),
  'mesh-row-4': takes('mesh/trail/upwards.ts', '#mesh/identity'),
  'mesh-row-5': takes('mesh/identity/index.ts', '#mesh/runtime'),
  'mesh-row-6': takes('mesh/rpc/sideways.ts', '../http/index.ts'),
  'mesh-row-7': takes('mesh/listener/upwards.ts', '#mesh/runtime'),
  'mesh-row-8': {
    ...takes('mesh/runtime/unplaced.ts', '#mesh/manifests'),
    beside: { 'mesh/manifests/index.ts': 'export const m = 1;\n' },
  },
  'mesh-through-index': takes('mesh/mandate/burglar.ts', '../failure/fail.ts'),
  'mesh-through-index-from-outside': takes('services/alpha/domain/burglar.ts', '../../../mesh/failure/fail.ts'),

  // Installed packages.
  'driver-pg': takes('services/alpha/outbound/postgres/own-pool.ts', 'pg'),
  'driver-ioredis': takes('services/alpha/outbound/redis/own-client.ts', 'ioredis'),
  'driver-pino': takes('mesh/config/own-logger.ts', 'pino'),
  'driver-prom-client': takes('services/alpha/outbound/peer/own-counter.ts', 'prom-client'),
  'driver-opentelemetry': takes('dev/own-trace.ts', '@opentelemetry/api'),
  'jose-has-three-homes': takes('services/alpha/outbound/peer/own-token.ts', 'jose'),
  'declared-packages-only': takes('dev/lucky.ts', 'rolldown'),
  'no-development-package-in-production': takes('services/alpha/outbound/peer/grpc.ts', '@grpc/grpc-js'),
  'test-packages-in-tests-only': takes('dev/property.ts', 'fast-check'),
  'process-is-not-imported': takes('mesh/telemetry/aliased.ts', 'node:process'),
  'no-test-code-in-production': takes('mesh/telemetry/manual.ts', '#test/manual-clock'),

  // The layers of a service, and the tests beside them.
  'domain-is-pure': takes('services/alpha/domain/reads-files.ts', 'node:fs'),
  'domain-is-pure-in-tests': takes('services/alpha/domain/reads-files.test.ts', 'node:fs'),
  'ports-need-little': names('services/alpha/ports/wire.ts', '#gen/thing_pb'),
  'ports-need-little-in-tests': takes('services/alpha/ports/wire.test.ts', 'fastify'),
  'flows-use-ports': takes('services/alpha/flows/speaks-wire.ts', '#gen/thing_pb'),
  'flows-use-ports-in-tests': takes('services/alpha/flows/speaks-sql.test.ts', '../outbound/postgres/store-sql.ts'),
  'inbound-calls-flows': names('services/alpha/inbound/rpc/needs-port.ts', '../../ports/store.ts'),
  'inbound-calls-flows-in-tests': takes(
    'services/alpha/inbound/rpc/wired.test.ts',
    '../../outbound/postgres/store-sql.ts',
  ),
  'outbound-fulfils-ports': takes('services/alpha/outbound/postgres/calls-back.ts', '../../flows/ask.ts'),
  'outbound-fulfils-ports-in-tests': takes('services/alpha/outbound/postgres/calls-back.test.ts', '../../flows/ask.ts'),
  'metrics-use-telemetry': takes('services/gamma/metrics.ts', '#mesh/time'),
  'metrics-use-telemetry-in-tests': takes('services/gamma/metrics.test.ts', 'undici'),
  'config-uses-config': takes('services/gamma/config.ts', 'node:fs'),
  'config-uses-config-in-tests': takes('services/gamma/config.test.ts', 'node:fs'),
  'main-starts-wiring': takes('services/gamma/main.ts', './domain/rule.ts'),
  'main-starts-wiring-in-tests': takes('services/gamma/main.test.ts', 'undici'),
  'domain-types-only': takes('services/alpha/domain/watches-clock.ts', '#mesh/time'),
  'ports-types-only': takes('services/alpha/ports/runs-code.ts', '#mesh/failure'),
  'flows-mesh-types-only': takes('services/alpha/flows/logs.ts', '#mesh/telemetry'),

  // Between services, clients and tools.
  'services-stand-apart': takes('services/alpha/domain/neighbour.ts', '../../beta/domain/good.ts'),
  'wiring-knows-no-fakes': takes('services/gamma/wiring.ts', './outbound/memory/fake.ts'),
  'wiring-has-two-callers': takes('services/alpha/inbound/timer/rewire.ts', '../../wiring.ts'),
  'main-has-no-callers': takes('test/integration/starts-twice.test.ts', '../../services/beta/main.ts'),
  'clients-use-the-sdk': takes('cli/shortcut.ts', '#mesh/failure'),
  'tools-run-services-as-processes': takes('bench/shortcut.ts', '../services/alpha/domain/rule.ts'),
};

/** What several violations lean on. */
const ground: Readonly<Record<string, string>> = {
  'mesh/http/index.ts': 'export const http = 1;\n',
  'services/gamma/domain/rule.ts': 'export const gamma = 1;\n',
  'services/gamma/outbound/memory/fake.ts': 'export const fake = 1;\n',
};

/** Path to text of all violations together. */
export const violatingFiles: Readonly<Record<string, string>> = Object.assign(
  {},
  ground,
  ...Object.values(violations).map(({ at, text, beside }) => ({ [at]: text, ...beside })),
);
