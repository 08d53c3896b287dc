// What files and folders may be called and where they may stand: the shape of the house, read from paths alone.
// It stands alone because a tree that is shaped alike everywhere can be walked without a map.
import {
  emptyWords,
  inboundKinds,
  meshRows,
  serviceFiles,
  serviceFolders,
  sourceRoots,
  testFolders,
  topFolders,
} from './layout.ts';
import { listFiles } from './listing.ts';
import type { Problem } from './problem.ts';

const code = /\.(?:[mc]?[jt]s|[jt]sx)$/;
/** `request-target.test.ts`, `0001-bootstrap.sql`: words of small letters and digits, joined by hyphens. */
const kebabFile = /^\.?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*$/;
const kebabFolder = /^\.?[a-z0-9]+(?:-[a-z0-9]+)*$/;
const meshLibraries = new Set([...meshRows.flat(), 'manifests']);

interface PathRule {
  readonly name: string;
  readonly remedy: string;
  /** Whether the path, also given in its parts, breaks the rule. */
  readonly breaks: (path: string, parts: readonly string[]) => boolean;
}

/** Generated code is named by its contract, and a package's own names follow their language's custom. */
const namedElsewhere = (path: string): boolean => /^(?:gen|sdk\/(?:python|go))\//.test(path);

export const pathRules: readonly PathRule[] = [
  {
    name: 'names-say-something',
    remedy: `A name made of ${emptyWords.join(', ')} says nothing: name the file after what it decides.`,
    breaks: (path, parts) =>
      !namedElsewhere(path) && parts.some((part) => part.split(/[-._]/).some((word) => emptyWords.includes(word))),
  },
  {
    name: 'names-are-kebab-case',
    remedy: 'Write code files and their folders in kebab-case: small letters, digits and hyphens.',
    breaks: (path, parts) =>
      code.test(path) &&
      !namedElsewhere(path) &&
      !(kebabFile.test(parts.at(-1) ?? '') && parts.slice(0, -1).every((part) => kebabFolder.test(part))),
  },
  {
    name: 'top-folders-are-known',
    remedy: `Top-level folders are ${topFolders.join(', ')}: put the file into the one it belongs to.`,
    breaks: (_, [top, ...rest]) =>
      rest.length > 0 && top !== undefined && !top.startsWith('.') && !topFolders.includes(top),
  },
  {
    name: 'top-level-holds-no-source',
    remedy: `Source stands in ${sourceRoots.join(', ')}; at the top only tools' own configuration files.`,
    breaks: (path, parts) => parts.length === 1 && code.test(path) && !/^\.|\.config\.ts$/.test(path),
  },
  {
    name: 'mesh-libraries-are-known',
    remedy: 'A mesh library has a row in dev/house/layout.ts: give the new one its row there, after a decision.',
    breaks: (_, [top, library, ...rest]) =>
      top === 'mesh' && (rest.length === 0 || library === undefined || !meshLibraries.has(library)),
  },
  {
    name: 'services-have-one-shape',
    remedy: `A service holds ${[...serviceFiles, ...serviceFolders].join(', ')} and nothing else.`,
    breaks: (_, [top, service, entry, ...rest]) =>
      top === 'services' &&
      service !== 'console' &&
      (entry === undefined || !(rest.length === 0 ? fitsServiceTop(entry) : serviceFolders.includes(entry))),
  },
  {
    name: 'inbound-kinds-are-known',
    remedy: `What calls a service comes by ${inboundKinds.join(', ')}: put the file into that folder of inbound/.`,
    breaks: (_, [top, , entry, kind, ...rest]) =>
      top === 'services' && entry === 'inbound' && (rest.length === 0 || !inboundKinds.includes(kind ?? '')),
  },
  {
    name: 'outbound-has-folders',
    remedy: 'Name what is called: put the file into outbound/postgres, redis, peer, opa, … or memory for the fakes.',
    breaks: (_, [top, , entry, , ...rest]) => top === 'services' && entry === 'outbound' && rest.length === 0,
  },
  {
    name: 'test-folders-are-known',
    remedy: `Wider tests stand in test/{${testFolders.join(',')}}; pure ones beside the code.`,
    breaks: (_, [top, kind, ...rest]) =>
      top === 'test' && (rest.length === 0 || kind === undefined || !testFolders.includes(kind)),
  },
  {
    name: 'tests-end-in-test-ts',
    remedy: 'Name a test file x.test.ts, or nothing will run it.',
    breaks: (path) => /(?:\.spec\.[mc]?[jt]s|\.test\.(?:[mc]?js|mts|cts)|(?:^|\/)__tests__\/.*)$/.test(path),
  },
];

/** A file directly inside a service: one of the five, or the pure test of one of them. */
function fitsServiceTop(file: string): boolean {
  return serviceFiles.includes(file) || serviceFiles.includes(file.replace(/\.test\.ts$/, '.ts'));
}

/** Every path that breaks a rule of names. */
export function nameProblems(paths: readonly string[]): readonly Problem[] {
  return pathRules.flatMap(({ name, remedy, breaks }) =>
    paths.filter((path) => breaks(path, path.split('/'))).map((where) => ({ where, rule: name, remedy })),
  );
}

/** Each service and each mesh library has its page or its door; which of them lack it. */
export function missingFiles(paths: readonly string[]): readonly Problem[] {
  const present = new Set(paths);
  const wanted = new Map<string, string>();
  for (const path of paths) {
    const [top, name] = path.split('/');
    if (top === 'services' && path.endsWith('.ts')) {
      wanted.set(`services/${name}/README.md`, 'Write the one page of this service: owns, calls, emits, invariants.');
    }
    if (top === 'mesh' && path.endsWith('.ts')) {
      wanted.set(`mesh/${name}/index.ts`, 'A mesh library is imported through its index.ts: write it.');
    }
  }
  return [...wanted]
    .filter(([path]) => !present.has(path))
    .map(([where, remedy]) => ({ where, rule: 'every-part-has-its-door', remedy }));
}

/** Both kinds of problem for the files of the repository at `root`. */
export async function checkNames(root: string): Promise<readonly Problem[]> {
  const paths = await listFiles(root);
  return [...nameProblems(paths), ...missingFiles(paths)];
}
