// Rules about the graph as a whole: no cycle, no orphan, nothing dead, nothing unresolved.
// They stand alone because they hold whatever folder a file is in.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { ban, declaration, testFile } from './rule.ts';

/** Where reading begins: what starts a process or a thread, and the door of each mesh library. */
const entries = ['^services/[^/]+/main\\.ts$', '^services/[^/]+/outbound/.+-worker\\.ts$', '^mesh/[^/]+/index\\.ts$'];

export const graph: readonly IForbiddenRuleType[] = [
  ban({
    name: 'no-cycle',
    from: {},
    to: { circular: true },
    remedy: 'Two files need each other: move what both need into a third, lower file, or pass it in as a function.',
  }),
  ban({
    name: 'no-orphan',
    from: { orphan: true, pathNot: [declaration, '^[^/]+$', '^gen/'] },
    to: {},
    remedy: 'Nothing imports this file and it imports nothing: use it or delete it.',
  }),
  ban({
    name: 'no-dead-source',
    from: { path: entries },
    to: {
      path: '^(?:mesh|services)/.+\\.ts$',
      pathNot: [...entries, testFile, declaration, '^services/[^/]+/outbound/memory/', '^services/console/web/'],
      reachable: false,
    },
    remedy: 'No process and no mesh index reaches this file: wire it in or delete it; only tests use it now.',
  }),
  ban({
    name: 'no-unresolved',
    from: {},
    to: { couldNotResolve: true },
    remedy:
      'The import leads nowhere: name the file with its .ts ending, #mesh/<lib>, #gen/<path>, or an installed package.',
  }),
];
