// The shape of the house as data: which folders exist and in which order the mesh is stacked.
// It stands alone so that the import rules, the name rules and their proofs read one and the same table.

/** Mesh libraries, lowest row first; a library may import only from rows above its own in this list. */
export const meshRows: readonly (readonly string[])[] = [
  ['failure', 'canonical', 'time', 'ids', 'topology', 'authority', 'egress'],
  ['config', 'health', 'telemetry'],
  ['postgres', 'redis', 'secrets', 'mandate', 'dial'],
  ['revocation', 'outbox', 'trail'],
  ['identity'],
  ['rpc', 'http'],
  ['listener'],
  ['runtime'],
];

/** Mesh libraries whose rules are plain arithmetic on values: domain and flows may run their code. */
export const pureMesh: readonly string[] = ['failure', 'canonical', 'ids', 'authority', 'egress'];

/** Mesh libraries the domain may name in types, never run. */
export const domainTypeMesh: readonly string[] = ['mandate', 'time'];

/** Each driver package (as a pattern of its npm name) and the one mesh library that wraps it. */
export const drivers: readonly { readonly name: string; readonly npm: string; readonly owner: string }[] = [
  { name: 'pg', npm: '(?:pg|pg-[^/]+)', owner: 'postgres' },
  { name: 'ioredis', npm: 'ioredis', owner: 'redis' },
  { name: 'pino', npm: '(?:pino|pino-[^/]+)', owner: 'telemetry' },
  { name: 'prom-client', npm: 'prom-client', owner: 'telemetry' },
  { name: 'opentelemetry', npm: '@opentelemetry/[^/]+', owner: 'telemetry' },
];

/** Packages that only tests may import. */
export const testPackages: readonly string[] = ['vitest', 'fast-check'];

/** What may stand directly inside `services/<name>/`. */
export const serviceFolders: readonly string[] = ['domain', 'flows', 'ports', 'inbound', 'outbound'];
export const serviceFiles: readonly string[] = ['README.md', 'main.ts', 'config.ts', 'wiring.ts', 'metrics.ts'];

/** What may call a service. */
export const inboundKinds: readonly string[] = ['rpc', 'http', 'stream', 'timer'];

/** What may stand directly inside `test/`. */
export const testFolders: readonly string[] = [
  'contract',
  'integration',
  'scenario',
  'conformance',
  'fault',
  'support',
];

/** Top-level folders holding TypeScript or JavaScript that the import rules must have looked at. */
export const sourceRoots: readonly string[] = ['mesh', 'services', 'gen', 'dev', 'bench', 'test', 'cli', 'sdk', '.ci'];

/** Every top-level folder the design names. */
export const topFolders: readonly string[] = [...sourceRoots, 'proto', 'migrations', 'deploy', 'docs'];

/** Words that say nothing about what a file decides; refused anywhere in a file's or folder's name. */
export const emptyWords: readonly string[] = [
  'util',
  'utils',
  'common',
  'helper',
  'helpers',
  'shared',
  'misc',
  'lib',
  'core',
];
