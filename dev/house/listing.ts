// What the repository consists of: tracked files and files about to be, as git sees them, that exist on disk.
// It stands alone because every check that reads "all files" must mean the same ones.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Paths relative to `root`, sorted; ignored files and files deleted but not yet staged are left out. */
export async function listFiles(root: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(
    'git',
    ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    // A listing of a hundred thousand paths of ordinary length still fits.
    { maxBuffer: 16 * 1024 * 1024 },
  );
  const paths = stdout.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  return [...new Set(paths)].toSorted();
}
