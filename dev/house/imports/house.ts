// Rules between services, clients and tools.
// They stand alone because they keep the five services apart: each can be run, replaced and reasoned about by itself.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { ban, ownService, testFile } from './rule.ts';

export const house: readonly IForbiddenRuleType[] = [
  ban({
    name: 'services-stand-apart',
    from: { path: '^services/([^/]+)/' },
    to: { path: '^services/', pathNot: ownService },
    remedy: 'A service never imports another: call it through proto/, or move what both need into the mesh.',
  }),
  ban({
    name: 'wiring-knows-no-fakes',
    from: { path: '^services/[^/]+/', pathNot: [testFile, '^services/[^/]+/outbound/memory/'] },
    to: { path: '^services/[^/]+/outbound/memory/' },
    remedy:
      'outbound/memory holds fakes for tests: name the real adapter; tests replace it through wire(config, overrides).',
  }),
  ban({
    name: 'wiring-has-two-callers',
    from: { pathNot: ['^services/[^/]+/main\\.ts$', '^test/', testFile] },
    to: { path: '^services/[^/]+/wiring\\.ts$' },
    remedy: 'Only main.ts and tests import wiring.ts: take what you need as a parameter.',
  }),
  ban({
    name: 'main-has-no-callers',
    from: {},
    to: { path: '^services/[^/]+/main\\.ts$' },
    remedy: 'main.ts starts a process: run it, do not import it; tests use wiring.ts.',
  }),
  ban({
    name: 'clients-use-the-sdk',
    from: { path: ['^cli/', '^services/console/web/'] },
    to: { path: '^(?:mesh|services|gen|dev|test|bench)/', pathNot: ['^services/console/web/'] },
    remedy:
      'The command and the web console use the TypeScript SDK and the client generated from OpenAPI, as any customer would.',
  }),
  ban({
    name: 'tools-run-services-as-processes',
    from: { path: '^(?:dev|bench)/' },
    to: { path: '^(?:services|test|cli)/' },
    remedy: 'dev and bench start services as processes and talk to their ports: import mesh, gen and sdk alone.',
  }),
];
