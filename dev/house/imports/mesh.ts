// Rules of the mesh and of generated code: the rows, the index files, and what neither may know.
// They stand alone because the mesh must stay usable by services that do not exist yet.
import type { IForbiddenRuleType } from 'dependency-cruiser';
import { meshRows } from '../layout.ts';
import { anyMesh, anyNpm, anyOf, ban, npm, only } from './rule.ts';

export const mesh: readonly IForbiddenRuleType[] = [
  ...only({
    name: 'gen-stands-alone',
    from: '^gen/',
    allow: ['^gen/', npm('@bufbuild/protobuf')],
    remedy: 'Generated code imports @bufbuild/protobuf and gen alone: write other code outside gen/.',
  }),
  ...only({
    name: 'mesh-knows-no-service',
    from: '^mesh/',
    allow: ['^mesh/', '^gen/', anyNpm],
    builtins: true,
    remedy: 'The mesh knows neither services nor tools: take what it needs as a function or an option.',
  }),
  ...meshRows.map((row, at) =>
    ban({
      name: `mesh-row-${at + 1}`,
      from: { path: `^mesh/(${row.join('|')})/` },
      to: {
        path: '^mesh/',
        pathNot: ['^mesh/$1/', ...(at === 0 ? [] : [`^mesh/${anyOf(meshRows.slice(0, at).flat())}/`])],
      },
      remedy:
        'A mesh library imports only from rows above its own: take what is needed from its row or lower as a function.',
    }),
  ),
  ban({
    name: 'mesh-through-index',
    from: { path: '^mesh/([^/]+)/' },
    to: { path: '^mesh/', pathNot: ['^mesh/$1/', anyMesh] },
    remedy: 'Import another mesh library as #mesh/<lib>; export what is missing from its index.ts.',
  }),
  ban({
    name: 'mesh-through-index-from-outside',
    from: { pathNot: '^mesh/' },
    to: { path: '^mesh/', pathNot: anyMesh },
    remedy: 'Import a mesh library as #mesh/<lib>; export what is missing from its index.ts.',
  }),
];
