// Rules inside one service: what domain, ports, flows, inbound, outbound and the four top files may import.
// They stand alone because all services have this one shape.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { domainTypeMesh, pureMesh } from '../layout.ts';
import { anyMesh, anyNpm, ban, meshIndex, npm, only, ownService, testFile } from './rule.ts';

/** How the tool names an import that leaves no trace at run time: `import type`, and `import('x').T` in a type. */
const typeImport = ['type-only', 'type-import'];

const pure = meshIndex(pureMesh);
const domainTypes = meshIndex(domainTypeMesh);

export const layers: readonly IForbiddenRuleType[] = [
  ...only({
    name: 'domain-is-pure',
    from: '^services/([^/]+)/domain/',
    allow: [`${ownService}domain/`, pure, domainTypes, npm('ipaddr\\.js')],
    remedy:
      'Domain imports its own domain, mesh failure/canonical/ids/authority/egress, types of mandate and time, and ipaddr.js: pass other values in.',
  }),
  ...only({
    name: 'ports-need-little',
    from: '^services/([^/]+)/ports/',
    allow: [`${ownService}(?:domain|ports)/`, anyMesh, '^(?:node:)?stream$'],
    remedy:
      'A port speaks in types of its own domain, the mesh and node:stream: name no row, message or package type in it.',
  }),
  ...only({
    name: 'flows-use-ports',
    from: '^services/([^/]+)/flows/',
    allow: [`${ownService}(?:domain|ports|flows)/`, anyMesh],
    remedy: 'A flow uses its own domain and ports: put wire, SQL, packages and built-ins behind a port.',
  }),
  ...only({
    name: 'inbound-calls-flows',
    from: '^services/([^/]+)/inbound/',
    allow: [
      `${ownService}(?:flows|domain|inbound)/`,
      `${ownService}metrics\\.ts$`,
      '^gen/',
      anyMesh,
      npm('(?:fastify|@fastify/[^/]+|typebox|ajv|@connectrpc/connect|@bufbuild/protobuf)'),
    ],
    builtins: true,
    remedy:
      'Inbound calls bound flows and knows wire types alone (fastify, typebox, @connectrpc/connect): wiring hands it functions, never ports or adapters.',
  }),
  ...only({
    name: 'outbound-fulfils-ports',
    from: '^services/([^/]+)/outbound/',
    allow: [`${ownService}(?:ports|domain|outbound)/`, `${ownService}metrics\\.ts$`, '^gen/', anyMesh, anyNpm],
    builtins: true,
    remedy: 'Outbound fulfils ports: it never calls flows, inbound, config or wiring; wiring hands it what it needs.',
  }),
  ...only({
    name: 'metrics-use-telemetry',
    from: '^services/([^/]+)/metrics',
    allow: ['^mesh/telemetry/index\\.ts$', `${ownService}metrics\\.ts$`],
    remedy: 'metrics.ts lists metrics and imports #mesh/telemetry alone.',
  }),
  ...only({
    name: 'config-uses-config',
    from: '^services/([^/]+)/config',
    allow: ['^mesh/config/index\\.ts$', `${ownService}config\\.ts$`],
    remedy: 'config.ts lists settings and imports #mesh/config alone.',
  }),
  ...only({
    name: 'main-starts-wiring',
    from: '^services/([^/]+)/main',
    allow: [`${ownService}(?:config|wiring)\\.ts$`, anyMesh],
    builtins: true,
    remedy: 'main.ts reads the environment and runs wiring: build adapters in wiring.ts.',
  }),
];

export const typeOnly: readonly IForbiddenRuleType[] = [
  ban({
    name: 'domain-types-only',
    from: { path: '^services/[^/]+/domain/', pathNot: testFile },
    to: { path: domainTypes, dependencyTypesNot: typeImport, couldNotResolve: false },
    remedy:
      'Domain names types of mesh/mandate and mesh/time, never their code: `import type`, and take the value as a parameter.',
  }),
  ban({
    name: 'ports-types-only',
    from: { path: '^services/[^/]+/ports/', pathNot: testFile },
    to: { dependencyTypesNot: typeImport, couldNotResolve: false },
    remedy: 'A port is a promise without code: use `import type`.',
  }),
  ban({
    name: 'flows-mesh-types-only',
    from: { path: '^services/[^/]+/flows/', pathNot: testFile },
    to: { path: '^mesh/', pathNot: pure, dependencyTypesNot: typeImport, couldNotResolve: false },
    remedy:
      'A flow runs code of mesh failure, canonical, ids, authority and egress alone: `import type` for the rest, and take the behaviour from deps.',
  }),
];
