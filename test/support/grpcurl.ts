/**
 * A grpcurl binary: from PATH, the cache, or a Go build of one pinned version.
 * It stands alone because the build takes a minute and several test runs may want it at once.
 */
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../../dev/components/cache-folder.ts';
import type { Environment } from '../../dev/components/child-process.ts';
import { findGo, findOnPath, isExecutable, runToEnd } from '../../dev/components/executables.ts';
import { withLock } from '../../dev/lock.mjs';

const version = '1.9.3';
const grpcurlModule = 'github.com/fullstorydev/grpcurl/cmd/grpcurl';
/** Under a minute on two cores with an empty module cache; a small machine gets ten times that. */
const buildLimitMs = 600_000;

export type FoundGrpcurl =
  | { readonly kind: 'found'; readonly path: string }
  /** Neither on PATH nor in the cache, and `why` it could not be built. */
  | { readonly kind: 'absent'; readonly why: string };

export async function findGrpcurl(environment: Environment): Promise<FoundGrpcurl> {
  const onPath = findOnPath('grpcurl', environment);
  if (onPath !== undefined) return { kind: 'found', path: onPath };
  const folder = cacheFolder(environment);
  const target = join(folder, `grpcurl-${version}`);
  if (isExecutable(target)) return { kind: 'found', path: target };
  const go = findGo(environment);
  if (go === undefined) return { kind: 'absent', why: 'there is no Go to build it with' };
  await mkdir(folder, { recursive: true });
  return await withLock({ path: `${target}.lock` }, async () => {
    if (isExecutable(target)) return { kind: 'found', path: target };
    return await build({ go, folder, target, environment });
  });
}

interface Build {
  readonly go: string;
  readonly folder: string;
  readonly target: string;
  readonly environment: Environment;
}

/** Builds beside the target and renames, so that a cut build leaves nothing that looks whole. */
async function build({ go, folder, target, environment }: Build): Promise<FoundGrpcurl> {
  const work = await mkdtemp(join(folder, 'grpcurl-build-'));
  try {
    const result = await runToEnd(go, ['install', '-trimpath', '-modcacherw', `${grpcurlModule}@v${version}`], {
      environment: {
        ...environment,
        CGO_ENABLED: '0',
        GOBIN: work,
        GOPATH: join(work, 'go'),
        GOMODCACHE: join(work, 'mod'),
        GOCACHE: join(work, 'build'),
      },
      limitMilliseconds: buildLimitMs,
      workingDirectory: work,
    });
    if (result.kind === 'failed') return { kind: 'absent', why: `go install failed: ${result.message.slice(-300)}` };
    await chmod(join(work, 'grpcurl'), 0o755);
    await rename(join(work, 'grpcurl'), target);
    return { kind: 'found', path: target };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
